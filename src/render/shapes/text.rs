//! The table for people: readable at 80 columns, with and without colour and Unicode.

use std::io::{Result, Write};

use super::super::escape;
use super::super::number::{bytes, count, grouped};
use super::super::paint::Paint;
use super::super::wrap::{lines, paragraph};
use super::rows::{Row, rows};
use super::words;
use crate::shapes::{AxisFormula, Broken, Walk};

/// Columns of the page; longer lines only where a name leaves no choice.
const WIDTH: usize = 80;
/// Where the text beside a label starts.
const LABEL: usize = 12;
/// Most columns of a layer's name; longer ones are cut in front.
const NAME: usize = 26;

/// How to show it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShapesStyle {
    /// Levels of modules.
    pub depth: Option<usize>,
    /// Steps on constants too.
    pub all: bool,
    /// No Unicode.
    pub ascii: bool,
}

/// Writes the page.
pub fn text(out: &mut dyn Write, walk: &Walk, style: ShapesStyle, paint: Paint) -> Result<()> {
    headline(out, walk, paint)?;
    let (rows, hidden) = rows(walk, style);
    table(out, &rows, style, paint)?;
    if hidden > 0 {
        let text = format!(
            "{} on constants alone not shown (--all)",
            count(hidden as u64, "step")
        );
        writeln!(out, "  {}", paint.dim(text))?;
    }
    if let Some(broken) = &walk.broken {
        writeln!(out)?;
        self::broken(out, walk, broken, style, paint)?;
    }
    if let Some(lost) = &walk.lost {
        writeln!(out)?;
        labelled(
            out,
            paint,
            "not known",
            &format!("the walk ends here: {lost}"),
        )?;
    }
    writeln!(out)?;
    closing(out, walk, style, paint)
}

fn headline(out: &mut dyn Write, walk: &Walk, paint: Paint) -> Result<()> {
    let file = walk
        .file
        .file_name()
        .unwrap_or(walk.file.as_os_str())
        .to_string_lossy();
    let class = words::short_class(&walk.class);
    let what = match (walk.module.as_str(), class) {
        ("", "") => "a program".to_owned(),
        ("", class) => class.to_owned(),
        (module, class) => format!("{module} ({class})"),
    };
    writeln!(
        out,
        "{}  {}  {}",
        paint.name(escape::text(&file)),
        walk.format,
        paint.title(escape::text(&what))
    )?;
    if let Some(text) = words::assumption(walk) {
        writeln!(out)?;
        for line in lines(&text, WIDTH - 2) {
            writeln!(out, "  {}", paint.warn(escape::text(&line)))?;
        }
    }
    writeln!(out)
}

/// The steps: number, layer, operator, output shape, parameters, multiply-adds; formulas below.
fn table(out: &mut dyn Write, rows: &[Row], style: ShapesStyle, paint: Paint) -> Result<()> {
    let widest = |value: &dyn Fn(&Row) -> usize, least: usize| {
        rows.iter().map(value).max().unwrap_or(0).max(least)
    };
    let chars = |text: &str| text.chars().count();
    let number = widest(&|row| chars(&row.number), 1);
    let name = widest(&|row| chars(&row.name), 5).min(NAME);
    let shape = widest(&|row| chars(&row.shape), 6);
    let parameters = widest(&|row| chars(&row.parameters), 6);
    let macs = widest(&|row| chars(&row.macs), 9);
    let fixed = number + name + shape + parameters + macs + 2 + 5 * 2;
    let op = widest(&|row| chars(&row.op), 9)
        .min(WIDTH.saturating_sub(fixed))
        .max(12);
    let header = format!(
        "  {:>number$}  {:<name$}  {:<op$}  {:<shape$}  {:>parameters$}  {:>macs$}",
        "", "layer", "operation", "output", "params", "mult-adds"
    );
    writeln!(out, "{}", paint.dim(header.trim_end()))?;
    for row in rows {
        let label = shortened(&row.name, name, style.ascii);
        let mut words = lines(&row.op, op).into_iter();
        let first = words.next().unwrap_or_default();
        let shape_text = format!("{:<shape$}", row.shape);
        let painted = match row.unknown {
            true => paint.bad(shape_text),
            false => paint.key(shape_text),
        };
        let tail = format!("  {:>parameters$}  {:>macs$}", row.parameters, row.macs);
        let line = format!(
            "  {}  {}  {:<op$}  {painted}{}",
            paint.dim(format!("{:>number$}", row.number)),
            paint.name(format!("{:<name$}", escape::text(&label))),
            escape::text(&first),
            if tail.trim().is_empty() {
                String::new()
            } else {
                tail
            }
        );
        writeln!(out, "{}", line.trim_end())?;
        let indent = 2 + number + 2 + name + 2;
        for rest in words {
            writeln!(out, "{:indent$}{}", "", escape::text(&rest))?;
        }
        let below = 2 + number + 4;
        for formula in &row.formulas {
            for line in lines(formula, WIDTH - below) {
                writeln!(out, "{:below$}{}", "", paint.dim(escape::text(&line)))?;
            }
        }
    }
    Ok(())
}

/// Cut in front, where a name says the least.
fn shortened(name: &str, most: usize, ascii: bool) -> String {
    let length = name.chars().count();
    if length <= most {
        return name.to_owned();
    }
    let mark = if ascii { "..." } else { "…" };
    let kept = most - mark.chars().count();
    mark.to_owned() + &name.chars().skip(length - kept).collect::<String>()
}

/// `H, W = floor((28 + 2*0 - 1*(5-1) - 1)/1) + 1 = 24`, one line where all axes are the same.
pub(super) fn formulas(all: &[AxisFormula]) -> Vec<String> {
    let texts: Vec<(&str, String)> = all
        .iter()
        .map(|axis| (axis.axis, axis.window.formula()))
        .collect();
    let unread = |at: usize| match all[at].window.unread() {
        0 => String::new(),
        n => format!(
            "  ({} at the end not read)",
            count(n as u64, if all[at].axis == "W" { "column" } else { "row" })
        ),
    };
    let same = texts.windows(2).all(|pair| pair[0].1 == pair[1].1);
    match (texts.first(), same) {
        (Some((_, text)), true) => {
            let axes: Vec<&str> = texts.iter().map(|(axis, _)| *axis).collect();
            let plural = match (all[0].window.unread(), all.len()) {
                (0, _) => String::new(),
                (n, 1) => format!("  ({n} at the end not read)"),
                (n, _) => format!("  ({n} at each end not read)"),
            };
            vec![format!("{} = {text}{plural}", axes.join(", "))]
        }
        _ => (0..texts.len())
            .map(|at| format!("{} = {}{}", texts[at].0, texts[at].1, unread(at)))
            .collect(),
    }
}

fn labelled(out: &mut dyn Write, paint: Paint, word: &str, text: &str) -> Result<()> {
    for (number, line) in lines(text, WIDTH - LABEL).into_iter().enumerate() {
        let label = if number == 0 { word } else { "" };
        writeln!(
            out,
            "  {}{}",
            paint.dim(format_args!("{label:<width$}", width = LABEL - 2)),
            escape::text(&line)
        )?;
    }
    Ok(())
}

/// Where it broke, and why.
fn broken(
    out: &mut dyn Write,
    walk: &Walk,
    broken: &Broken,
    style: ShapesStyle,
    paint: Paint,
) -> Result<()> {
    let layer = if broken.path.is_empty() {
        broken.op.clone()
    } else {
        format!("{} ({})", broken.path, broken.op)
    };
    let shapes: Vec<String> = broken
        .input_shapes
        .iter()
        .map(|shape| format!("{shape:?}"))
        .collect();
    let got = if shapes.is_empty() {
        String::new()
    } else {
        format!(" on {}", shapes.join(" and "))
    };
    writeln!(
        out,
        "  {} {}",
        paint.bad("breaks at"),
        paint.name(escape::text(&format!("{layer}{got}")))
    )?;
    paragraph(out, &escape::text(&broken.why), LABEL, WIDTH)?;
    for formula in formulas(&broken.formulas) {
        paragraph(out, &formula, LABEL, WIDTH)?;
    }
    if let Some(text) = words::composition(walk, broken) {
        paragraph(out, &text, LABEL, WIDTH)?;
    }
    if broken.assumed {
        let text = "The order here is assumed: the input may be right, and forward another one. --after NAME OP=ARGS puts in \
                    what forward does between two modules; --module NAME walks one part alone.";
        paragraph(out, text, LABEL, WIDTH)?;
    }
    let _ = style;
    Ok(())
}

/// Totals, and the answers to what people ask.
fn closing(out: &mut dyn Write, walk: &Walk, style: ShapesStyle, paint: Paint) -> Result<()> {
    let arrow = if style.ascii { "->" } else { "→" };
    if let Some(text) = words::way(walk, arrow) {
        labelled(out, paint, "way", &text)?;
    }
    let largest = walk.steps.iter().map(|step| step.bytes).max().unwrap_or(0);
    let total = format!(
        "{} parameters, {} multiply-adds, {} of activations (largest {})",
        grouped(walk.parameters),
        grouped(walk.macs()),
        bytes(walk.bytes()),
        bytes(largest)
    );
    labelled(out, paint, "total", &total)?;
    for (word, text) in words::answers(walk, arrow) {
        labelled(out, paint, word, &text)?;
    }
    for warning in &walk.warnings {
        labelled(out, paint, "beware", warning)?;
    }
    Ok(())
}
