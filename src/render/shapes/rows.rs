//! Rows of the table: steps, or modules put together.

use super::super::number::grouped;
use super::text::{ShapesStyle, formulas};
use crate::shapes::{Origin, Step, Walk};

/// A row.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) number: String,
    pub(super) name: String,
    pub(super) op: String,
    pub(super) shape: String,
    pub(super) parameters: String,
    pub(super) macs: String,
    pub(super) formulas: Vec<String>,
    pub(super) unknown: bool,
}

/// The rows, the inputs first, and how many steps are left out.
pub(super) fn rows(walk: &Walk, style: ShapesStyle) -> (Vec<Row>, usize) {
    let mut rows: Vec<Row> = walk
        .inputs
        .iter()
        .map(|input| Row {
            name: input.name.clone(),
            op: "input".to_owned(),
            shape: format!("{:?}", input.shape),
            ..Row::default()
        })
        .collect();
    let mut hidden = 0;
    let mut last = match walk.inputs.len() {
        1 => Some(Origin::Input(0)),
        _ => None,
    };
    let mut at = 0;
    while at < walk.steps.len() {
        let step = &walk.steps[at];
        if !step.live && !style.all {
            hidden += 1;
            at += 1;
            continue;
        }
        let (row, next) = match group(walk, at, style.depth) {
            Some(end) => (together(walk, at, end, style), end),
            None => (single(walk, at, last, style), at + 1),
        };
        rows.push(row);
        last = Some(Origin::Step(next - 1));
        at = next;
    }
    (rows, hidden)
}

/// The first `depth` parts of a path.
fn cut(path: &str, depth: usize) -> &str {
    let end = path
        .match_indices('.')
        .nth(depth.saturating_sub(1))
        .map_or(path.len(), |(at, _)| at);
    if depth == 0 { "" } else { &path[..end] }
}

/// Where the steps of the module end that begins at `at`, where it lies deeper than is shown, or has several steps.
fn group(walk: &Walk, at: usize, depth: Option<usize>) -> Option<usize> {
    let depth = depth?;
    let outer = cut(&walk.steps[at].path, depth);
    if outer.is_empty() && depth > 0 {
        return None;
    }
    let inside = |step: &Step| cut(&step.path, depth) == outer;
    let length = walk.steps[at..]
        .iter()
        .take_while(|step| inside(step) || !step.live)
        .count();
    (length > 1).then_some(at + length)
}

fn shape_of(step: &Step) -> String {
    match &step.outputs {
        Some(outputs) if outputs.len() == 1 => format!("{:?}", outputs[0].0),
        Some(outputs) => {
            let mut shapes: Vec<String> = outputs
                .iter()
                .map(|(shape, _)| format!("{shape:?}"))
                .collect();
            let count = shapes.len();
            shapes.dedup();
            match (shapes.len(), count) {
                (1, count) => format!("{count} x {}", shapes[0]),
                _ => format!("{}, ...", shapes[0]),
            }
        }
        None => "?".to_owned(),
    }
}

fn number(n: u64) -> String {
    if n == 0 { String::new() } else { grouped(n) }
}

fn together(walk: &Walk, at: usize, end: usize, style: ShapesStyle) -> Row {
    let steps = &walk.steps[at..end];
    let live = steps.iter().rev().find(|step| step.live);
    let sum = |value: &dyn Fn(&Step) -> u64| steps.iter().map(value).fold(0, u64::saturating_add);
    let first = at + 1;
    Row {
        number: end.to_string(),
        name: cut(&walk.steps[at].path, style.depth.unwrap_or(0)).to_owned(),
        op: format!("{} steps from {first}", steps.len()),
        shape: live.map_or_else(|| "?".to_owned(), shape_of),
        parameters: number(sum(&|step| step.parameters)),
        macs: number(sum(&|step| step.macs)),
        formulas: Vec::new(),
        unknown: live.is_none_or(|step| step.outputs.is_none()),
    }
}

fn single(walk: &Walk, at: usize, last: Option<Origin>, style: ShapesStyle) -> Row {
    let step = &walk.steps[at];
    let mut op = step.op.clone();
    if !step.detail.is_empty() {
        op = format!("{op} {}", step.detail);
    }
    // the step before goes without saying
    if step.inputs.len() > 1 || step.inputs.first().copied() != last && !step.inputs.is_empty() {
        let names: Vec<String> = step
            .inputs
            .iter()
            .map(|origin| called(walk, *origin))
            .collect();
        let joined = if step.inputs.len() > 1 { "of " } else { "on " };
        op = format!("{op} {joined}{}", names.join(", "));
    }
    let mut formulas = formulas(&step.formulas);
    if step
        .formulas
        .iter()
        .all(|axis| axis.window.output() == Ok(axis.window.input))
        && style.depth.is_none()
        && !style.all
    {
        // a kernel of one changes nothing and needs no formula
        let plain = |axis: &crate::shapes::AxisFormula| {
            axis.window.kernel == 1 && axis.window.padding == (0, 0)
        };
        if step.formulas.iter().all(plain) {
            formulas.clear();
        }
    }
    if let Some(why) = &step.unknown {
        formulas.push(format!("not known: {why}"));
    }
    Row {
        number: (at + 1).to_string(),
        name: match step.assumed && step.path.is_empty() {
            true => "(assumed)".to_owned(),
            false => step.path.clone(),
        },
        op,
        shape: shape_of(step),
        parameters: match (number(step.parameters), step.shares_parameters) {
            (text, true) if text.is_empty() => "shared".to_owned(),
            (text, _) => text,
        },
        macs: number(step.macs),
        formulas,
        unknown: step.outputs.is_none(),
    }
}

/// `#12`, or the name of an input.
fn called(walk: &Walk, origin: Origin) -> String {
    match origin {
        Origin::Step(number) => format!("#{}", number + 1),
        Origin::Input(number) => walk
            .inputs
            .get(number)
            .map_or_else(|| "input".to_owned(), |input| input.name.clone()),
        Origin::File(_) | Origin::Nothing => "constant".to_owned(),
    }
}
