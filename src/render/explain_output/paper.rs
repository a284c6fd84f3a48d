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

/// Digits of a value in the grids.
const SMALL: usize = 8;
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
                "… {} more: --json has all",
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
            sums.extend(["…".to_owned(), shown(last)]);
            sums
        }
        all => all.iter().map(shown).collect(),
    };
    let bias = trace.rows.iter().find_map(|row| match row.what {
        What::Bias(bias) => Some(format!(" + bias {}", cell(bias.to_f64(), SMALL))),
        _ => None,
    });
    writeln!(
        out,
        "  {} {}{} = {}",
        paint.dim("channels"),
        sums.join(" + "),
        bias.unwrap_or_default(),
        paint.key(cell(in_float64(trace), CELL))
    )
}

fn grids(
    out: &mut dyn Write,
    paint: Paint,
    channel: &Channel,
    filter: usize,
    width: usize,
) -> Result<()> {
    let columns = channel.rows.first().map_or(0, Vec::len);
    let texts = |pick: &dyn Fn(&Tap) -> Option<f64>| -> Vec<String> {
        let text = |taps: &Vec<Tap>| -> String {
            let cells = taps
                .iter()
                .map(|tap| pick(tap).map_or("pad".into(), |v| cell(v, SMALL)));
            cells.map(|cell| format!(" {cell:>SMALL$}")).collect()
        };
        channel.rows.iter().map(text).collect()
    };
    let three = [
        (
            format!("input channel {}", channel.plane),
            texts(&|(x, _)| *x),
        ),
        (
            format!("filter {filter}, channel {}", channel.channel),
            texts(&|(_, w)| Some(*w)),
        ),
        (
            format!("products, sum {}", cell(channel.sum(), SMALL)),
            texts(&|(x, w)| x.map(|x| x * w)),
        ),
    ];
    let wide = three.iter().map(|(title, _)| title.chars().count() + 1);
    let each = wide.max().unwrap_or(0).max(columns * (SMALL + 1));
    if 2 + 3 * each + 8 <= width {
        let titles = three
            .iter()
            .map(|(title, _)| format!(" {title:<w$}", w = each - 1));
        let titles: Vec<String> = titles.collect();
        let titles = titles.join("    ");
        writeln!(out, "  {}", paint.dim(titles.trim_end()))?;
        for row in 0..channel.rows.len() {
            let [(_, x), (_, w), (_, p)] = &three;
            let line = format!("{:<each$}  * {:<each$}  = {}", x[row], w[row], p[row]);
            writeln!(out, "  {line}")?;
        }
    } else {
        for (title, rows) in &three {
            writeln!(out, "  {}", paint.dim(format!(" {title}")))?;
            rows.iter().try_for_each(|row| writeln!(out, "  {row}"))?;
        }
    }
    writeln!(out)
}
