//! Weights and feature maps as pictures: which numbers go where, and what they are measured against. Drawing them is
//! [`crate::render`]'s work.
//!
//! A figure is made of panels, small grids of values:
//!
//! | what | panels |
//! |---|---|
//! | a layer that sees three channels | one a filter, the channels as red, green and blue |
//! | a layer that sees one channel (depthwise, grey), or one chosen channel | one a filter |
//! | one chosen filter | one a channel |
//! | any other convolution | a table: a row for each filter, a column for each channel |
//! | a 1-d convolution | one a filter: channels down, positions across |
//! | fully connected, 1 x 1 convolutions, embeddings, the norms of kernels | one, of the whole matrix |
//! | a bias or another vector | one, broken into rows |
//! | feature maps | one a map |

mod cells;
mod histogram;
mod maps;
mod numbers;
mod weight;

pub use cells::{Cell, Cells};
pub use histogram::{Bin, Histogram};

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::error::Result;
use crate::tensor::DType;
use crate::tensor::TensorView;

use super::LayerOptions;

/// Values that a figure may have: half a gigabyte of them.
const MOST_VALUES: usize = 1 << 26;

/// What to draw.
#[derive(Clone, Debug, Default)]
pub struct FigureOptions {
    /// Groups, input channels, transposed: what a state dict does not say.
    pub layer: LayerOptions,
    /// These filters (rows, maps), in this order; all of them.
    pub filters: Option<Indices>,
    /// These channels of each.
    pub channels: Option<Indices>,
    /// Largest norm first.
    pub sort: bool,
    /// Norms of the kernels instead of their weights.
    pub norms: bool,
    /// Three channels side by side instead of as red, green and blue.
    pub apart: bool,
    /// How numbers become shades.
    pub shade: Option<Shade>,
    /// The ends of the scale, instead of the values' own.
    pub range: Option<(f64, f64)>,
    /// A scale for each filter.
    pub per_filter: bool,
}

/// Indices along an axis: single ones and ranges, the end not included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indices(pub Vec<std::ops::Range<usize>>);

/// How numbers become shades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shade {
    /// Two colours that meet at zero.
    Diverging,
    /// One way from the least to the largest.
    Sequential,
    /// The same without colour.
    Grey,
    /// Three channels as red, green and blue, zero being grey.
    Rgb,
}

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The weight, or another tensor.
    Weight,
    /// L2 norms of its kernels.
    Norms,
    /// The output of a layer.
    Maps,
}

/// How the panels are arranged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrangement {
    /// One after the other, in rows as wide as there is room. The letter that stands before their numbers.
    Flow(&'static str),
    /// A row for each filter, a column for each channel: the columns' labels.
    Table(Vec<String>),
    /// One panel; letters of its rows and columns, and the columns' indices (the rows are the filters).
    Matrix(&'static str, &'static str, Vec<usize>),
    /// One panel: a vector, broken into rows.
    Vector,
}

/// A small grid of values.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Which of the figure's filters it belongs to, by position; of a matrix, the first row's.
    pub filter: usize,
    /// What is written beside it: `o=3`.
    pub label: String,
    /// Rows of values.
    pub rows: usize,
    /// Values in a row.
    pub columns: usize,
    /// 3 for red, green and blue, else 1.
    pub planes: usize,
    /// Plane by plane, row by row; of a vector, the last row may be short.
    pub values: Vec<f64>,
}

/// One filter, row or map, in numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct FilterFigures {
    /// Its number in the layer.
    pub index: usize,
    /// Values.
    pub count: usize,
    /// Of the finite values.
    pub norm: f64,
    /// Of the finite values; NaN where there are none.
    pub mean: f64,
    /// The least finite value; NaN where there are none.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// Values that are 0.
    pub zeros: usize,
    /// NaNs, +infinities, -infinities.
    pub odd: [usize; 3],
}

/// Numbers ready to be drawn.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The tensor, or the layer whose output it is.
    pub name: String,
    /// What is drawn.
    pub subject: Subject,
    /// `Conv2d`, ...
    pub kind: Option<&'static str>,
    /// Element type.
    pub dtype: DType,
    /// Shape of the tensor, or of the output.
    pub shape: Vec<usize>,
    /// Groups of a convolution.
    pub groups: usize,
    /// How the panels are arranged.
    pub arrangement: Arrangement,
    /// The panels, in the order of drawing; of a table, row by row.
    pub panels: Vec<Panel>,
    /// Each filter in numbers, in the order of drawing.
    pub filters: Vec<FilterFigures>,
    /// Filters that the layer has.
    pub of: usize,
    /// Whether they are sorted by norm.
    pub sorted: bool,
    /// How numbers become shades.
    pub scale: Scale,
}

/// The ends of a scale, and what lies between.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    /// How numbers become shades.
    pub shade: Shade,
    /// The least and the largest number, for all filters; of a diverging scale zero lies in the middle.
    pub range: (f64, f64),
    /// The same for each filter by itself.
    pub each: Option<Vec<(f64, f64)>>,
    /// Whether the ends were given.
    pub given: bool,
    /// Finite values beyond the ends, which are drawn as these.
    pub beyond: usize,
}

impl Figure {
    /// The weight of the layer (or the tensor) called `name`.
    ///
    /// # Errors
    ///
    /// As [`super::Layer::of`]; `Usage` for indices that there are not, `Unsupported` for complex elements, `Limit` for
    /// more values than can be drawn.
    pub fn of_weight(checkpoint: &Checkpoint, name: &str, options: &FigureOptions) -> Result<Self> {
        weight::figure(checkpoint, name, options)
    }

    /// The output of a layer: `[O, H, W]`, or of a batch `[N, O, H, W]` the image with the number `image`.
    ///
    /// # Errors
    ///
    /// `Usage` for indices that there are not, `Limit` for more values than can be drawn.
    pub fn of_maps(
        name: &str,
        output: &TensorView<'_>,
        image: usize,
        options: &FigureOptions,
    ) -> Result<Self> {
        maps::figure(name, output, image, options)
    }

    /// NaNs, +infinities, -infinities in what is drawn.
    pub fn odd(&self) -> [usize; 3] {
        let sum = |kind: usize| self.filters.iter().map(|filter| filter.odd[kind]).sum();
        [sum(0), sum(1), sum(2)]
    }
}

impl Indices {
    /// The indices among `size`.
    fn resolve(&self, size: usize, flag: &str) -> Result<Vec<usize>> {
        let mut indices = Vec::new();
        for range in &self.0 {
            // `8..` is everything from 8 on
            let end = if range.end == usize::MAX {
                size.max(range.start + 1)
            } else {
                range.end
            };
            if range.start >= size || end > size {
                let wrong = if range.start >= size {
                    range.start
                } else {
                    end - 1
                };
                return Err(Error::usage(format!(
                    "--{flag} {wrong}: there are {size}, counted from 0"
                )));
            }
            indices.extend(range.start..end);
        }
        Ok(indices)
    }
}

/// The chosen indices among `size`, or all of them.
fn chosen(indices: Option<&Indices>, size: usize, flag: &str) -> Result<Vec<usize>> {
    match indices {
        Some(indices) => indices.resolve(size, flag),
        None => Ok((0..size).collect()),
    }
}

impl FilterFigures {
    /// Of the filter `index`, whose values these are.
    fn of(index: usize, values: impl Iterator<Item = f64>) -> Self {
        let mut figures = Self {
            index,
            count: 0,
            norm: 0.0,
            mean: f64::NAN,
            min: f64::NAN,
            max: f64::NAN,
            zeros: 0,
            odd: [0; 3],
        };
        let (mut sum, mut largest, mut finite) = (0.0, 0f64, Vec::new());
        for value in values {
            figures.count += 1;
            if value.is_finite() {
                sum += value;
                largest = largest.max(value.abs());
                figures.min = figures.min.min(value);
                figures.max = figures.max.max(value);
                figures.zeros += usize::from(value == 0.0);
                finite.push(value);
            } else {
                let kind = usize::from(!value.is_nan()) + usize::from(value == f64::NEG_INFINITY);
                figures.odd[kind] += 1;
            }
        }
        if !finite.is_empty() {
            // scaled where the sum or a square would overflow
            let scale = if largest > 0.0 { largest } else { 1.0 };
            figures.mean = match sum.is_finite() {
                true => sum / finite.len() as f64,
                false => {
                    finite.iter().map(|value| value / scale).sum::<f64>() / finite.len() as f64
                        * scale
                }
            };
            let squares: f64 = finite.iter().map(|value| (value / scale).powi(2)).sum();
            figures.norm = squares.sqrt() * scale;
        }
        figures
    }
}

impl Scale {
    /// The scale that fits `filters`, or that `options` ask for. `usual` is the shade where they do not say.
    ///
    /// Norms are measured from 0.
    fn of(
        panels: &[Panel],
        filters: &[FilterFigures],
        usual: Shade,
        options: &FigureOptions,
    ) -> Result<Self> {
        let shade = match options.shade {
            // three planes cannot be told apart in one colour's shades
            Some(shade) if usual != Shade::Rgb => shade,
            _ => usual,
        };
        let is_signed = matches!(shade, Shade::Diverging | Shade::Rgb);
        let fitting = |min: f64, max: f64| match is_signed {
            // max and min pass over NaN
            true => {
                let largest = min.abs().max(max.abs()).max(0.0);
                (-largest, largest)
            }
            false if options.norms => (0.0, max.max(0.0)),
            false => (min.min(f64::INFINITY), max.max(f64::NEG_INFINITY)),
        };
        let settled = |(low, high): (f64, f64)| if low <= high { (low, high) } else { (0.0, 0.0) };
        let each: Vec<_> = filters
            .iter()
            .map(|f| settled(fitting(f.min, f.max)))
            .collect();
        let all = filters
            .iter()
            .fold((f64::NAN, f64::NAN), |(low, high), filter| {
                (filter.min.min(low), filter.max.max(high))
            });
        let mut scale = Self {
            shade,
            range: settled(fitting(all.0, all.1)),
            each: options.per_filter.then_some(each),
            given: false,
            beyond: 0,
        };
        if let Some((low, high)) = options.range {
            scale.set(low, high)?;
            let values = panels.iter().flat_map(|panel| &panel.values);
            let is_beyond =
                |v: &&f64| v.is_finite() && (**v < scale.range.0 || **v > scale.range.1);
            scale.beyond = values.filter(is_beyond).count();
        }
        Ok(scale)
    }

    fn set(&mut self, low: f64, high: f64) -> Result<()> {
        let crosses = low < 0.0 && high > 0.0;
        match self.shade {
            _ if low >= high => Err(Error::usage(format!("--range {low},{high} is empty"))),
            Shade::Diverging | Shade::Rgb if !crosses => Err(Error::usage(format!(
                "--range {low},{high} leaves out 0, which is the middle of a diverging scale"
            ))
            .with_hint("--colors sequential runs from one end to the other")),
            _ => {
                (self.range, self.each, self.given) = ((low, high), None, true);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::single_range_in_vec_init)] // one range is meant

    use super::*;

    #[test]
    fn what_is_not_finite_is_counted_apart() {
        let values = [
            3.0,
            f64::NAN,
            -4.0,
            f64::INFINITY,
            0.0,
            f64::NEG_INFINITY,
            f64::NAN,
        ];
        let figures = FilterFigures::of(7, values.into_iter());
        assert_eq!((figures.norm, figures.min, figures.max), (5.0, -4.0, 3.0));
        assert_eq!(
            (figures.count, figures.zeros, figures.odd),
            (7, 1, [2, 1, 1])
        );
        let none = FilterFigures::of(0, [f64::NAN].into_iter());
        assert!(none.mean.is_nan() && none.min.is_nan() && none.norm == 0.0);
        let huge = FilterFigures::of(0, [1e300, 1e300].into_iter());
        assert!((huge.norm / 1e300 - 2f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn scales_fit_and_keep_zero_in_the_middle() {
        let filters = [
            FilterFigures::of(0, [-1.0, 0.5].into_iter()),
            FilterFigures::of(1, [2.0, f64::NAN].into_iter()),
            FilterFigures::of(2, [f64::NAN].into_iter()),
        ];
        let of = |usual, options: &FigureOptions| Scale::of(&[], &filters, usual, options);
        let mut options = FigureOptions::default();
        assert_eq!(of(Shade::Diverging, &options).unwrap().range, (-2.0, 2.0));
        assert_eq!(of(Shade::Sequential, &options).unwrap().range, (-1.0, 2.0));
        options.per_filter = true;
        let each = of(Shade::Diverging, &options).unwrap().each;
        assert_eq!(each, Some(vec![(-1.0, 1.0), (-2.0, 2.0), (0.0, 0.0)]));
        options.range = Some((0.0, 1.0));
        assert!(of(Shade::Diverging, &options).is_err());
        assert!(of(Shade::Sequential, &options).unwrap().given);
    }

    #[test]
    fn indices_are_checked() {
        let indices = Indices(vec![3..4, 0..2, 6..usize::MAX]);
        assert_eq!(indices.resolve(8, "filter").unwrap(), [3, 0, 1, 6, 7]);
        let refused =
            |indices: Indices, size| indices.resolve(size, "filter").unwrap_err().to_string();
        assert_eq!(
            refused(Indices(vec![0..9]), 8),
            "--filter 8: there are 8, counted from 0"
        );
        assert_eq!(
            refused(Indices(vec![9..usize::MAX]), 8),
            "--filter 9: there are 8, counted from 0"
        );
    }
}
