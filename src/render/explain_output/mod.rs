//! One output element with its whole sum: `run --explain-output`.
//!
//! First the sum as the order makes it, one line per addition; then the same as one would write it on paper: the
//! window of the input, the filter and their products side by side, channel by channel.

use std::io::Result;
use std::io::Write;

use crate::execute::FloatType;
use crate::execute::Geometry;
use crate::execute::Order;
use crate::execute::Real;
use crate::execute::order::Join;
use crate::execute::order::trace::Accumulator;
use crate::execute::order::trace::Factors;
use crate::execute::order::trace::Row;
use crate::execute::order::trace::Trace;
use crate::execute::order::trace::What;
use crate::render::Paint;
use crate::render::escape;
use crate::render::number;
use crate::render::wrap;
use crate::tensor::DType;
use crate::tensor::Element;
use crate::verify::compare::Comparison;
use crate::verify::compare::ulp_distance;

mod beside;
mod json;
mod paper;
mod table;

pub use json::json;

/// What there is to show.
#[derive(Debug)]
pub struct Explained<'a, R> {
    /// The layer's name.
    pub layer: &'a str,
    /// Element type of input and output; narrow types are summed in float32.
    pub dtype: FloatType,
    /// The sizes.
    pub geometry: &'a Geometry,
    /// Index as it was asked for, with a batch axis or without.
    pub index: &'a [usize],
    /// Output shape, likewise.
    pub shape: &'a [usize],
    /// The order, and the sum in it.
    pub first: (Order, Trace<R>),
    /// Another order to be set beside it.
    pub against: Option<(Order, Trace<R>)>,
    /// All outputs in the first order against those in the other.
    pub whole: Option<Comparison>,
    /// What the coordinates of the input mean, where `padding_mode` has moved them.
    pub note: Option<String>,
}

/// Digits of a value in the tables.
const CELL: usize = 9;

/// Columns of a page that goes into a pipe or a file.
const PAGE: usize = 80;

/// Everything, as text. At most about `limit` lines of each table; `width` is the terminal's, if there is one.
pub fn text<R: Real>(
    out: &mut dyn Write,
    paint: Paint,
    explained: &Explained<'_, R>,
    limit: usize,
    width: Option<usize>,
) -> Result<()> {
    let width = width.unwrap_or(PAGE);
    head(out, paint, explained)?;
    writeln!(out)?;
    match &explained.against {
        None => table::write(out, paint, explained, limit, width)?,
        Some(against) => beside::table(out, paint, explained, against, limit, width)?,
    }
    writeln!(out)?;
    results(out, paint, explained, width)?;
    writeln!(out)?;
    paper::channels(out, paint, explained, width)
}

fn head<R: Real>(out: &mut dyn Write, paint: Paint, explained: &Explained<'_, R>) -> Result<()> {
    let (order, trace) = &explained.first;
    let g = explained.geometry;
    writeln!(
        out,
        "{}  output {} of {:?}",
        paint.title(escape::text(explained.layer)),
        paint.key(format!("{:?}", explained.index)),
        explained.shape
    )?;
    let [image, filter, pixel] = trace.at;
    let image = match g.batch {
        1 => String::new(),
        _ => format!("image {image}, "),
    };
    let (y, x) = (pixel / g.output[1], pixel % g.output[1]);
    let padding = trace.factors().filter(|f| in_padding(f)).count();
    let padding = match padding {
        0 => "none of them in the padding".to_owned(),
        n => format!("{n} of them in the padding"),
    };
    let mut lines = vec![
        ("order", order.to_string()),
        (
            "element",
            format!(
                "{image}filter {filter} at y {y}, x {x}: {} taps, {padding}",
                g.taps()
            ),
        ),
    ];
    lines.extend(explained.note.iter().map(|note| ("input", note.clone())));
    if let Some((order, _)) = &explained.against {
        lines.insert(1, ("against", order.to_string()));
    }
    for (label, line) in lines {
        writeln!(out, "  {:<9} {line}", paint.dim(label))?;
    }
    Ok(())
}

fn in_padding<R: Real>(factors: &Factors<R>) -> bool {
    factors.input_at.is_none() && factors.weight_at.is_some()
}

fn cell(value: f64, width: usize) -> String {
    number::cell(&Element::Float(value), DType::Float32, width)
}

/// The type that sums are kept in.
fn kept(dtype: FloatType) -> FloatType {
    match dtype {
        FloatType::Float64 => FloatType::Float64,
        FloatType::Float32 | FloatType::BFloat16 | FloatType::Float16 => FloatType::Float32,
    }
}

/// The shortest digits that read back as the same number of `dtype`.
fn exact<R: Real>(value: R, dtype: FloatType) -> String {
    number::element(&Element::Float(value.to_f64()), dtype.dtype())
}

fn bits<R: Real>(value: R, dtype: FloatType) -> String {
    let width = dtype.bytes() * 2 + 2;
    format!("{:#0width$x}", value.bits(dtype))
}

fn ulps<R: Real>(a: R, b: R, dtype: FloatType) -> u64 {
    ulp_distance(dtype, a.bits(dtype), b.bits(dtype))
}

fn product<R: Real>(factors: &Factors<R>) -> f64 {
    factors.x.to_f64() * factors.w.to_f64()
}

fn accumulator(into: Accumulator) -> String {
    match into {
        Accumulator::Total => "total".into(),
        Accumulator::Share => "share".into(),
        Accumulator::Part(n) => format!("part {n}"),
        Accumulator::Lane(n) => format!("lane {n}"),
        Accumulator::Four => "four".into(),
    }
}

/// What a row adds, in one word or two.
fn term<R: Real>(row: &Row<R>) -> String {
    match &row.what {
        What::Bias(_) => "bias".into(),
        What::Product { factors, .. } | What::Skipped(factors) => tap(factors),
        What::Joined { lanes, join } => joined(lanes.len(), *join),
        What::Part(_, from) => accumulator(*from),
        What::NotCalled => "not called".into(),
        What::Flushed => "subnormal: 0".into(),
    }
}

fn joined(lanes: usize, join: Join) -> String {
    match (lanes, join) {
        (2, _) => "0+1".into(),
        (4, Join::Horizontal | Join::HalfThenNeighbours) => "(0+1)+(2+3)".into(),
        (4, Join::Sequence) => "((0+1)+2)+3".into(),
        (8, Join::Registers) => "((0+2)+(4+6))+((1+3)+(5+7))".into(),
        (4, Join::Registers) => "(0+2)+(1+3)".into(),
        (4, Join::Halving) => "(0+2)+(1+3)".into(),
        (8, Join::Horizontal) => "((0+1)+(4+5))+((2+3)+(6+7))".into(),
        (8, Join::HalfThenNeighbours) => "((0+4)+(1+5))+((2+6)+(3+7))".into(),
        (8, Join::Halving) => "((0+4)+(2+6))+((1+5)+(3+7))".into(),
        (n, _) => format!("{n} lanes by halves"),
    }
}

fn tap<R: Real>(factors: &Factors<R>) -> String {
    let t = &factors.tap;
    format!("{},{},{}", t.channel, t.row, t.column)
}

/// Rows to show: the first, the last, those around boundaries and around `also`; at most about `limit`.
fn chosen(boundaries: &[bool], limit: usize, also: Option<usize>) -> Vec<bool> {
    let n = boundaries.len();
    let mut shown = vec![n <= limit; n];
    if n <= limit {
        return shown;
    }
    let ends = (limit / 4).max(1);
    let mut mark = |i: usize| {
        if let Some(row) = shown.get_mut(i) {
            *row = true;
        }
    };
    (0..ends).chain(n - ends..n).for_each(&mut mark);
    if let Some(at) = also {
        (at.saturating_sub(2)..at + 3).for_each(&mut mark);
    }
    // boundaries from both ends inwards, while there is room
    let all: Vec<usize> = (0..n).filter(|&i| boundaries[i]).collect();
    let room = (limit / 2 / 3).max(1);
    let (first, last) = (all.len().min(room.div_ceil(2)), room / 2);
    let last = all.len().saturating_sub(last).max(first);
    for &i in all[..first].iter().chain(&all[last..]) {
        (i.saturating_sub(1)..i + 2).for_each(&mut mark);
    }
    shown
}

/// The sum in float64: products of float32 are exact there, and its roundings are 2^29 times finer.
fn in_float64<R: Real>(trace: &Trace<R>) -> f64 {
    let products = trace.factors().map(product);
    let bias = trace.rows.iter().find_map(|row| match row.what {
        What::Bias(bias) => Some(bias.to_f64()),
        _ => None,
    });
    products.sum::<f64>() + bias.unwrap_or(0.0)
}

fn results<R: Real>(
    out: &mut dyn Write,
    paint: Paint,
    explained: &Explained<'_, R>,
    width: usize,
) -> Result<()> {
    let (order, trace) = &explained.first;
    let dtype = explained.dtype;
    let line = |out: &mut dyn Write, label: &str, value: R, rest: String| {
        let value = format!("{:>13}  {}", exact(value, dtype), bits(value, dtype));
        let room = 2 + 10 + value.len() + 2;
        let mut rest = wrap::lines(&rest, width.saturating_sub(room)).into_iter();
        writeln!(
            out,
            "  {:<9} {}  {}",
            paint.dim(label),
            paint.key(value),
            rest.next().unwrap_or_default()
        )?;
        rest.try_for_each(|rest| writeln!(out, "{:room$}{rest}", ""))
    };
    // a name that is too long here stands at the head
    let named = |order: &Order, other: &'static str| match order.to_string() {
        name if name.len() + 31 <= width => name,
        _ => other.to_owned(),
    };
    line(out, "result", trace.result, named(order, "in the order"))?;
    if let Some((order, other)) = &explained.against {
        let apart = match ulps(trace.result, other.result, dtype) {
            0 => "the same bits".to_owned(),
            1 => "1 ULP apart".to_owned(),
            n => format!("{} ULPs apart", number::grouped(n)),
        };
        line(
            out,
            "against",
            other.result,
            format!("{}, {apart}", named(order, "in the other")),
        )?;
    }
    let float64 = in_float64(trace);
    let rounded = R::from_f64(float64).rounded(dtype);
    let away = |value: R| match ulps(value, rounded, dtype) {
        0 => "is that".to_owned(),
        1 => "is 1 ULP away".to_owned(),
        n => format!("is {} ULPs away", number::grouped(n)),
    };
    let judged = match &explained.against {
        None => format!("the result {}", away(trace.result)),
        Some((_, other)) => format!(
            "the first {}, the second {}",
            away(trace.result),
            away(other.result)
        ),
    };
    line(
        out,
        "float64",
        rounded,
        format!("the sum in float64, rounded once; {judged}"),
    )?;
    let Some(whole) = &explained.whole else {
        return Ok(());
    };
    let differing = whole.elements - whole.identical;
    let text = match differing {
        0 => format!(
            "all {} outputs have the same bits in both orders",
            number::grouped(whole.elements as u64)
        ),
        n => format!(
            "of all {} outputs {} differ between the two orders, by at most {:.5e}: no error, but the same products \
             added in two orders",
            number::grouped(whole.elements as u64),
            number::grouped(n as u64),
            whole.max_abs
        ),
    };
    for (i, text) in wrap::lines(&text, width.saturating_sub(12))
        .iter()
        .enumerate()
    {
        let label = if i == 0 { "whole" } else { "" };
        writeln!(out, "  {} {text}", paint.dim(format!("{label:<9}")))?;
    }
    Ok(())
}
