//! Which filter sees which channels, drawn.

use std::io::{Result, Write};

use super::super::paint::Paint;
use super::text::{label, line};
use crate::explain::Convolution;

/// Numbers that are listed; more become a range.
const LISTED: usize = 6;
/// Groups that are drawn before the last one.
const DRAWN: usize = 3;

/// A line for each group: its input channels, an arrow, its filters. `word` stands in the margin.
pub(super) fn write(
    out: &mut dyn Write,
    conv: &Convolution,
    word: &str,
    paint: Paint,
) -> Result<()> {
    let rows = rows(conv);
    let width = rows
        .iter()
        .map(|(channels, ..)| channels.len())
        .max()
        .unwrap_or(0)
        .max(14);
    let filters = match conv.transposed {
        true => "output channels",
        false => "filters = output channels",
    };
    label(out, paint, word)?;
    writeln!(
        out,
        "{}",
        paint.dim(format!("{:<width$}       {filters}", "input channels"))
    )?;
    for (channels, filters, group) in rows {
        match group {
            None => line(out, &paint.dim("...").to_string())?,
            Some(group) => line(
                out,
                &format!(
                    "{channels:<width$} {} {filters:<16} {}",
                    paint.dim("──►  "),
                    paint.dim(format!("group {group}"))
                ),
            )?,
        }
    }
    Ok(())
}

fn rows(conv: &Convolution) -> Vec<(String, String, Option<usize>)> {
    let groups = conv.groups.value;
    let row = |group: usize| {
        let of = |each: usize| numbers(group * each, each);
        let (channels, filters) = (conv.channels_per_group(), conv.filters_per_group());
        (of(channels), of(filters), Some(group))
    };
    let mut rows: Vec<_> = (0..groups.min(DRAWN)).map(row).collect();
    if groups > DRAWN + 1 {
        rows.push((String::new(), String::new(), None));
    }
    if groups > DRAWN {
        rows.push(row(groups - 1));
    }
    rows
}

/// `4 5 6 7`, or `64 to 127`.
fn numbers(start: usize, count: usize) -> String {
    match count {
        0 => "none".to_owned(),
        1..=LISTED => (start..start + count)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join(" "),
        _ => format!("{start} to {}", start + count - 1),
    }
}
