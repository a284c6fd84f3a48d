//! A picture file, whatever its kind, as samples.

use super::from_jpeg;
use super::from_png;
use crate::bytes::Limits;
use crate::error::Error;
use crate::error::Result;

/// Rows of pixels, top row first, the channels of a pixel next to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1 grey, 2 grey and alpha, 3 red, green, blue, 4 with alpha.
    pub channels: usize,
    /// `height * width * channels` of them.
    pub samples: Samples,
    /// EXIF orientation, 1 to 8: how the picture would have to be turned to stand upright. Nothing is turned by decoding.
    pub orientation: u8,
}

/// Samples of 8 bits, or of 16.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Samples {
    /// PIL's modes `L`, `LA`, `RGB`, `RGBA`.
    Eight(Vec<u8>),
    /// PIL's mode `I;16`: always one channel.
    Sixteen(Vec<u16>),
}

/// The kinds of picture files that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureFormat {
    /// Portable Network Graphics.
    Png,
    /// JPEG, baseline or progressive.
    Jpeg,
}

/// What other picture files begin with: (where, bytes, name).
const OTHERS: [(usize, &[u8], &str); 9] = [
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (8, b"WEBP", "WebP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftyp", "HEIF"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
];

impl PictureFormat {
    /// By the file's ending.
    pub fn of(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let is = |ending: &str| name.ends_with(ending);
        if is(".png") {
            Some(PictureFormat::Png)
        } else if is(".jpg") || is(".jpeg") {
            Some(PictureFormat::Jpeg)
        } else {
            None
        }
    }

    /// By what the file begins with.
    ///
    /// # Errors
    ///
    /// `Unsupported`, with its name where it is known, for any other kind of file.
    fn detect(bytes: &[u8]) -> Result<Self> {
        if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            return Ok(PictureFormat::Png);
        }
        if bytes.starts_with(b"\xff\xd8") {
            return Ok(PictureFormat::Jpeg);
        }
        if bytes.is_empty() {
            return Err(Error::malformed("is empty"));
        }
        let begins =
            |at: usize, magic: &[u8]| bytes.get(at..).is_some_and(|b| b.starts_with(magic));
        let name = OTHERS
            .iter()
            .find(|(at, magic, _)| begins(*at, magic))
            .map(|row| row.2);
        Err(Error::unsupported(match name {
            Some(name) => format!("is a {name} picture; PNG and JPEG are read"),
            None => "is neither PNG nor JPEG".to_owned(),
        })
        .with_hint("PIL converts: Image.open(x).convert(\"RGB\").save(\"x.png\")"))
    }
}

impl Picture {
    /// Decodes the whole file `bytes`, as PIL's `Image.open` does: samples of 16 bits are kept where the picture is grey
    /// and cut to their high 8 bits elsewhere, grey of 1, 2 or 4 bits is spread over 0 to 255, interlaced rows are put in
    /// order, gamma and colour profiles are not applied, of an animation the first picture is taken. A palette is
    /// resolved to its colours (`convert("RGB")`).
    ///
    /// # Errors
    ///
    /// `Limit` for more than [`Limits::picture_pixels`], before any memory is taken; `Unsupported` by name for what is
    /// not read (CMYK, arithmetic coding, other formats); `Malformed` for what is cut off or damaged.
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Self> {
        match PictureFormat::detect(bytes)? {
            PictureFormat::Png => from_png::decode(bytes, limits),
            PictureFormat::Jpeg => from_jpeg::decode(bytes, limits),
        }
    }

    /// `RGB`, as PIL calls it.
    pub fn mode(&self) -> &'static str {
        match (&self.samples, self.channels) {
            (Samples::Sixteen(_), _) => "I;16",
            (_, 1) => "L",
            (_, 2) => "LA",
            (_, 3) => "RGB",
            _ => "RGBA",
        }
    }

    /// The same picture with other pixels: the pixel at (y, x) is the old one at `source(y, x)`.
    #[must_use]
    pub(super) fn rearranged(
        &self,
        width: usize,
        height: usize,
        source: impl Fn(usize, usize) -> (usize, usize),
    ) -> Self {
        fn gather<T: Copy>(
            old: &[T],
            channels: usize,
            size: (usize, usize),
            pixel: impl Fn(usize, usize) -> usize,
        ) -> Vec<T> {
            let mut samples = Vec::with_capacity(size.0 * size.1 * channels);
            for y in 0..size.1 {
                for x in 0..size.0 {
                    let at = pixel(y, x) * channels;
                    samples.extend_from_slice(&old[at..at + channels]);
                }
            }
            samples
        }
        let pixel = |y: usize, x: usize| {
            let (y, x) = source(y, x);
            y * self.width + x
        };
        let samples = match &self.samples {
            Samples::Eight(old) => {
                Samples::Eight(gather(old, self.channels, (width, height), pixel))
            }
            Samples::Sixteen(old) => {
                Samples::Sixteen(gather(old, self.channels, (width, height), pixel))
            }
        };
        Self {
            width,
            height,
            samples,
            ..*self
        }
    }
}

/// Refuses a picture that is empty or has too many pixels.
pub(super) fn check_size(width: usize, height: usize, limits: &Limits) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(Error::malformed(format!(
            "the picture has no pixels: {width} x {height}"
        )));
    }
    let pixels = width.checked_mul(height);
    if pixels.is_none_or(|pixels| pixels > limits.picture_pixels) {
        return Err(Error::limit(format!(
            "the picture has {width} x {height} pixels, the limit is {} (picture_pixels)",
            limits.picture_pixels
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Picture;
    use crate::bytes::Limits;

    #[test]
    fn other_kinds_are_refused_by_name() {
        let refusal = |bytes: &[u8]| {
            let error = Picture::decode(bytes, &Limits::default()).unwrap_err();
            error.to_string()
        };
        assert!(refusal(b"GIF89a").contains("a GIF picture"));
        assert!(refusal(b"RIFF....WEBPVP8 ").contains("a WebP picture"));
        assert!(refusal(b"....ftypheic").contains("a HEIF picture"));
        assert_eq!(refusal(b"hello"), "is neither PNG nor JPEG");
        assert_eq!(refusal(b""), "is empty");
    }
}
