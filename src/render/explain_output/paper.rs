//! The sum as one would write it on paper, channel by channel.

use std::io::Result;
use std::io::Write;

use super::CELL;
use super::Explained;
use super::cell;
use super::in_float64;
use crate::execute::Geometry;
use crate::execute::Real;
use crate::execute::order::trace::Trace;
use crate::execute::order::trace::What;
use crate::render::Paint;
use crate::render::number;
use crate::render::wrap;

/// Digits of a value in the grids, at most; and at least, where three stand abreast.
const SMALL: usize = 8;
const DIGITS: usize = 6;
/// Channels shown, from the first on, and the last.
const CHANNELS: usize = 4;

/// Input, `None` in the padding, and weight.
type Tap = (Option<f64>, f64);

/// Window, filter and products of one channel.
struct Channel {
    /// Within the group.
    channel: usize,
    /// Of the input.
    plane: usize,
    /// Rows of input, weight and product; `None` in the padding.
    rows: Vec<Vec<Tap>>,
}

impl Channel {
    fn sum(&self) -> f64 {
        let product = |&(x, w): &Tap| x.map_or(0.0, |x| x * w);
        self.rows.iter().flatten().map(product).sum()
    }
}

fn windows<R: Real>(trace: &Trace<R>, g: &Geometry) -> Vec<Channel> {
    let first = trace.at[1] / g.group_out() * g.group_in();
    let mut channels: Vec<Channel> = (0..g.group_in())
        .map(|channel| Channel {
            channel,
            plane: first + channel,
            rows: vec![vec![(None, 0.0); g.kernel[1]]; g.kernel[0]],
        })
        .collect();
    for factors in trace.factors() {
        if let Some(channel) = channels.get_mut(factors.tap.channel) {
            channel.rows[factors.tap.row][factors.tap.column] = (
                factors.input_at.map(|_| factors.x.to_f64()),
                factors.w.to_f64(),
            );
        }
    }
    channels
}

/// Channel by channel: the input's window, the filter, their products.
pub(super) fn channels<R: Real>(
    out: &mut dyn Write,
    paint: Paint,
    explained: &Explained<'_, R>,
    width: usize,
) -> Result<()> {
    let g = explained.geometry;
    let trace = &explained.first.1;
    let channels = windows(trace, g);
    let filter = trace.at[1];
    writeln!(out, "{}", paint.title("on paper"))?;
    if g.kernel == [1, 1] {
        writeln!(out, "  a 1 x 1 kernel: one product per channel, as above")?;
    }
    let mut hidden = 0;
    for (i, channel) in channels.iter().enumerate() {
        let is_shown = i < CHANNELS || i + 1 == channels.len();
        if !is_shown || g.kernel == [1, 1] {
            hidden += usize::from(!is_shown);
            continue;
        }
        if hidden > 0 {
            let text = format!(
                "... {} more: --json has all",
                number::count(hidden as u64, "channel")
            );
            writeln!(out, "  {}", paint.dim(text))?;
            hidden = 0;
        }
        grids(out, paint, channel, filter, width)?;
    }
    let shown = |c: &Channel| format!("{} ({})", cell(c.sum(), SMALL), c.channel);
    let sums: Vec<String> = match channels.as_slice() {
        [few @ .., last] if few.len() > CHANNELS => {
            let mut sums: Vec<String> = few[..CHANNELS].iter().map(shown).collect();
            sums.extend(["...".to_owned(), shown(last)]);
            sums
        }
        all => all.iter().map(shown).collect(),
    };
    let bias = trace.rows.iter().find_map(|row| match row.what {
        What::Bias(bias) => Some(format!(" + bias {}", cell(bias.to_f64(), SMALL))),
        _ => None,
    });
    let bias = bias.unwrap_or_default();
    let total = cell(in_float64(trace), CELL);
    // every sum with its channel stays in one piece
    let mut terms: Vec<String> = sums.iter().skip(1).map(|sum| format!("+ {sum}")).collect();
    terms.splice(..0, sums.first().cloned());
    terms.extend((!bias.is_empty()).then(|| bias.trim_start().to_owned()));
    terms.push(format!("= {total}"));
    for (i, text) in wrap::items(
        terms.iter().map(String::as_str),
        " ",
        width.saturating_sub(11),
    )
    .iter()
    .enumerate()
    {
        let label = if i == 0 { "channels" } else { "" };
        writeln!(out, "  {} {text}", paint.dim(format!("{label:<8}")))?;
    }
    Ok(())
}

fn grids(
    out: &mut dyn Write,
    paint: Paint,
    channel: &Channel,
    filter: usize,
    width: usize,
) -> Result<()> {
    let titles = [
        format!("input channel {}", channel.plane),
        format!("filter {filter}, channel {}", channel.channel),
        format!("products, sum {}", cell(channel.sum(), SMALL)),
    ];
    let pick: [fn(&Tap) -> Option<f64>; 3] =
        [|(x, _)| *x, |(_, w)| Some(*w), |(x, w)| x.map(|x| x * w)];
    let of = |digits: usize| [0, 1, 2].map(|i| Block::of(&titles[i], channel, pick[i], digits));
    // all three abreast; else input and filter abreast, the products below; else one below the other
    let abreast =
        |blocks: &[Block]| blocks.iter().map(|block| block.width + 5).sum::<usize>() <= width;
    if let Some(blocks) = (DIGITS..=SMALL)
        .rev()
        .map(of)
        .find(|blocks| abreast(blocks))
    {
        side_by_side(out, paint, &blocks, "")?;
    } else if let Some([x, w, p]) = (DIGITS - 1..=SMALL)
        .rev()
        .map(of)
        .find(|blocks| abreast(&blocks[..2]))
    {
        side_by_side(out, paint, &[x, w], "")?;
        side_by_side(out, paint, &[p], "=")?;
    } else {
        for (block, sign) in of(SMALL).into_iter().zip(["", "*", "="]) {
            block.folded(width).iter().try_for_each(|block| {
                side_by_side(out, paint, std::slice::from_ref(block), sign)
            })?;
        }
    }
    writeln!(out)
}

/// A grid of numbers under its title.
struct Block {
    title: String,
    rows: Vec<Vec<String>>,
    /// Of a number.
    cell: usize,
    /// Of the whole.
    width: usize,
}

impl Block {
    fn of(title: &str, channel: &Channel, pick: fn(&Tap) -> Option<f64>, digits: usize) -> Self {
        let text = |tap: &Tap| pick(tap).map_or("pad".to_owned(), |value| cell(value, digits));
        let rows: Vec<Vec<String>> = channel
            .rows
            .iter()
            .map(|row| row.iter().map(text).collect())
            .collect();
        Self::new(title.to_owned(), rows)
    }

    fn new(title: String, rows: Vec<Vec<String>>) -> Self {
        let cell = rows.iter().flatten().map(String::len).max().unwrap_or(0);
        let columns = rows.first().map_or(0, Vec::len);
        Self {
            width: title.len().max((columns * (cell + 1)).saturating_sub(1)),
            title,
            rows,
            cell,
        }
    }

    fn row(&self, row: usize) -> String {
        let cells: Vec<String> = self.rows[row]
            .iter()
            .map(|text| format!("{text:>w$}", w = self.cell))
            .collect();
        cells.join(" ")
    }

    /// In pieces of as many columns as fit.
    fn folded(self, width: usize) -> Vec<Self> {
        let columns = self.rows.first().map_or(0, Vec::len);
        let fitting = (width.saturating_sub(6) / (self.cell + 1)).max(1);
        if columns <= fitting {
            return vec![self];
        }
        let piece = |start: usize| {
            let end = (start + fitting).min(columns);
            let rows = self
                .rows
                .iter()
                .map(|row| row[start..end].to_vec())
                .collect();
            Self::new(
                format!("{}, columns {start} to {}", self.title, end - 1),
                rows,
            )
        };
        (0..columns).step_by(fitting).map(piece).collect()
    }
}

/// Blocks abreast: `*` between the first two, `=` before the third; `sign` before the first.
fn side_by_side(out: &mut dyn Write, paint: Paint, blocks: &[Block], sign: &str) -> Result<()> {
    let titles: Vec<String> = blocks
        .iter()
        .map(|block| format!("{:<w$}", block.title, w = block.width))
        .collect();
    writeln!(
        out,
        "  {:<2}{}",
        "",
        paint.dim(titles.join("     ").trim_end())
    )?;
    for row in 0..blocks.first().map_or(0, |block| block.rows.len()) {
        let mut text = format!("  {:<2}", sign);
        for (i, block) in blocks.iter().enumerate() {
            let cells = format!("{:<w$}", block.row(row), w = block.width);
            text += &match i {
                0 => cells,
                1 => format!("  *  {cells}"),
                _ => format!("  =  {cells}"),
            };
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}
