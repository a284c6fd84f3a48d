//! PIL's `Image.resize`: separable filters, widened when a picture shrinks ("antialias").
//!
//! For an output pixel whose centre lies at `c` in the input, every input pixel within the filter's reach (times the
//! scale, when shrinking) is weighted by the filter's value at its distance; the weights are normalized to sum 1. Width
//! and height are done one after the other, and what is between them is rounded to whole samples. 8-bit samples are
//! summed in integers, the weights being multiples of 2^-22, so that every sample comes out as PIL's; 16-bit samples in
//! float64.
//!
//! Which of the two is done first shows in the last bit. Up to Pillow 12 it was the width; Pillow 13 begins with the
//! height where that loses more than twice as many pixels as the width. That is what is done here; the rule was found by
//! resizing with Pillow 13.0.0, and agrees with it on all of `scripts/picture_parity.py`.

use std::f64::consts::PI;
use std::str::FromStr;

use super::decode::Picture;
use super::decode::Samples;

/// Bits behind the point of an 8-bit sample's weights.
const PRECISION: u32 = 32 - 8 - 2;

/// The filters, by PIL's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// A triangle: what torchvision's `Resize` takes unless told otherwise.
    #[default]
    Bilinear,
    /// A cubic with a = -0.5.
    Bicubic,
    /// A sinc under a sinc, three lobes.
    Lanczos,
    /// The mean.
    Box,
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "bilinear" => Filter::Bilinear,
            "bicubic" => Filter::Bicubic,
            "lanczos" => Filter::Lanczos,
            "box" => Filter::Box,
            _ => return Err("filters are bilinear, bicubic, lanczos and box".into()),
        })
    }
}

impl Filter {
    /// Distance beyond which the weight is 0.
    fn reach(self) -> f64 {
        match self {
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
            Filter::Lanczos => 3.0,
            Filter::Box => 0.5,
        }
    }

    fn weight(self, at: f64) -> f64 {
        let x = at.abs();
        let sinc = |x: f64| {
            if x == 0.0 {
                1.0
            } else {
                (x * PI).sin() / (x * PI)
            }
        };
        match self {
            Filter::Box => f64::from(at > -0.5 && at <= 0.5),
            Filter::Bilinear => (1.0 - x).max(0.0),
            Filter::Bicubic if x < 1.0 => ((-0.5 + 2.0) * x - (-0.5 + 3.0)) * x * x + 1.0,
            Filter::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5,
            Filter::Lanczos if (-3.0..3.0).contains(&at) => sinc(at) * sinc(at / 3.0),
            Filter::Bicubic | Filter::Lanczos => 0.0,
        }
    }
}

/// The input pixels that make up one output pixel.
struct Window {
    first: usize,
    weights: Vec<f64>,
}

fn windows(input: usize, output: usize, filter: Filter) -> Vec<Window> {
    let scale = input as f64 / output as f64;
    let widened = scale.max(1.0);
    let reach = filter.reach() * widened;
    let window = |number: usize| {
        let center = (number as f64 + 0.5) * scale;
        let first = (center - reach + 0.5).max(0.0) as usize;
        let last = ((center + reach + 0.5) as usize).min(input);
        let distance = |x: usize| (x as f64 - center + 0.5) * (1.0 / widened);
        let mut weights: Vec<f64> = (first..last).map(|x| filter.weight(distance(x))).collect();
        let sum: f64 = weights.iter().sum();
        if sum != 0.0 {
            weights.iter_mut().for_each(|weight| *weight /= sum);
        }
        Window { first, weights }
    };
    (0..output).map(window).collect()
}

/// What one weighted sum of samples is.
trait Sample: Copy + Default {
    type Weight: Copy;
    fn quantized(weight: f64) -> Self::Weight;
    fn sum(samples: impl Iterator<Item = (Self, Self::Weight)>) -> Self;
}

impl Sample for u8 {
    type Weight = i32;

    fn quantized(weight: f64) -> i32 {
        // rounded half away from zero
        (weight * f64::from(1 << PRECISION)).round() as i32
    }

    fn sum(samples: impl Iterator<Item = (Self, i32)>) -> Self {
        let half = 1 << (PRECISION - 1);
        let sum = samples.fold(half, |sum: i32, (sample, weight)| {
            sum.wrapping_add(i32::from(sample).wrapping_mul(weight))
        });
        (sum >> PRECISION).clamp(0, 255) as u8
    }
}

impl Sample for u16 {
    type Weight = f64;

    fn quantized(weight: f64) -> f64 {
        weight
    }

    fn sum(samples: impl Iterator<Item = (Self, f64)>) -> Self {
        let sum = samples.fold(0.0, |sum, (sample, weight)| {
            sum + f64::from(sample) * weight
        });
        sum.round().clamp(0.0, 65535.0) as u16
    }
}

/// `count` lines of `input` pixels become lines of `windows.len()` pixels. `step` is the distance between the pixels of a
/// line, `line` the start of each; the output is written the same way.
fn pass<T: Sample>(
    old: &[T],
    size: (usize, usize),
    channels: usize,
    along_rows: bool,
    windows: &[Window],
) -> Vec<T> {
    let (width, height) = size;
    let weights: Vec<Vec<T::Weight>> = windows
        .iter()
        .map(|window| window.weights.iter().map(|&w| T::quantized(w)).collect())
        .collect();
    let (new_width, new_height) = match along_rows {
        true => (windows.len(), height),
        false => (width, windows.len()),
    };
    let mut new = Vec::with_capacity(new_width * new_height * channels);
    for y in 0..new_height {
        for x in 0..new_width {
            let number = if along_rows { x } else { y };
            let (first, weights) = (windows[number].first, &weights[number]);
            let (start, step) = match along_rows {
                true => ((y * width + first) * channels, channels),
                false => ((first * width + x) * channels, width * channels),
            };
            for channel in 0..channels {
                let samples = (0..weights.len()).map(|k| old[start + k * step + channel]);
                new.push(T::sum(samples.zip(weights.iter().copied())));
            }
        }
    }
    new
}

fn resized<T: Sample>(
    old: &[T],
    size: (usize, usize),
    new: (usize, usize),
    channels: usize,
    filter: Filter,
) -> Vec<T> {
    let (mut samples, mut size) = (old.to_vec(), size);
    let lost = |old: usize, new: usize| old as i128 - new as i128;
    let (columns, rows) = (lost(size.0, new.0), lost(size.1, new.1));
    let height_first = rows > 0 && rows > 2 * columns;
    for along_rows in [!height_first, height_first] {
        if along_rows && new.0 != size.0 {
            samples = pass(
                &samples,
                size,
                channels,
                true,
                &windows(size.0, new.0, filter),
            );
            size.0 = new.0;
        } else if !along_rows && new.1 != size.1 {
            samples = pass(
                &samples,
                size,
                channels,
                false,
                &windows(size.1, new.1, filter),
            );
            size.1 = new.1;
        }
    }
    samples
}

impl Picture {
    /// Resized as PIL's `resize((width, height), filter)` does it; colours under transparency count for as much as they
    /// show.
    #[must_use]
    pub fn resized(self, height: usize, width: usize, filter: Filter) -> Self {
        let (old, new) = ((self.width, self.height), (width, height));
        if old == new {
            return self;
        }
        let channels = self.channels;
        let samples = match self.samples {
            Samples::Sixteen(words) => {
                Samples::Sixteen(resized(&words, old, new, channels, filter))
            }
            Samples::Eight(mut bytes) if channels.is_multiple_of(2) => {
                bytes.chunks_exact_mut(channels).for_each(premultiply);
                let mut bytes = resized(&bytes, old, new, channels, filter);
                bytes.chunks_exact_mut(channels).for_each(unpremultiply);
                Samples::Eight(bytes)
            }
            Samples::Eight(bytes) => Samples::Eight(resized(&bytes, old, new, channels, filter)),
        };
        Self {
            width,
            height,
            samples,
            ..self
        }
    }
}

fn premultiply(pixel: &mut [u8]) {
    let Some((alpha, colors)) = pixel.split_last_mut() else {
        return;
    };
    for color in colors {
        let product = u32::from(*color) * u32::from(*alpha) + 128;
        *color = (((product >> 8) + product) >> 8) as u8;
    }
}

fn unpremultiply(pixel: &mut [u8]) {
    match pixel.split_last_mut() {
        None | Some((0 | 255, _)) => {}
        Some((alpha, colors)) => {
            for color in colors {
                *color = (255 * u32::from(*color) / u32::from(*alpha)).min(255) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_pictures_stay_flat() {
        for filter in [
            Filter::Bilinear,
            Filter::Bicubic,
            Filter::Lanczos,
            Filter::Box,
        ] {
            let picture = Picture {
                width: 7,
                height: 5,
                channels: 1,
                samples: Samples::Eight(vec![113; 35]),
                orientation: 1,
            };
            let small = picture.clone().resized(2, 3, filter);
            assert_eq!(small.samples, Samples::Eight(vec![113; 6]), "{filter:?}");
            let large = picture.resized(11, 16, filter);
            assert_eq!(large.samples, Samples::Eight(vec![113; 176]), "{filter:?}");
        }
    }
}
