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
        // divided first: the distance may be more than a float64 can hold
        let width = high / bins as f64 - low / bins as f64;
        let edge = |number: usize| match number {
            0 => low,
            _ if number == bins => high,
            // so that the middle of a symmetrical range is 0 exactly
            _ if number * 2 == bins && low == -high => 0.0,
            _ => low + number as f64 * width,
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
        let (mut sum, mut finite) = (0.0, 0u64);
        for value in values() {
            found.count += 1;
            if !value.is_finite() {
                continue;
            }
            found.zeros += u64::from(value == 0.0);
            found.ends = (found.ends.0.min(value), found.ends.1.max(value));
            (sum, finite) = (sum + value, finite + 1);
            match found.bin_of(value) {
                Some(number) => found.bins[number].count += 1,
                None => found.outside[usize::from(value > high)] += 1,
            }
        }
        if finite > 0 {
            found.mean = sum / finite as f64;
            let squares = values()
                .filter(|value| value.is_finite())
                .map(|value| (value - found.mean).powi(2));
            found.std = (squares.sum::<f64>() / finite as f64).sqrt();
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
