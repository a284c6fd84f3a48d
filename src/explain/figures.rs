//! Figures per filter: norm, mean, spread, zeros, and filters that do nothing or the same as another.

use std::collections::HashMap;

use sha2::Digest;
use sha2::Sha256;

use crate::checkpoint::Checkpoint;
use crate::checkpoint::TensorEntry;
use crate::error::{Error, Result};
use crate::tensor::Element;

/// Figures of every slice along the first axis.
#[derive(Clone, Debug)]
pub struct Figures {
    /// In the order asked for.
    pub filters: Vec<Filter>,
    /// What they are sorted by.
    pub sorted: Sort,
}

/// What to sort by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// As they are stored.
    #[default]
    Index,
    /// By a figure, the largest first.
    Norm,
    /// Likewise.
    Mean,
    /// Likewise.
    Std,
    /// Likewise.
    Max,
    /// By the smallest element, the smallest first.
    Min,
    /// Likewise.
    Zeros,
}

impl Sort {
    /// The figure's name.
    pub fn name(self) -> &'static str {
        match self {
            Sort::Index => "index",
            Sort::Norm => "norm",
            Sort::Mean => "mean",
            Sort::Std => "std",
            Sort::Max => "max",
            Sort::Min => "min",
            Sort::Zeros => "zeros",
        }
    }
}

/// One filter (row, vector, input channel of a transposed convolution).
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// Index along the first axis.
    pub index: usize,
    /// Elements.
    pub count: usize,
    /// Euclidean norm of the finite elements, in float64.
    pub norm: f64,
    /// Mean of the finite elements; NaN where there are none.
    pub mean: f64,
    /// Standard deviation of the finite elements, with n - 1 below as `torch.std`; NaN for fewer than two.
    pub std: f64,
    /// Smallest finite element; NaN where there is none.
    pub min: f64,
    /// Largest finite element; NaN where there is none.
    pub max: f64,
    /// Elements that are zero, of either sign.
    pub zeros: usize,
    /// Elements that are NaN.
    pub nan: usize,
    /// Elements that are infinite.
    pub inf: usize,
    /// The first filter that has the same bits.
    pub same_as: Option<usize>,
}

impl Filter {
    /// Whether it gives nothing but its bias.
    pub fn is_dead(&self) -> bool {
        self.count > 0 && self.zeros == self.count
    }
}

impl Figures {
    /// Of `tensor`, along its first axis.
    ///
    /// # Errors
    ///
    /// `Unsupported` for complex elements and pairs of them, `Usage` for a tensor without axes.
    pub fn of(checkpoint: &Checkpoint, tensor: &TensorEntry, sort: Sort) -> Result<Self> {
        let shape = tensor.layout.shape();
        let [count, rest @ ..] = shape else {
            return Err(Error::usage(
                "a single number has no filters to give figures of",
            ));
        };
        let each: usize = rest.iter().product();
        let view = checkpoint.view(tensor)?;
        let mut filters = Vec::with_capacity(*count);
        // by digest, so that a table of millions of rows takes no more memory than their number
        let mut seen: HashMap<[u8; 32], usize> = HashMap::new();
        let mut index = vec![0; shape.len()];
        for number in 0..*count {
            let mut sums = Sums::default();
            let mut bits = Sha256::new();
            for flat in 0..each {
                index[0] = number;
                let mut left = flat;
                for axis in (1..shape.len()).rev() {
                    index[axis] = left % shape[axis];
                    left /= shape[axis];
                }
                let (Some(element), Some(pattern)) = (view.element(&index), view.bits(&index))
                else {
                    return Err(unreadable(tensor));
                };
                sums.add(&element).ok_or_else(|| unreadable(tensor))?;
                bits.update(pattern.to_le_bytes());
            }
            let mut filter = sums.filter(number, each);
            if each > 0 && !filter.is_dead() {
                let digest = bits.finalize().into();
                filter.same_as = seen.get(&digest).copied();
                seen.entry(digest).or_insert(number);
            }
            filters.push(filter);
        }
        let key = |filter: &Filter| match sort {
            Sort::Index => 0.0,
            Sort::Norm => filter.norm,
            Sort::Mean => filter.mean,
            Sort::Std => filter.std,
            Sort::Max => filter.max,
            Sort::Min => -filter.min,
            Sort::Zeros => filter.zeros as f64,
        };
        // stable; those without a number last
        filters.sort_by(|a, b| {
            let (a, b) = (key(a), key(b));
            a.is_nan()
                .cmp(&b.is_nan())
                .then(b.partial_cmp(&a).unwrap_or(std::cmp::Ordering::Equal))
        });
        Ok(Self {
            filters,
            sorted: sort,
        })
    }
}

fn unreadable(tensor: &TensorEntry) -> Error {
    Error::unsupported(format!(
        "no figures are known for elements of {}",
        tensor.dtype.name()
    ))
}

/// Running sums over one filter. The spread is summed around the running mean (Welford), so that it stays exact where
/// the mean is large beside it.
#[derive(Default)]
struct Sums {
    squares: f64,
    mean: f64,
    around: f64,
    finite: usize,
    min: Option<f64>,
    max: Option<f64>,
    zeros: usize,
    nan: usize,
    inf: usize,
}

impl Sums {
    fn add(&mut self, element: &Element) -> Option<()> {
        let value = match element {
            Element::Float(value) => *value,
            Element::Int(value) => *value as f64,
            Element::Bool(value) => f64::from(u8::from(*value)),
            Element::Complex(..) | Element::Pair(..) => return None,
        };
        if value.is_nan() {
            self.nan += 1;
        } else if value.is_infinite() {
            self.inf += 1;
        } else {
            self.finite += 1;
            self.zeros += usize::from(value == 0.0);
            self.squares += value * value;
            let away = value - self.mean;
            self.mean += away / self.finite as f64;
            self.around += away * (value - self.mean);
            self.min = Some(self.min.map_or(value, |min| min.min(value)));
            self.max = Some(self.max.map_or(value, |max| max.max(value)));
        }
        Some(())
    }

    fn filter(&self, index: usize, count: usize) -> Filter {
        let over = |n: usize, value: f64| if self.finite > n { value } else { f64::NAN };
        Filter {
            index,
            count,
            norm: self.squares.sqrt(),
            mean: over(0, self.mean),
            std: over(1, (self.around / (self.finite.max(2) - 1) as f64).sqrt()),
            min: self.min.unwrap_or(f64::NAN),
            max: self.max.unwrap_or(f64::NAN),
            zeros: self.zeros,
            nan: self.nan,
            inf: self.inf,
            same_as: None,
        }
    }
}
