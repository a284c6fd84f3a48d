//! Values measured against their scale, and small enough to be drawn.

use super::Arrangement;
use super::Figure;
use super::Panel;
use super::Scale;
use super::Shade;
use super::Subject;

/// One value, ready to be coloured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    /// On a diverging scale from -1 to 1, on the others from 0 to 1; what lies beyond the ends is put there.
    At(f32),
    /// Three of them, from 0 to 1.
    Rgb([f32; 3]),
    /// Not a number.
    Nan,
    /// +infinity
    Infinite,
    /// -infinity
    NegativeInfinite,
    /// Behind the end of a vector.
    Absent,
}

/// A panel's cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Cells {
    /// Rows.
    pub rows: usize,
    /// Cells in a row.
    pub columns: usize,
    /// Row by row.
    pub cells: Vec<Cell>,
}

impl Scale {
    /// Where `value`, of the filter at position `filter`, lies.
    pub fn place(&self, value: f64, filter: usize) -> Cell {
        if value.is_nan() {
            return Cell::Nan;
        }
        if value.is_infinite() {
            return if value > 0.0 {
                Cell::Infinite
            } else {
                Cell::NegativeInfinite
            };
        }
        let each = self.each.as_ref().and_then(|each| each.get(filter));
        let (low, high) = each.copied().unwrap_or(self.range);
        let share = |part: f64, whole: f64| if whole == 0.0 { 0.0 } else { part / whole };
        let at = match self.shade {
            Shade::Diverging if value < 0.0 => -share(value, low).clamp(0.0, 1.0),
            Shade::Diverging => share(value, high).clamp(0.0, 1.0),
            Shade::Rgb if value < 0.0 => 0.5 - 0.5 * share(value, low).clamp(0.0, 1.0),
            Shade::Rgb => 0.5 + 0.5 * share(value, high).clamp(0.0, 1.0),
            // halves first: the distance between the ends may be more than a float64 can hold
            Shade::Sequential | Shade::Grey => {
                share(value / 2.0 - low / 2.0, high / 2.0 - low / 2.0).clamp(0.0, 1.0)
            }
        };
        Cell::At(at as f32)
    }
}

impl Figure {
    /// The cells of one of its panels, `factor` rows and columns of them as one.
    ///
    /// What is left of several: of weights the first, since the mean of noise is nothing and its extremes are all alike;
    /// of feature maps, and of red, green and blue, the mean; one that is not finite goes before all.
    pub fn cells(&self, panel: &Panel, factor: [usize; 2]) -> Cells {
        let [by_rows, by_columns] = factor;
        let row_is_filter = matches!(self.arrangement, Arrangement::Matrix(..));
        let size = panel.rows * panel.columns;
        let cell = |row: usize, column: usize| {
            let at = row * panel.columns + column;
            let filter = panel.filter + if row_is_filter { row } else { 0 };
            let place = |plane: usize| match panel.values.get(plane * size + at) {
                Some(&value) => self.scale.place(value, filter),
                None => Cell::Absent,
            };
            match panel.planes {
                3 => together([place(0), place(1), place(2)]),
                _ => place(0),
            }
        };
        let (rows, columns) = (
            panel.rows.div_ceil(by_rows),
            panel.columns.div_ceil(by_columns),
        );
        let is_mean = panel.planes == 3 || self.subject == Subject::Maps;
        let mut cells = Vec::with_capacity(rows * columns);
        for row in 0..rows {
            for column in 0..columns {
                let down = row * by_rows..((row + 1) * by_rows).min(panel.rows);
                let across = column * by_columns..((column + 1) * by_columns).min(panel.columns);
                let block = down.flat_map(|y| across.clone().map(move |x| (y, x)));
                cells.push(summary(block.map(|(y, x)| cell(y, x)), is_mean));
            }
        }
        Cells {
            rows,
            columns,
            cells,
        }
    }
}

/// Red, green and blue as one cell.
fn together(parts: [Cell; 3]) -> Cell {
    let odd = parts.into_iter().find(|part| !matches!(part, Cell::At(_)));
    odd.unwrap_or_else(|| {
        Cell::Rgb(parts.map(|part| match part {
            Cell::At(at) => at,
            _ => 0.0,
        }))
    })
}

fn summary(block: impl Iterator<Item = Cell>, is_mean: bool) -> Cell {
    let (mut count, mut sums, mut is_rgb) = (0f32, [0f32; 3], false);
    let mut first: Option<f32> = None;
    let mut odd: Option<Cell> = None;
    for cell in block {
        match cell {
            Cell::At(at) => {
                (count, sums[0]) = (count + 1.0, sums[0] + at);
                first = first.or(Some(at));
            }
            Cell::Rgb(parts) => {
                (count, is_rgb) = (count + 1.0, true);
                sums.iter_mut()
                    .zip(parts)
                    .for_each(|(sum, part)| *sum += part);
            }
            Cell::Absent => {}
            Cell::Nan => odd = Some(Cell::Nan),
            Cell::Infinite | Cell::NegativeInfinite => odd = odd.or(Some(cell)),
        }
    }
    match (odd, first) {
        (Some(odd), _) => odd,
        _ if is_rgb => Cell::Rgb(sums.map(|sum| sum / count)),
        (None, Some(_)) if is_mean => Cell::At(sums[0] / count),
        (None, Some(first)) => Cell::At(first),
        (None, None) => Cell::Absent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(shade: Shade, low: f64, high: f64) -> Scale {
        Scale {
            shade,
            range: (low, high),
            each: None,
            given: false,
            beyond: 0,
        }
    }

    #[test]
    fn zero_is_the_middle_whatever_the_ends() {
        let lopsided = scale(Shade::Diverging, -1.0, 4.0);
        for (value, at) in [
            (0.0, 0.0),
            (-0.5, -0.5),
            (2.0, 0.5),
            (9.0, 1.0),
            (-9.0, -1.0),
        ] {
            assert_eq!(lopsided.place(value, 0), Cell::At(at), "{value}");
        }
        assert_eq!(scale(Shade::Rgb, -2.0, 2.0).place(1.0, 0), Cell::At(0.75));
        assert_eq!(
            scale(Shade::Sequential, 1.0, 3.0).place(1.5, 0),
            Cell::At(0.25)
        );
        let widest = scale(Shade::Sequential, -f64::MAX, f64::MAX);
        assert_eq!(widest.place(0.0, 0), Cell::At(0.5));
        let flat = scale(Shade::Sequential, 1.0, 1.0);
        assert_eq!(flat.place(1.0, 0), Cell::At(0.0));
        assert_eq!(flat.place(f64::NAN, 0), Cell::Nan);
        assert_eq!(flat.place(f64::NEG_INFINITY, 0), Cell::NegativeInfinite);
    }

    #[test]
    fn nothing_odd_disappears_when_cells_are_joined() {
        let cells = [Cell::At(0.1), Cell::At(-0.9), Cell::At(0.8), Cell::Absent];
        assert_eq!(summary(cells.into_iter(), false), Cell::At(0.1));
        let Cell::At(mean) = summary(cells.into_iter(), true) else {
            panic!()
        };
        assert!(mean.abs() < 1e-6);
        let with = |cell| summary(cells.into_iter().chain([cell]), false);
        assert_eq!(with(Cell::Infinite), Cell::Infinite);
        assert_eq!(with(Cell::Nan), Cell::Nan);
        assert_eq!(summary([Cell::Absent].into_iter(), true), Cell::Absent);
    }
}
