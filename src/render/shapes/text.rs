//! The table for people: readable at 80 columns, with and without colour and Unicode.

use std::io::{Result, Write};

use super::super::escape;
use super::super::number::{bytes, count, grouped};
use super::super::paint::Paint;
use super::super::wrap::{lines, narrow, paragraph};
use super::rows::{Row, rows};
use super::words;
use crate::shapes::{AxisFormula, Broken, Walk};

/// Columns of the page; longer lines only where a name leaves no choice.
const WIDTH: usize = 80;
/// Where the text beside a label starts.
const LABEL: usize = 12;
/// Columns that an operation should have.
const OPERATION: usize = 16;
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
    /// Large numbers by three digits and a letter; else where the lines would be too long.
    pub brief: bool,
}

/// Writes the page.
pub fn text(out: &mut dyn Write, walk: &Walk, style: ShapesStyle, paint: Paint) -> Result<()> {
    headline(out, walk, paint)?;
    let (mut all, mut hidden) = rows(walk, style);
    if Columns::of(&all).operation() < OPERATION {
        (all, hidden) = rows(
            walk,
            ShapesStyle {
                brief: true,
                ..style
            },
        );
    }
    table(out, &all, style, paint)?;
    if hidden > 0 {
        let text = format!(
            "{} on constants alone not shown (--all)",
            count(hidden as u64, "step")
        );
        writeln!(out, "  {}", paint.dim(text))?;
    }
    if let Some(broken) = &walk.broken {
        writeln!(out)?;
        self::broken(out, walk, broken, paint)?;
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

/// How wide each column is.
struct Columns {
    number: usize,
    name: usize,
    shape: usize,
    parameters: usize,
    macs: usize,
    widest_operation: usize,
}

impl Columns {
    fn of(rows: &[Row]) -> Self {
        let widest = |value: &dyn Fn(&Row) -> &str, header: &str| {
            let cells = rows.iter().map(|row| value(row).chars().count());
            cells.max().unwrap_or(0).max(header.len())
        };
        let mut columns = Self {
            number: widest(&|row| &row.number, ""),
            name: widest(&|row| &row.name, "layer").min(NAME),
            shape: widest(&|row| &row.shape, "output"),
            parameters: widest(&|row| &row.parameters, "params"),
            macs: widest(&|row| &row.macs, "mult-adds"),
            widest_operation: widest(&|row| &row.op, "operation"),
        };
        // the name gives way down to a third of the page
        while columns.operation() < OPERATION && columns.name > 14 {
            columns.name -= 1;
        }
        columns
    }

    /// What is left for the operation.
    fn operation(&self) -> usize {
        let taken = self.number + self.name + self.shape + self.parameters + self.macs + 2 + 5 * 2;
        WIDTH
            .saturating_sub(taken)
            .min(self.widest_operation.max(OPERATION))
    }
}

/// The steps: number, layer, operator, output shape, parameters, multiply-adds; formulas below.
fn table(out: &mut dyn Write, rows: &[Row], style: ShapesStyle, paint: Paint) -> Result<()> {
    let columns = Columns::of(rows);
    let op = columns.operation().max(12);
    let Columns {
        number,
        name,
        shape,
        parameters,
        macs,
        ..
    } = columns;
    let header = format!(
        "  {:>number$}  {:<name$}  {:<op$}  {:<shape$}  {:>parameters$}  {:>macs$}",
        "", "layer", "operation", "output", "params", "mult-adds"
    );
    writeln!(out, "{}", paint.dim(header.trim_end()))?;
    for row in rows {
        let label = shortened(&row.name, name, style.ascii);
        let mut words = narrow(&row.op, op).into_iter();
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

/// `H, W = floor((28 + 2*0 - 1*(5-1) - 1)/1) + 1 = 24`, one line where all axes are the same; what a stride leaves unread
/// at the end is said behind it.
pub(super) fn formulas(all: &[AxisFormula]) -> Vec<String> {
    let text = |axis: &AxisFormula| {
        let unread = match axis.window.unread() {
            0 => String::new(),
            n => format!(", {n} not read"),
        };
        axis.window.formula() + &unread
    };
    let texts: Vec<String> = all.iter().map(text).collect();
    match texts.first() {
        Some(first) if texts.iter().all(|text| text == first) => {
            let axes: Vec<&str> = all.iter().map(|axis| axis.axis).collect();
            vec![format!("{} = {first}", axes.join(", "))]
        }
        _ => all
            .iter()
            .zip(texts)
            .map(|(axis, text)| format!("{} = {text}", axis.axis))
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
fn broken(out: &mut dyn Write, walk: &Walk, broken: &Broken, paint: Paint) -> Result<()> {
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
        let text = "The order here is assumed: the input may be right, and forward another one. \
                    --after NAME OP=ARGS puts in what forward does between two modules; --module \
                    NAME walks one part alone.";
        paragraph(out, text, LABEL, WIDTH)?;
        if let Some(text) = words::suggestion(walk) {
            writeln!(out)?;
            labelled(out, paint, "try", &text)?;
        }
    }
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
