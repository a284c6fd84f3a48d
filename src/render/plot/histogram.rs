//! Histograms, in the terminal, as pixels and as JSON.

use std::io::Result;
use std::io::Write;

use serde_json::Value;
use serde_json::json;

use super::super::wrap;
use super::About;
use super::Drawing;
use super::Drawn;
use super::Look;
use super::json::float;
use super::notes;
use super::raster::EDGE;
use super::raster::INK;
use super::raster::MARGIN;
use super::raster::PALE;
use super::short;
use super::signed;
use crate::explain::Figure;
use crate::explain::plot::Bin;
use crate::explain::plot::Histogram;
use crate::picture::ColorMap;
use crate::picture::Raster;
use crate::picture::Rgb;
use crate::picture::TEXT_HEIGHT;
use crate::picture::TEXT_WIDTH;
use crate::picture::Weight;
use crate::render::Paint;
use crate::render::number::count;
use crate::render::number::grouped;

/// Size of the bars' area in a PNG.
const PLOT: (usize, usize) = (720, 260);

/// Prints a line for each bin.
pub fn text(
    out: &mut dyn Write,
    paint: Paint,
    figure: &Figure,
    about: &About,
    found: &Histogram,
    look: &Look,
) -> Result<()> {
    writeln!(out, "{}", paint.name(notes::title(figure, about)))?;
    for line in facts(figure, about, found) {
        for line in wrap::narrow(&line, look.width.max(20) - 2) {
            writeln!(out, "  {line}")?;
        }
    }
    writeln!(out)?;
    let edges: Vec<_> = found
        .bins
        .iter()
        .map(|bin| (signed(bin.low), signed(bin.high)))
        .collect();
    let low = edges.iter().map(|edge| edge.0.len()).max().unwrap_or(0);
    let high = edges.iter().map(|edge| edge.1.len()).max().unwrap_or(0);
    let most = found.bins.iter().map(|bin| bin.count).max().unwrap_or(0);
    let digits = grouped(most).len();
    let room = look
        .width
        .saturating_sub(2 + low + 4 + high + 2 + digits + 2)
        .max(10);
    for (bin, (from, to)) in found.bins.iter().zip(&edges) {
        let length = share(bin.count, most, room);
        let bar = match length {
            0 if bin.count > 0 => "▏".to_owned(),
            length => "█".repeat(length),
        };
        let number = grouped(bin.count);
        let start = format!("  {from:>low$} to {to:>high$}  {number:>digits$}");
        match bin.count {
            0 => writeln!(out, "{}", start.trim_end())?,
            _ if bin.high <= 0.0 => writeln!(out, "{start}  {}", paint.negative(bar))?,
            _ => writeln!(out, "{start}  {}", paint.key(bar))?,
        }
    }
    Ok(())
}

/// `count` of `most`, as a part of `room`, rounded.
fn share(count: u64, most: u64, room: usize) -> usize {
    match most {
        0 => 0,
        _ => (count as f64 / most as f64 * room as f64).round() as usize,
    }
}

/// What is said in words.
fn facts(figure: &Figure, about: &About, found: &Histogram) -> Vec<String> {
    let mut facts = vec![notes::summary(figure, about)];
    let (min, max) = found.ends;
    let all = count(found.count, "value");
    facts.push(match min.is_nan() {
        true => format!("{all}, none of them finite"),
        false => format!(
            "{all} from {} to {}, mean {}, std {}, {} zero",
            short(min),
            short(max),
            short(found.mean),
            short(found.std),
            grouped(found.zeros)
        ),
    });
    let [nan, infinite, negative] = found.odd;
    let parts: Vec<String> = [(nan, "NaN"), (infinite, "+Inf"), (negative, "-Inf")]
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", grouped(*count)))
        .collect();
    if !parts.is_empty() {
        facts.push(format!("not finite, in no bin: {}", parts.join(", ")));
    }
    let [below, above] = found.outside;
    if below + above > 0 {
        facts.push(format!(
            "outside the bins: {} below, {} above",
            grouped(below),
            grouped(above)
        ));
    }
    facts
}

/// Draws the bars, the numbers of both axes, and the words.
pub fn raster(figure: &Figure, about: &About, found: &Histogram) -> Drawing {
    let (width, height) = PLOT;
    let line = TEXT_HEIGHT + 2;
    let most = found.bins.iter().map(|bin| bin.count).max().unwrap_or(0);
    let left = MARGIN + TEXT_WIDTH * grouped(most).len() + 8;
    let all = left + width + MARGIN;
    let words: Vec<String> = facts(figure, about, found)
        .iter()
        .flat_map(|fact| wrap::narrow(fact, (all - 2 * MARGIN) / TEXT_WIDTH))
        .collect();
    let top = MARGIN + line * (words.len() + 1) + 14;
    let bottom = top + height;
    let mut raster = Raster::new(all, bottom + line + MARGIN, [255; 3]);
    raster.text(
        MARGIN,
        MARGIN,
        &notes::title(figure, about),
        Weight::Bold,
        INK,
    );
    for (number, text) in words.iter().enumerate() {
        raster.text(
            MARGIN,
            MARGIN + (number + 1) * line,
            text,
            Weight::Regular,
            PALE,
        );
    }
    for quarter in 0..4 {
        raster.fill(left, top + quarter * height / 4, width, 1, [236, 236, 240]);
    }
    let bins = found.bins.len();
    for (number, bin) in found.bins.iter().enumerate() {
        let (from, to) = (number * width / bins, (number + 1) * width / bins);
        let gap = usize::from(to - from > 3);
        // what is there is seen
        let high = share(bin.count, most, height).max(usize::from(bin.count > 0));
        raster.fill(
            left + from,
            bottom - high,
            to - from - gap,
            high,
            bar_color(bin),
        );
    }
    raster.fill(left, bottom, width, 1, INK);
    let axis = |value: f64| {
        let (low, high) = (found.bins[0].low, found.bins[bins - 1].high);
        ((value - low) / (high - low) * width as f64) as usize
    };
    if bins > 0 {
        let (low, high) = (found.bins[0].low, found.bins[bins - 1].high);
        let mut ticks = vec![(0, signed(low), 0), (width, signed(high), 2)];
        if low < 0.0 && high > 0.0 {
            ticks.push((axis(0.0), "0".into(), 1));
            raster.fill(left + axis(0.0), top, 1, height, EDGE);
        }
        for (at, label, halves) in ticks {
            let x = left + at - (label.len() * TEXT_WIDTH * halves / 2).min(left + at);
            raster.fill((left + at).min(left + width - 1), bottom, 1, 5, INK);
            raster.text(x, bottom + 5, &label, Weight::Regular, INK);
        }
    }
    let label = grouped(most);
    raster.text(
        left - 6 - TEXT_WIDTH * label.len(),
        top - TEXT_HEIGHT / 2,
        &label,
        Weight::Regular,
        PALE,
    );
    raster.text(
        left - 6 - TEXT_WIDTH,
        bottom - TEXT_HEIGHT / 2,
        "0",
        Weight::Regular,
        PALE,
    );
    Drawing {
        raster,
        drawn: Drawn {
            filters: figure.filters.len(),
            channels: 1,
            factor: [1, 1],
        },
    }
}

/// Blue below zero, orange above.
fn bar_color(bin: &Bin) -> Rgb {
    ColorMap::Diverging.color(if bin.high <= 0.0 { -0.75 } else { 0.75 })
}

/// The bins and what is not in them.
pub fn json(found: &Histogram) -> Value {
    let [nan, infinite, negative] = found.odd;
    let edges = found.bins.iter().map(|bin| bin.low);
    let last = found.bins.last().map(|bin| bin.high);
    json!({
        "edges": edges.chain(last).map(float).collect::<Vec<_>>(),
        "counts": found.bins.iter().map(|bin| bin.count).collect::<Vec<_>>(),
        "below": found.outside[0],
        "above": found.outside[1],
        "count": found.count,
        "zeros": found.zeros,
        "nan": nan,
        "inf": infinite,
        "-inf": negative,
        "min": float(found.ends.0),
        "max": float(found.ends.1),
        "mean": float(found.mean),
        "std": float(found.std),
    })
}
