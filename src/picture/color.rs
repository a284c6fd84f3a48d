//! Which colour stands for which number, so that everybody sees the difference.
//!
//! The maps are drawn in Oklab (Björn Ottosson, "A perceptual color space for image processing", 2020), where equal
//! steps look about equally large:
//!
//! * *diverging*: white for 0, blue below, orange above. Lightness falls evenly from the middle to both ends and is the
//!   same on both sides, so that it alone tells the magnitude, and blue and orange stay apart in every common form of
//!   colour blindness;
//! * *sequential*: dark violet over teal to light yellow, lightness rising evenly;
//! * *grey*: lightness alone.
//!
//! A colour that no screen has keeps lightness and hue and loses chroma until one has it.

use std::f64::consts::PI;
use std::sync::LazyLock;

/// sRGB, 8 bits each.
pub type Rgb = [u8; 3];

/// Steps of a map: odd, so that one of them is the middle; together with the text they fit into a palette of 256.
const STEPS: usize = 201;

/// A map from numbers to colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorMap {
    /// -1 to 1, white at 0.
    Diverging,
    /// 0 to 1.
    Sequential,
    /// 0 to 1, black to white.
    Grey,
}

impl ColorMap {
    /// What is no number, or no finite one: in none of the maps.
    pub const ODD: Rgb = [230, 0, 230];

    /// The colour of `at`: from -1 to 1 for [`ColorMap::Diverging`], from 0 to 1 for the others; what lies outside has the
    /// end's colour.
    pub fn color(self, at: f64) -> Rgb {
        static DIVERGING: LazyLock<Vec<Rgb>> =
            LazyLock::new(|| table(|t| diverging(2.0 * t - 1.0)));
        static SEQUENTIAL: LazyLock<Vec<Rgb>> = LazyLock::new(|| table(sequential));
        let step = |t: f64| (t.clamp(0.0, 1.0) * (STEPS - 1) as f64).round() as usize;
        match self {
            ColorMap::Diverging => DIVERGING[step((at + 1.0) / 2.0)],
            ColorMap::Sequential => SEQUENTIAL[step(at)],
            ColorMap::Grey => [(at.clamp(0.0, 1.0) * 255.0).round() as u8; 3],
        }
    }

    /// The number of the colour among a terminal's 256 that looks most like this one: of the 6 x 6 x 6 cube and the 24
    /// greys, since the first 16 are whatever the user made them.
    pub fn of_256(color: Rgb) -> u8 {
        static PALETTE: LazyLock<Vec<(u8, [f64; 3])>> = LazyLock::new(|| {
            let colors = (16..=255u8).map(|number| (number, oklab(terminal_color(number))));
            colors.collect()
        });
        let [l, a, b] = oklab(color);
        let distance = |other: &[f64; 3]| {
            (other[0] - l).powi(2) + (other[1] - a).powi(2) + (other[2] - b).powi(2)
        };
        let nearest = PALETTE
            .iter()
            .min_by(|x, y| distance(&x.1).total_cmp(&distance(&y.1)));
        nearest.map_or(16, |row| row.0)
    }
}

/// What xterm and its successors show for number 16 to 255.
fn terminal_color(number: u8) -> Rgb {
    if number >= 232 {
        return [8 + 10 * (number - 232); 3];
    }
    let cube = number - 16;
    [cube / 36, cube / 6 % 6, cube % 6].map(|level| if level == 0 { 0 } else { 55 + 40 * level })
}

fn table(color: impl Fn(f64) -> Rgb) -> Vec<Rgb> {
    let at = |step: usize| step as f64 / (STEPS - 1) as f64;
    (0..STEPS).map(|step| color(at(step))).collect()
}

fn diverging(at: f64) -> Rgb {
    let far = at.abs();
    let lightness = 0.985 - 0.545 * far;
    // towards the ends orange turns redder and blue more violet, where screens have more of them; dark orange they have
    // hardly any, so that its chroma is largest on the way
    let (chroma, hue) = match at < 0.0 {
        true => (0.175 * (far * 0.5 * PI).sin(), 245.0 + 18.0 * far),
        false => (0.145 * (far * 0.72 * PI).sin(), 70.0 - 22.0 * far),
    };
    in_gamut(lightness, chroma, hue)
}

fn sequential(at: f64) -> Rgb {
    let lightness = 0.18 + 0.78 * at;
    // as much as screens have all the way
    let chroma = 0.084 + 0.045 * at.powi(3);
    in_gamut(lightness, chroma, 300.0 - 195.0 * at)
}

/// The screen colour of this lightness and hue whose chroma is nearest to `chroma` from below.
fn in_gamut(lightness: f64, chroma: f64, hue: f64) -> Rgb {
    let (sin, cos) = hue.to_radians().sin_cos();
    let linear = |chroma: f64| linear([lightness, chroma * cos, chroma * sin]);
    let fits = |color: [f64; 3]| color.iter().all(|part| (-1e-4..=1.0001).contains(part));
    let (mut low, mut high) = (0.0, chroma);
    if fits(linear(chroma)) {
        low = chroma;
    } else {
        for _ in 0..30 {
            let middle = (low + high) / 2.0;
            if fits(linear(middle)) {
                low = middle;
            } else {
                high = middle;
            }
        }
    }
    linear(low).map(encoded)
}

/// Linear light from Oklab.
fn linear([lightness, a, b]: [f64; 3]) -> [f64; 3] {
    let l = (lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let m = (lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let s = (lightness - 0.089_484_177_5 * a - 1.291_485_548 * b).powi(3);
    [
        4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s,
        -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s,
        -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701 * s,
    ]
}

fn oklab(color: Rgb) -> [f64; 3] {
    let [r, g, b] = color.map(decoded);
    let l = (0.412_221_470_8 * r + 0.536_332_536_3 * g + 0.051_445_992_9 * b).cbrt();
    let m = (0.211_903_498_2 * r + 0.680_699_545_1 * g + 0.107_396_956_6 * b).cbrt();
    let s = (0.088_302_461_9 * r + 0.281_718_837_6 * g + 0.629_978_700_5 * b).cbrt();
    [
        0.210_454_255_3 * l + 0.793_617_785 * m - 0.004_072_046_8 * s,
        1.977_998_495_1 * l - 2.428_592_205 * m + 0.450_593_709_9 * s,
        0.025_904_037_1 * l + 0.782_771_766_2 * m - 0.808_675_766 * s,
    ]
}

/// sRGB's curve (IEC 61966-2-1), from linear light.
fn encoded(part: f64) -> u8 {
    let part = part.clamp(0.0, 1.0);
    let bent = match part <= 0.003_130_8 {
        true => 12.92 * part,
        false => 1.055 * part.powf(1.0 / 2.4) - 0.055,
    };
    (bent * 255.0).round() as u8
}

fn decoded(part: u8) -> f64 {
    let part = f64::from(part) / 255.0;
    match part <= 0.040_45 {
        true => part / 12.92,
        false => ((part + 0.055) / 1.055).powf(2.4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Colour blindness in linear light, at full strength: Machado, Oliveira and Fernandes, "A Physiologically-based
    /// Model for Simulation of Color Vision Deficiency", 2009.
    const KINDS: [(&str, [[f64; 3]; 3]); 4] = [
        (
            "normal",
            [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        ),
        (
            "protanopia",
            [
                [0.152286, 1.052583, -0.204868],
                [0.114503, 0.786281, 0.099216],
                [-0.003882, -0.048116, 1.051998],
            ],
        ),
        (
            "deuteranopia",
            [
                [0.367322, 0.860646, -0.227968],
                [0.280085, 0.672501, 0.047413],
                [-0.011820, 0.042940, 0.968881],
            ],
        ),
        (
            "tritanopia",
            [
                [1.255528, -0.076749, -0.178779],
                [-0.078411, 0.930809, 0.147602],
                [0.004733, 0.691367, 0.303900],
            ],
        ),
    ];

    fn seen(color: Rgb, by: &[[f64; 3]; 3]) -> [f64; 3] {
        let light = color.map(decoded);
        let mixed = by.map(|row| row.iter().zip(light).map(|(m, c)| m * c).sum::<f64>());
        oklab(mixed.map(encoded))
    }

    fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
        (0..3).map(|i| (a[i] - b[i]).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn the_two_halves_stay_apart_for_everybody() {
        for (name, kind) in KINDS {
            for step in 1..=20 {
                let at = f64::from(step) / 20.0;
                let below = seen(ColorMap::Diverging.color(-at), &kind);
                let above = seen(ColorMap::Diverging.color(at), &kind);
                // 0.02 is a difference that is just noticed, side by side
                let least = (0.22 * at).min(0.1);
                let found = distance(below, above);
                assert!(found > least, "{name} at {at}: {found}");
            }
        }
    }

    #[test]
    fn lightness_falls_evenly_from_the_middle() {
        for (name, kind) in KINDS {
            for sign in [-1.0, 1.0] {
                let lightness = |step: i32| {
                    seen(
                        ColorMap::Diverging.color(sign * f64::from(step) / 50.0),
                        &kind,
                    )[0]
                };
                for step in 0..50 {
                    let fall = lightness(step) - lightness(step + 1);
                    assert!(fall > 0.0, "{name} {sign} {step}: {fall}");
                }
                assert!(lightness(0) - lightness(50) > 0.4, "{name}");
            }
        }
        for step in 0..=50 {
            let at = f64::from(step) / 50.0;
            let of = |at| oklab(ColorMap::Diverging.color(at))[0];
            assert!((of(at) - of(-at)).abs() < 0.012, "both sides alike at {at}");
        }
    }

    #[test]
    fn the_sequential_map_grows_lighter_for_everybody() {
        for (name, kind) in KINDS {
            let lightness =
                |step: i32| seen(ColorMap::Sequential.color(f64::from(step) / 50.0), &kind)[0];
            for step in 0..50 {
                assert!(lightness(step + 1) > lightness(step), "{name} {step}");
            }
            assert!(lightness(50) - lightness(0) > 0.7, "{name}");
        }
    }

    #[test]
    fn the_middle_is_neutral_and_what_is_odd_is_far_from_both_maps() {
        let [_, a, b] = oklab(ColorMap::Diverging.color(0.0));
        assert!(a.hypot(b) < 0.004);
        for (name, kind) in &KINDS[..1] {
            for step in -20..=20 {
                let at = f64::from(step) / 20.0;
                for map in [ColorMap::Diverging, ColorMap::Sequential, ColorMap::Grey] {
                    let far = distance(seen(map.color(at), kind), seen(ColorMap::ODD, kind));
                    assert!(far > 0.15, "{name} {map:?} {at}: {far}");
                }
            }
        }
    }

    #[test]
    fn terminals_with_256_colours_come_close() {
        assert_eq!(ColorMap::of_256([255; 3]), 231);
        assert_eq!(ColorMap::of_256([0; 3]), 16);
        for number in 16..=255 {
            let again = ColorMap::of_256(terminal_color(number));
            assert_eq!(terminal_color(again), terminal_color(number));
        }
    }
}
