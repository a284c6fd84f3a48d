//! Figures of one tensor: extremes, mean, spread, zeros, what is not finite, a histogram, the norm of each filter.
//!
//! Two walks over the elements: the first finds the extremes and the mean, the second the spread around that mean and
//! the histogram between those extremes. Everything is summed in float64.

use std::io::Write;

use serde::Serialize;

use crate::checkpoint::Checkpoint;
use crate::checkpoint::TensorEntry;
use crate::tensor::DType;
use crate::tensor::reals::each_real;

/// Bars of a histogram.
const BARS: usize = 64;
/// Most filters whose norms are told.
const FILTERS: usize = 1 << 16;
/// Bytes that may be read for each byte that the file stores, beyond [`FREE`]: tensors that share a storage are read
/// each, and a hostile file has a great many of them.
const RATIO: u64 = 8;
const FREE: u64 = 256 << 20;

/// Figures of one tensor; of a complex one those of the moduli.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Smallest finite element.
    pub min: Option<f64>,
    /// Largest finite element.
    pub max: Option<f64>,
    /// Mean of the finite elements.
    pub mean: Option<f64>,
    /// Their standard deviation, by n - 1 as `torch.Tensor.std` has it; `None` for fewer than two.
    pub std: Option<f64>,
    /// Euclidean norm of the finite elements.
    pub norm: f64,
    /// Elements that are zero, of either sign.
    pub zeros: u64,
    /// NaNs.
    #[serde(skip_serializing_if = "is_zero")]
    pub nan: u64,
    /// Infinities of either sign.
    #[serde(skip_serializing_if = "is_zero")]
    pub inf: u64,
    /// Finite elements in each of equally wide bars from `min` to `max`; one bar where these are equal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub histogram: Vec<u64>,
    /// Norm of each slice along the first axis, for convolutions: of each filter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub norms: Vec<f64>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Which tensors are read: all, unless so many share so few bytes that reading each would not end.
pub(super) fn affordable(
    checkpoint: &Checkpoint,
    entries: &[(&TensorEntry, Option<usize>)],
) -> Vec<bool> {
    let stored = checkpoint.storages().iter().fold(0u64, |sum, storage| {
        sum.saturating_add(storage.nbytes as u64)
    });
    let mut left = stored.saturating_mul(RATIO).saturating_add(FREE);
    entries
        .iter()
        .map(
            |(entry, _)| match left.checked_sub(read_for(checkpoint, entry)) {
                Some(rest) => {
                    left = rest;
                    true
                }
                None => false,
            },
        )
        .collect()
}

/// Bytes to go through for the figures of `entry`: where its storage is compressed, all of that.
fn read_for(checkpoint: &Checkpoint, entry: &TensorEntry) -> u64 {
    let storage = entry.storage.and_then(|id| checkpoint.storages().get(id.0));
    let inflated = storage.map_or(0, |storage| match storage.file_offset {
        Some(_) => 0,
        None => storage.nbytes as u64,
    });
    let elements = entry.dtype.bytes_of(entry.layout.numel());
    (elements.unwrap_or(usize::MAX) as u64).saturating_add(inflated)
}

/// The figures; `Ok(None)` where there is nothing to read, `Err` says why they are not known.
pub(super) fn of(
    checkpoint: &Checkpoint,
    entry: &TensorEntry,
    affordable: bool,
    has_filters: bool,
) -> Result<Option<Figures>, String> {
    if entry.storage.is_none() || entry.layout.numel() == 0 {
        return Ok(None);
    }
    if !affordable {
        return Err("so many tensors share these bytes that they are not read one by one".into());
    }
    let why = |e: &crate::error::Error| e.message().to_owned();
    let view = checkpoint.view(entry).map_err(|e| why(&e))?;
    let shape = entry.layout.shape();
    let per_filter = match shape {
        [filters, ..] if has_filters && *filters <= FILTERS => entry.layout.numel() / filters,
        _ => 0,
    };
    let mut first = First::new(per_filter);
    walk(&view, |value| first.add(value)).map_err(|e| e.to_string())?;
    let mut second = Second::new(&first);
    walk(&view, |value| second.add(value)).map_err(|e| e.to_string())?;
    Ok(Some(first.finish(&second)))
}

fn walk(view: &crate::tensor::TensorView<'_>, visit: impl FnMut(f64)) -> std::io::Result<()> {
    let dtype = view.dtype();
    let mut reader = Reals {
        dtype,
        left: view.layout().numel(),
        visit,
    };
    view.write_logical(&mut reader)
}

/// Takes elements as [`crate::tensor::TensorView::write_logical`] writes them, whole ones at a time.
struct Reals<F> {
    dtype: DType,
    left: usize,
    visit: F,
}

impl<F: FnMut(f64)> Write for Reals<F> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let numel = self.dtype.elements_in(bytes.len()).min(self.left);
        self.left -= numel;
        each_real(self.dtype, bytes, numel, &mut self.visit);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct First {
    figures: Figures,
    finite: u64,
    sum: f64,
    squares: f64,
    per_filter: usize,
    in_filter: usize,
    filter: f64,
}

impl First {
    fn new(per_filter: usize) -> Self {
        Self {
            figures: Figures::default(),
            finite: 0,
            sum: 0.0,
            squares: 0.0,
            per_filter,
            in_filter: 0,
            filter: 0.0,
        }
    }

    fn add(&mut self, value: f64) {
        let figures = &mut self.figures;
        if value.is_finite() {
            figures.min = Some(figures.min.map_or(value, |min| min.min(value)));
            figures.max = Some(figures.max.map_or(value, |max| max.max(value)));
            figures.zeros += u64::from(value == 0.0);
            self.finite += 1;
            self.sum += value;
            self.squares += value * value;
            self.filter += value * value;
        } else if value.is_nan() {
            figures.nan += 1;
        } else {
            figures.inf += 1;
        }
        if self.per_filter > 0 {
            self.in_filter += 1;
            if self.in_filter == self.per_filter {
                figures.norms.push(rounded(self.filter.sqrt()));
                (self.in_filter, self.filter) = (0, 0.0);
            }
        }
    }

    fn mean(&self) -> Option<f64> {
        (self.finite > 0).then(|| self.sum / self.finite as f64)
    }

    fn finish(self, second: &Second) -> Figures {
        let finite_or_none = |value: f64| value.is_finite().then_some(value);
        let spread = (self.finite > 1).then(|| (second.squares / (self.finite - 1) as f64).sqrt());
        Figures {
            mean: self.mean().and_then(finite_or_none),
            std: spread.and_then(finite_or_none),
            norm: self.squares.sqrt().min(f64::MAX),
            histogram: second.bars.clone(),
            ..self.figures
        }
    }
}

/// Four digits: a norm is looked at, not computed with.
fn rounded(norm: f64) -> f64 {
    let norm = norm.min(f64::MAX);
    format!("{norm:.3e}").parse().unwrap_or(norm)
}

struct Second {
    mean: f64,
    min: f64,
    width: f64,
    squares: f64,
    bars: Vec<u64>,
}

impl Second {
    fn new(first: &First) -> Self {
        let range = first.figures.min.zip(first.figures.max);
        let (min, max) = range.unwrap_or_default();
        let bars = match range {
            None => 0,
            Some(_) if min == max => 1,
            Some(_) => BARS,
        };
        Self {
            mean: first.mean().unwrap_or_default(),
            min,
            // halves, so that the distance of the largest float64s does not overflow
            width: (max / 2.0 - min / 2.0) / bars.max(1) as f64,
            squares: 0.0,
            bars: vec![0; bars],
        }
    }

    fn add(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        let distance = value - self.mean;
        self.squares += distance * distance;
        let bar = if self.width > 0.0 {
            ((value / 2.0 - self.min / 2.0) / self.width) as usize
        } else {
            0
        };
        let last = self.bars.len().saturating_sub(1);
        if let Some(count) = self.bars.get_mut(bar.min(last)) {
            *count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Figures, First, Second};

    fn of(values: &[f64], per_filter: usize) -> Figures {
        let mut first = First::new(per_filter);
        values.iter().for_each(|&value| first.add(value));
        let mut second = Second::new(&first);
        values.iter().for_each(|&value| second.add(value));
        first.finish(&second)
    }

    #[test]
    fn figures_are_torchs() {
        // torch.tensor([1., 2., 4., 0.]).std() is 1.7078, its norm 4.5826
        let figures = of(&[1.0, 2.0, 4.0, -0.0], 2);
        assert_eq!((figures.min, figures.max), (Some(-0.0), Some(4.0)));
        assert_eq!((figures.mean, figures.zeros), (Some(1.75), 1));
        assert!((figures.std.unwrap() - 1.707_825_127_66).abs() < 1e-9);
        assert_eq!(figures.norms, [2.236, 4.0]);
        assert_eq!(figures.histogram.iter().sum::<u64>(), 4);
        assert_eq!((figures.histogram[0], figures.histogram[63]), (1, 1));
    }

    #[test]
    fn what_is_not_finite_is_counted_apart() {
        let figures = of(&[f64::NAN, f64::INFINITY, 3.0, f64::NEG_INFINITY], 0);
        assert_eq!((figures.nan, figures.inf), (1, 2));
        assert_eq!(
            (figures.min, figures.max, figures.std),
            (Some(3.0), Some(3.0), None)
        );
        assert_eq!(figures.histogram, [1]);
        assert_eq!(of(&[f64::NAN], 0).mean, None);
        let extreme = of(&[f64::MAX, f64::MIN, f64::MAX], 0);
        assert_eq!(extreme.histogram[63], 2);
        assert_eq!(extreme.std, None, "it overflows");
    }
}
