//! What one output pixel reads, and what no output pixel reads.
//!
//! All of it goes axis by axis: tap k of output o stands at `o*stride + k*dilation - padding` of the input, and where
//! that is outside, the padding mode says which pixel it copies. A window is the product of its axes.

use super::convolution::{Convolution, OutputAxis};
use crate::error::{Error, Result};
use crate::execute::PaddingMode;

/// Longest axis of an input whose unread rows are looked for.
const LONGEST: usize = 1 << 20;

/// What an output pixel reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The output pixel, one index per spatial axis.
    pub output: Vec<usize>,
    /// What it reads along each spatial axis.
    pub axes: Vec<Vec<Tap>>,
    /// What the padding holds.
    pub mode: PaddingMode,
}

/// One tap along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tap {
    /// Index in the kernel.
    pub kernel: usize,
    /// Where it stands: the first row (column) of the image is 0, the padding before it has negative numbers.
    pub at: i64,
    /// The row (column) of the image whose pixels it reads; `None` for the zeros of the padding.
    pub source: Option<usize>,
}

impl Window {
    /// Of the output pixel at `index`, for an input whose axes are `axes`.
    pub fn of(conv: &Convolution, axes: &[OutputAxis], index: &[usize]) -> Result<Self> {
        let sizes: Vec<usize> = axes.iter().map(|axis| axis.output).collect();
        let inside = index.len() == sizes.len() && index.iter().zip(&sizes).all(|(i, n)| i < n);
        if !inside {
            return Err(Error::usage(format!(
                "--output-at {} is not in the output, which has {sizes:?} pixels",
                index
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(",")
            ))
            .with_hint("the index is y,x (x alone in one dimension), from 0 on"));
        }
        let mode = PaddingMode::parse(&conv.hyper.padding_mode.value)?;
        let taps = |(axis, &o): (&OutputAxis, &usize)| match conv.transposed {
            false => taps(axis, o, mode),
            true => stamps(axis, o),
        };
        Ok(Self {
            output: index.to_vec(),
            axes: axes.iter().zip(index).map(taps).collect(),
            mode,
        })
    }
}

/// The taps of output `o`.
pub fn taps(axis: &OutputAxis, o: usize, mode: PaddingMode) -> Vec<Tap> {
    let tap = |kernel: usize| {
        // no overflow: the output's size was computed from the padded input, in which all of this lies
        let padded = o * axis.stride + kernel * axis.dilation;
        Tap {
            kernel,
            at: padded as i64 - axis.padding.0 as i64,
            source: mode.source(padded, axis.padding.0, axis.input),
        }
    };
    (0..axis.kernel).map(tap).collect()
}

/// The kernel indices through which an input row of a transposed convolution reaches output `o`, and those rows.
fn stamps(axis: &OutputAxis, o: usize) -> Vec<Tap> {
    let stamp = |kernel: usize| {
        let at = (o + axis.padding.0).checked_sub(kernel * axis.dilation)?;
        let row = at / axis.stride;
        (at.is_multiple_of(axis.stride) && row < axis.input).then_some(Tap {
            kernel,
            at: row as i64,
            source: Some(row),
        })
    };
    (0..axis.kernel).filter_map(stamp).collect()
}

/// The rows (columns) of the image that no output reads, not even a copy of them; `None` where there are too many
/// rows to look at.
pub fn unread(axis: &OutputAxis, mode: PaddingMode) -> Option<Vec<usize>> {
    if axis.input > LONGEST || axis.output.saturating_mul(axis.kernel) > LONGEST << 6 {
        return None;
    }
    let mut read = vec![false; axis.input];
    for o in 0..axis.output {
        for tap in taps(axis, o, mode) {
            if let Some(row) = tap.source.and_then(|source| read.get_mut(source)) {
                *row = true;
            }
        }
    }
    Some((0..axis.input).filter(|&row| !read[row]).collect())
}

/// Padding that the mode cannot fill, as PyTorch refuses it.
pub(super) fn check_padding(conv: &Convolution, axes: &[OutputAxis]) -> Result<()> {
    let mode = PaddingMode::parse(&conv.hyper.padding_mode.value)?;
    for axis in axes {
        let most = match mode {
            PaddingMode::Zeros => continue,
            PaddingMode::Reflect => axis.input.saturating_sub(1),
            PaddingMode::Replicate if axis.input == 0 => 0,
            PaddingMode::Replicate => continue,
            PaddingMode::Circular => axis.input,
        };
        let widest = axis.padding.0.max(axis.padding.1);
        if widest > most {
            return Err(Error::usage(format!(
                "padding_mode={} can pad an axis of {} by {most} at most, not by {widest}",
                mode.name(),
                axis.input
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Window, unread};
    use crate::execute::PaddingMode;
    use crate::explain::Convolution;
    use crate::explain::LayerOptions;
    use crate::explain::Padding;

    fn conv(k: usize, stride: usize, padding: usize, dilation: usize) -> Convolution {
        let options = LayerOptions {
            stride: Some(vec![stride]),
            padding: Some(Padding::Sizes(vec![padding])),
            dilation: Some(vec![dilation]),
            ..LayerOptions::default()
        };
        Convolution::of(false, &[1, 1, k, k], None, None, &options).unwrap()
    }

    fn sources(conv: &Convolution, size: usize, o: usize) -> Vec<Option<usize>> {
        let output = conv.output(&[1, 1, size, size]).unwrap();
        let window = Window::of(conv, &output.axes, &[o, o]).unwrap();
        window.axes[0].iter().map(|tap| tap.source).collect()
    }

    #[test]
    fn padding_modes_copy_what_torch_copies() {
        let mut conv = conv(3, 1, 2, 1);
        assert_eq!(sources(&conv, 5, 0), [None, None, Some(0)]);
        for (mode, first, last) in [
            ("reflect", [2, 1, 0], [4, 3, 2]),
            ("replicate", [0, 0, 0], [4, 4, 4]),
            ("circular", [3, 4, 0], [4, 0, 1]),
        ] {
            conv.hyper.padding_mode.value = mode.to_owned();
            assert_eq!(sources(&conv, 5, 0), first.map(Some), "{mode}");
            assert_eq!(sources(&conv, 5, 6), last.map(Some), "{mode}");
        }
        conv.hyper.padding_mode.value = "reflect".to_owned();
        assert!(
            conv.output(&[1, 1, 2, 2]).is_err(),
            "2 rows cannot be reflected twice"
        );
    }

    #[test]
    fn unread_rows_are_named() {
        let rows = |k, s, p, d, size| {
            let output = conv(k, s, p, d).output(&[1, size, size]).unwrap();
            unread(&output.axes[0], PaddingMode::Zeros).unwrap()
        };
        assert_eq!(rows(3, 2, 0, 1, 8), [7]);
        assert_eq!(rows(1, 3, 0, 1, 8), [1, 2, 4, 5, 7]);
        assert_eq!(
            rows(2, 2, 0, 2, 8),
            [1, 3, 5, 7],
            "stride and dilation in step"
        );
        assert_eq!(rows(7, 2, 3, 1, 224), [0; 0]);
    }

    #[test]
    fn a_transposed_pixel_is_reached_by_what_stamps_it() {
        let options = LayerOptions {
            stride: Some(vec![2]),
            ..LayerOptions::default()
        };
        let conv = Convolution::of(true, &[1, 1, 3, 3], None, None, &options).unwrap();
        let output = conv.output(&[1, 1, 4, 4]).unwrap();
        let window = Window::of(&conv, &output.axes, &[2, 3]).unwrap();
        let pairs = |axis: usize| -> Vec<_> {
            window.axes[axis].iter().map(|t| (t.kernel, t.at)).collect()
        };
        assert_eq!(pairs(0), [(0, 1), (2, 0)]);
        assert_eq!(pairs(1), [(1, 1)]);
        assert!(Window::of(&conv, &output.axes, &[9, 0]).is_err());
    }
}
