//! How often which values occur.

use super::Figure;
use super::Shade;

/// Values between two edges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Lower edge, included.
    pub low: f64,
    /// Upper edge; included in the last bin only.
    pub high: f64,
    /// Values.
    pub count: u64,
}

/// Values counted; what is not finite, and what lies outside, counted apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Bins of equal width.
    pub bins: Vec<Bin>,
    /// Finite values below the first bin, above the last one.
    pub outside: [u64; 2],
    /// NaNs, +infinities, -infinities.
    pub odd: [u64; 3],
    /// All values.
    pub count: u64,
    /// Values that are 0.
    pub zeros: u64,
    /// Of the finite values.
    pub mean: f64,
    /// Of the finite values, divided by their number.
    pub std: f64,
    /// The least and the largest finite value; NaN where there are none.
    pub ends: (f64, f64),
}

impl Histogram {
    /// Of all values of a figure, over its scale's range, in `bins` bins.
    pub fn of(figure: &Figure, bins: usize) -> Self {
        let values = || {
            figure
                .panels
                .iter()
                .flat_map(|panel| panel.values.iter().copied())
        };
        let (mut low, mut high) = figure.scale.range;
        if low == high {
            // all alike: one step to both sides
            let step = if low == 0.0 { 1.0 } else { low.abs() / 2.0 };
            (low, high) = (low - step, high + step);
        }
        let edge = |number: usize| match number {
            0 => low,
            _ if number == bins => high,
            // so that the middle of a symmetrical range is 0 exactly
            _ if number * 2 == bins && low == -high => 0.0,
            // the distance between the ends may be more than a float64 can hold
            _ => {
                let share = number as f64 / bins as f64;
                low * (1.0 - share) + high * share
            }
        };
        let mut found = Self {
            bins: (0..bins)
                .map(|number| Bin {
                    low: edge(number),
                    high: edge(number + 1),
                    count: 0,
                })
                .collect(),
            outside: [0; 2],
            odd: figure.odd().map(|count| count as u64),
            count: 0,
            zeros: 0,
            mean: f64::NAN,
            std: f64::NAN,
            ends: (f64::NAN, f64::NAN),
        };
        let mut finite = 0u64;
        for value in values() {
            found.count += 1;
            if !value.is_finite() {
                continue;
            }
            found.zeros += u64::from(value == 0.0);
            found.ends = (found.ends.0.min(value), found.ends.1.max(value));
            finite += 1;
            match found.bin_of(value) {
                Some(number) => found.bins[number].count += 1,
                None => found.outside[usize::from(value > high)] += 1,
            }
        }
        if finite > 0 {
            // scaled, so that neither sum nor squares overflow
            let largest = found.ends.0.abs().max(found.ends.1.abs());
            let scale = if largest > 0.0 { largest } else { 1.0 };
            let scaled = || {
                values()
                    .filter(|value| value.is_finite())
                    .map(|value| value / scale)
            };
            let mean = scaled().sum::<f64>() / finite as f64;
            let squares = scaled().map(|value| (value - mean).powi(2)).sum::<f64>();
            found.mean = mean * scale;
            found.std = (squares / finite as f64).sqrt() * scale;
        }
        found
    }

    /// The bin of a finite value: the last one whose lower edge is not above it.
    fn bin_of(&self, value: f64) -> Option<usize> {
        let after = self.bins.partition_point(|bin| bin.low <= value);
        let last = self.bins.last()?;
        (after > 0 && value <= last.high).then(|| after - 1)
    }

    /// Whether zero lies between bins, as on a diverging scale.
    pub fn is_signed(figure: &Figure) -> bool {
        matches!(figure.scale.shade, Shade::Diverging | Shade::Rgb)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::FigureOptions;
    use crate::tensor::{ByteOrder, DType, Layout, TensorView};

    fn histogram(values: &[f64], bins: usize) -> Histogram {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let layout = Layout::contiguous(vec![1, 1, values.len()]).unwrap();
        let view = TensorView::new(bytes, DType::Float64, layout, ByteOrder::Little).unwrap();
        let options = FigureOptions {
            shade: Some(Shade::Diverging),
            ..FigureOptions::default()
        };
        Histogram::of(&Figure::of_maps("x", &view, 0, &options).unwrap(), bins)
    }

    fn counts(found: &Histogram) -> Vec<u64> {
        found.bins.iter().map(|bin| bin.count).collect()
    }

    #[test]
    fn every_value_is_in_one_bin_or_counted_apart() {
        let found = histogram(&[-1.0, -0.5, 0.0, 0.5, 1.0, f64::NAN, f64::INFINITY], 4);
        assert_eq!(
            counts(&found),
            [1, 1, 1, 2],
            "the last edge belongs to the last bin"
        );
        assert_eq!((found.odd, found.count, found.zeros), ([1, 1, 0], 7, 1));
        assert_eq!((found.mean, found.std), (0.0, 0.5f64.sqrt()));
        let flat = histogram(&[0.0; 3], 2);
        assert_eq!(counts(&flat), [0, 3]);
        let none = histogram(&[f64::NAN], 2);
        assert!(none.mean.is_nan() && counts(&none) == [0, 0]);
    }

    #[test]
    fn the_largest_numbers_there_are() {
        let found = histogram(&[f64::MAX, -f64::MAX, f64::MAX, 1.0], 6);
        assert_eq!(counts(&found), [1, 0, 0, 1, 0, 2]);
        assert!(
            found
                .bins
                .iter()
                .all(|bin| bin.low < bin.high && bin.high.is_finite())
        );
        assert!(found.mean.is_finite() && found.std.is_finite());
        let tiny = histogram(&[5e-324, -5e-324], 3);
        assert_eq!(tiny.count, 2);
    }
}
