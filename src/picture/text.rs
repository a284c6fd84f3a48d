//! Letters in a raster: Noto Sans Mono (SIL Open Font License), drawn beforehand by the `noto-sans-mono-bitmap` crate.

use noto_sans_mono_bitmap::FontWeight;
use noto_sans_mono_bitmap::RasterHeight;
use noto_sans_mono_bitmap::get_raster;

use super::color::Rgb;
use super::raster::Raster;

/// Pixels from one letter to the next.
pub const WIDTH: usize = 7;
/// Pixels of a line.
pub const HEIGHT: usize = 16;

/// How heavy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Labels.
    Regular,
    /// Titles.
    Bold,
}

impl Raster {
    /// Draws one line of text with its upper left corner at (x, y); letters that the font lacks become `?`.
    pub fn text(&mut self, x: usize, y: usize, text: &str, weight: Weight, color: Rgb) {
        let style = match weight {
            Weight::Regular => FontWeight::Regular,
            Weight::Bold => FontWeight::Bold,
        };
        for (number, letter) in text.chars().enumerate() {
            let glyph = |letter| get_raster(letter, style, RasterHeight::Size16);
            let Some(glyph) = glyph(letter).or_else(|| glyph('?')) else {
                continue;
            };
            for (dy, row) in glyph.rows().enumerate() {
                for (dx, &strength) in row.iter().enumerate() {
                    // 16 strengths are as good as 256, and leave room in a palette
                    let strength = (strength / 17 + u8::from(strength % 17 > 8)) * 17;
                    self.blend(x + number * WIDTH + dx, y + dy, color, strength);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_is_as_large_as_said_and_has_what_labels_need() {
        for letter in (' '..='~').chain(['×', '±', '·']) {
            for style in [FontWeight::Regular, FontWeight::Bold] {
                let glyph = get_raster(letter, style, RasterHeight::Size16).unwrap();
                assert_eq!((glyph.width(), glyph.height()), (WIDTH, HEIGHT), "{letter}");
            }
        }
    }
}
