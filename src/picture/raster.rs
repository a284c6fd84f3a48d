//! Coloured pixels, and the PNG that holds them.

use png::BitDepth;
use png::ColorType;
use png::Compression;
use png::Encoder;
use png::Filter;

use super::color::Rgb;
use crate::error::Error;
use crate::error::Result;

/// Rows of pixels, the top row first. What is drawn outside is cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raster {
    width: usize,
    height: usize,
    pixels: Vec<Rgb>,
}

impl Raster {
    /// All of one colour.
    pub fn new(width: usize, height: usize, color: Rgb) -> Self {
        Self {
            width,
            height,
            pixels: vec![color; width * height],
        }
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// A pixel; black outside.
    pub fn pixel(&self, x: usize, y: usize) -> Rgb {
        self.at(x, y).map_or([0; 3], |at| self.pixels[at])
    }

    fn at(&self, x: usize, y: usize) -> Option<usize> {
        (x < self.width && y < self.height).then_some(y * self.width + x)
    }

    /// Colours one pixel.
    pub fn set(&mut self, x: usize, y: usize, color: Rgb) {
        if let Some(at) = self.at(x, y) {
            self.pixels[at] = color;
        }
    }

    /// Mixes a colour in, 255 covering wholly.
    pub fn blend(&mut self, x: usize, y: usize, color: Rgb, strength: u8) {
        let Some(at) = self.at(x, y).filter(|_| strength > 0) else {
            return;
        };
        let (new, old) = (u32::from(strength), 255 - u32::from(strength));
        for (below, above) in self.pixels[at].iter_mut().zip(color) {
            let mixed = u32::from(above) * new + u32::from(*below) * old;
            *below = ((mixed + 127) / 255) as u8;
        }
    }

    /// Fills a rectangle.
    pub fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, color: Rgb) {
        let (right, bottom) = ((x + width).min(self.width), (y + height).min(self.height));
        for row in y..bottom {
            if x < right {
                self.pixels[row * self.width + x..row * self.width + right].fill(color);
            }
        }
    }

    /// Draws the edge of a rectangle, one pixel wide, inside of it.
    pub fn frame(&mut self, x: usize, y: usize, width: usize, height: usize, color: Rgb) {
        if width == 0 || height == 0 {
            return;
        }
        self.fill(x, y, width, 1, color);
        self.fill(x, y + height - 1, width, 1, color);
        self.fill(x, y, 1, height, color);
        self.fill(x + width - 1, y, 1, height, color);
    }

    /// The colours, and for each pixel the number of its own; none where there are more than a palette holds.
    fn palette(&self) -> Option<(Vec<Rgb>, Vec<u8>)> {
        let mut numbers = std::collections::HashMap::new();
        let mut colors = Vec::new();
        let mut indices = Vec::with_capacity(self.pixels.len());
        for &pixel in &self.pixels {
            let number = *numbers.entry(pixel).or_insert_with(|| {
                colors.push(pixel);
                colors.len() - 1
            });
            indices.push(u8::try_from(number).ok()?);
        }
        Some((colors, indices))
    }

    /// The PNG file: with a palette where 256 colours are enough, else 8 bits a channel.
    ///
    /// # Errors
    ///
    /// `Usage` for a raster without pixels, which PNG does not have.
    pub fn png(&self) -> Result<Vec<u8>> {
        let error = |e: png::EncodingError| Error::usage(format!("no PNG can be made: {e}"));
        let size = |n: usize| {
            u32::try_from(n).map_err(|_| Error::limit("more pixels than a PNG can have"))
        };
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, size(self.width)?, size(self.height)?);
        let palette = self.palette();
        let data = match &palette {
            Some((colors, indices)) => {
                encoder.set_color(ColorType::Indexed);
                encoder.set_palette(colors.as_flattened());
                indices.as_slice()
            }
            None => {
                encoder.set_color(ColorType::Rgb);
                self.pixels.as_flattened()
            }
        };
        encoder.set_depth(BitDepth::Eight);
        // flat colours: what repeats is found best as it is
        encoder.set_filter(Filter::NoFilter);
        encoder.set_compression(Compression::High);
        encoder
            .add_text_chunk("Software".into(), "pthinspect".into())
            .map_err(error)?;
        let mut writer = encoder.write_header().map_err(error)?;
        writer.write_image_data(data).map_err(error)?;
        writer.finish().map_err(error)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::Limits;
    use crate::picture::Picture;
    use crate::picture::Samples;

    #[test]
    fn what_is_written_reads_back() {
        let mut raster = Raster::new(5, 4, [255; 3]);
        raster.fill(1, 1, 9, 1, [1, 2, 3]);
        raster.frame(0, 0, 5, 4, [9, 9, 9]);
        raster.blend(2, 2, [0, 0, 0], 51);
        assert_eq!(
            (raster.pixel(2, 2), raster.pixel(3, 1)),
            ([204; 3], [1, 2, 3])
        );
        let picture = Picture::decode(&raster.png().unwrap(), &Limits::default()).unwrap();
        assert_eq!((picture.width, picture.height, picture.channels), (5, 4, 3));
        assert_eq!(
            picture.samples,
            Samples::Eight(raster.pixels.as_flattened().to_vec())
        );
        for x in 0..300 {
            raster = Raster::new(300, 2, [0; 3]);
            (0..=x).for_each(|x| raster.set(x, 1, [x as u8, (x / 256) as u8, 1]));
            if [5, 254, 255, 299].contains(&x) {
                let picture = Picture::decode(&raster.png().unwrap(), &Limits::default()).unwrap();
                let pixels = raster.pixels.as_flattened().to_vec();
                assert_eq!(
                    picture.samples,
                    Samples::Eight(pixels),
                    "{x} colours and black"
                );
            }
        }
        assert!(Raster::new(0, 4, [0; 3]).png().is_err());
    }
}
