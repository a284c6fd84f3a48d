//! Figures drawn: as a raster for PNG, in the terminal, as JSON.

mod histogram;
mod json;
mod notes;
mod raster;
mod terminal;

pub use histogram::{json as histogram_json, raster as histogram_raster, text as histogram_text};
pub use json::json;
pub use notes::summary;
pub use raster::raster;
pub use terminal::text;

use crate::picture::ColorMap;
use crate::picture::Raster;
use crate::picture::Rgb;

use crate::explain::plot::Cell;
use crate::explain::plot::Shade;

/// Where the figure's numbers come from, beyond what it knows itself.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The checkpoint.
    pub file: String,
    /// The layer's input, for feature maps.
    pub input: Option<String>,
    /// Image of a batch, where there are several.
    pub image: Option<usize>,
    /// Accumulation order, for feature maps.
    pub order: Option<String>,
}

/// How a terminal is drawn on.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Colours that it has.
    pub colors: Colors,
    /// Nothing but ASCII.
    pub ascii: bool,
    /// Characters in a line.
    pub width: usize,
    /// Filters (rows, maps) to show; as many as fit into a screen or so.
    pub most: Option<usize>,
}

/// Colours of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colors {
    /// None: shades of characters.
    None,
    /// The 256 of xterm.
    Indexed,
    /// 24 bits.
    True,
}

/// What was drawn, and what was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// Filters, rows or maps.
    pub filters: usize,
    /// Channels, of a table.
    pub channels: usize,
    /// Rows and columns of values that became one cell.
    pub factor: [usize; 2],
}

/// A PNG to be, and what is in it.
#[derive(Debug)]
pub struct Drawing {
    /// The pixels.
    pub raster: Raster,
    /// What is in it.
    pub drawn: Drawn,
}

fn map_of(shade: Shade) -> ColorMap {
    match shade {
        Shade::Diverging => ColorMap::Diverging,
        Shade::Sequential => ColorMap::Sequential,
        Shade::Grey | Shade::Rgb => ColorMap::Grey,
    }
}

/// The colour of a cell; none for one that is not there.
fn color_of(cell: Cell, shade: Shade) -> Option<Rgb> {
    Some(match cell {
        Cell::At(at) => map_of(shade).color(at.into()),
        Cell::Rgb(parts) => parts.map(|part| (part * 255.0).round() as u8),
        Cell::Nan | Cell::Infinite | Cell::NegativeInfinite => ColorMap::ODD,
        Cell::Absent => return None,
    })
}

/// About three digits: `0.844`, `-1.2e-05`, `1340`.
fn short(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 {
        return "0".into();
    }
    if !value.is_finite() || !(1e-3..1e6).contains(&magnitude) {
        return format!("{value:.2e}");
    }
    let decimals = (2.0 - magnitude.log10().floor()).max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// The same with a sign.
fn signed(value: f64) -> String {
    if value > 0.0 {
        format!("+{}", short(value))
    } else {
        short(value)
    }
}

#[cfg(test)]
mod tests {
    use super::{short, signed};

    #[test]
    fn three_digits_are_enough_for_a_legend() {
        let cases = [
            (0.0, "0"),
            (0.84375, "0.844"),
            (-0.5, "-0.5"),
            (12.0, "12"),
            (123.456, "123"),
            (99_999.0, "99999"),
            (1.2e-5, "1.20e-5"),
            (-3e30, "-3.00e30"),
        ];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
        assert_eq!(signed(0.25), "+0.25");
        assert_eq!(signed(-0.25), "-0.25");
    }
}
