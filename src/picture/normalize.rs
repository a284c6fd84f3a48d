//! Samples to numbers: torchvision's `ToTensor` and `Normalize`, to the last bit.

use super::decode::Picture;
use super::decode::Samples;
use crate::error::Error;
use crate::error::Result;

/// Mean and standard deviation to take off, one for each channel, or one for all; none: the samples alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Normalization {
    /// Subtracted first.
    pub mean: Option<Vec<f64>>,
    /// Divided by afterwards.
    pub std: Option<Vec<f64>>,
}

impl Normalization {
    /// `[channels, height, width]` in C order: samples of 8 bits divided by 255 (`ToTensor`), of 16 bits times 1/65535
    /// (`v2.ToDtype(float32, scale=True)`; `ToTensor` leaves those whole), then `(x - mean) / std` (`Normalize`), each
    /// step rounded to float32.
    ///
    /// # Errors
    ///
    /// `Usage` where there are neither one nor as many numbers as channels, or a standard deviation is 0 in float32.
    pub fn tensor(&self, picture: &Picture) -> Result<Vec<f32>> {
        let mean = per_channel(self.mean.as_deref(), picture, 0.0, "--mean")?;
        let std = per_channel(self.std.as_deref(), picture, 1.0, "--std")?;
        if std.contains(&0.0) {
            return Err(Error::usage(
                "--std is 0 in float32, and cannot be divided by",
            ));
        }
        let pixels = picture.width * picture.height;
        let unit = |index: usize| match &picture.samples {
            Samples::Eight(bytes) => f32::from(bytes[index]) / 255.0,
            Samples::Sixteen(words) => f32::from(words[index]) * (1.0 / 65535.0),
        };
        let is_plain = self.mean.is_none() && self.std.is_none();
        let mut values = Vec::with_capacity(pixels * picture.channels);
        for channel in 0..picture.channels {
            let samples = (0..pixels).map(|pixel| unit(pixel * picture.channels + channel));
            match is_plain {
                true => values.extend(samples),
                false => values.extend(samples.map(|x| (x - mean[channel]) / std[channel])),
            }
        }
        Ok(values)
    }
}

fn per_channel(
    given: Option<&[f64]>,
    picture: &Picture,
    absent: f32,
    flag: &str,
) -> Result<Vec<f32>> {
    match given {
        None => Ok(vec![absent; picture.channels]),
        Some([one]) => Ok(vec![*one as f32; picture.channels]),
        Some(several) if several.len() == picture.channels => {
            Ok(several.iter().map(|&value| value as f32).collect())
        }
        Some(several) => Err(Error::usage(format!(
            "{flag} has {} numbers, the picture {} channels ({})",
            several.len(),
            picture.channels,
            picture.mode()
        ))
        .with_hint("--convert RGB or --convert L converts the picture, as PIL's convert does")),
    }
}
