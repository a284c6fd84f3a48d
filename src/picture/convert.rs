//! A picture turned, converted and cropped, sample for sample as PIL and torchvision do it.

use super::decode::Picture;
use super::decode::Samples;
use crate::error::Error;
use crate::error::Result;

/// The modes that a picture can be converted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// One channel.
    Grey,
    /// Three.
    Rgb,
}

impl Picture {
    /// PIL's `convert("L")` or `convert("RGB")`: alpha is dropped, grey is repeated, colours become
    /// `(19595 R + 38470 G + 7471 B + 32768) >> 16` (ITU-R 601). Of 16-bit grey the high 8 bits are taken.
    #[must_use]
    pub fn converted(self, to: Conversion) -> Self {
        let bytes = match self.samples {
            Samples::Sixteen(words) => words.iter().map(|word| (word >> 8) as u8).collect(),
            Samples::Eight(bytes) => bytes,
        };
        let grey = |[r, g, b]: [u8; 3]| {
            let [r, g, b] = [r, g, b].map(u32::from);
            ((19_595 * r + 38_470 * g + 7_471 * b + 0x8000) >> 16) as u8
        };
        let pixels = bytes.chunks_exact(self.channels);
        let color = |pixel: &[u8]| match *pixel {
            [r, g, b, ..] => [r, g, b],
            [v, ..] => [v; 3],
            [] => [0; 3],
        };
        let (channels, samples) = match to {
            Conversion::Rgb => (3, pixels.flat_map(color).collect()),
            Conversion::Grey if self.channels < 3 => (1, pixels.map(|pixel| pixel[0]).collect()),
            Conversion::Grey => (1, pixels.map(|pixel| grey(color(pixel))).collect()),
        };
        Self {
            channels,
            samples: Samples::Eight(samples),
            ..self
        }
    }

    /// Turned as its EXIF orientation says: PIL's `ImageOps.exif_transpose`.
    #[must_use]
    pub fn upright(self) -> Self {
        let (w, h) = (self.width, self.height);
        let turned = match self.orientation {
            2 => self.rearranged(w, h, |y, x| (y, w - 1 - x)),
            3 => self.rearranged(w, h, |y, x| (h - 1 - y, w - 1 - x)),
            4 => self.rearranged(w, h, |y, x| (h - 1 - y, x)),
            5 => self.rearranged(h, w, |y, x| (x, y)),
            6 => self.rearranged(h, w, |y, x| (h - 1 - x, y)),
            7 => self.rearranged(h, w, |y, x| (h - 1 - x, w - 1 - y)),
            8 => self.rearranged(h, w, |y, x| (x, w - 1 - y)),
            _ => self,
        };
        Self {
            orientation: 1,
            ..turned
        }
    }

    /// torchvision's `CenterCrop`, for a picture that is large enough: the offset is half of what is left over, halves
    /// rounded to even, as Python's `round` does.
    ///
    /// # Errors
    ///
    /// `Usage` where the picture is smaller (torchvision would pad it with black).
    pub fn center_cropped(self, height: usize, width: usize) -> Result<Self> {
        if height == 0 || width == 0 || height > self.height || width > self.width {
            return Err(Error::usage(format!(
                "a crop of {height} x {width} does not fit into a picture of {} x {} (height x width)",
                self.height, self.width
            )));
        }
        let half = |rest: usize| {
            let down = rest / 2;
            down + usize::from(rest % 2 == 1 && down % 2 == 1)
        };
        let (top, left) = (half(self.height - height), half(self.width - width));
        Ok(self.rearranged(width, height, |y, x| (y + top, x + left)))
    }
}
