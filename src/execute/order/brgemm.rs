//! oneDNN's brgemm convolutions (`brg_conv_fwd:*`, `brgconv_1x1:*`, `brdgmm_dw:*`), which take channels_last input.
//!
//! The kernel is a batch of matrix products, one per tap (kh, kw), summed in registers: one call is one chain from +0
//! over kh, kw, c. Where one call cannot take all of it - too many channels for the caches, or kernel columns that
//! lie in the padding for some of the outputs - several calls add to the output one after the other. The bias is
//! added last. (oneDNN 3.13, src/cpu/x64/jit_brgemm_conv.cpp: `ker_vpad`, `ker_base`, `ker_trans`.)

use std::fmt;
use std::ops::Range;

use crate::execute::Addressing;
use crate::execute::Geometry;
use crate::execute::order::Axis;
use crate::execute::order::PaddingTaps;
use crate::execute::order::Plan;
use crate::execute::order::Recipe;
use crate::execute::order::Step;
use crate::execute::order::Walk;
use crate::execute::order::blocks;
use crate::execute::order::name::number;

/// How a call gets at its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// In place, the kernel leaving out padding: all kernel columns in one call.
    Whole,
    /// In place, outputs in blocks of `width` columns: kernel columns that do not reach all outputs of a block are
    /// called one by one, the others together.
    Edges {
        /// Output columns per block.
        width: usize,
        /// Those others one by one as well.
        columns: bool,
        /// Calls go on from the total instead of starting afresh, as on aarch64.
        chained: bool,
    },
    /// From a copy in which the padding is zeros.
    Copied,
    /// From such a copy, with kernel columns outside rows.
    CopiedColumns,
}

/// What the order depends on besides the geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// Access.
    pub access: Access,
    /// A call per kernel slice, in volumes.
    pub slices: bool,
    /// A call per kernel row; in volumes, one for that row of all slices.
    pub rows: bool,
    /// Input channels per call, joined columns counted; `None`: all.
    pub channel_block: Option<usize>,
    /// Neighbouring kernel columns that are taken for further input channels; 1: none.
    pub joined_columns: usize,
}

impl Variant {
    /// One chain over everything.
    pub const WHOLE: Variant = Variant {
        access: Access::Whole,
        slices: false,
        rows: false,
        channel_block: None,
        joined_columns: 1,
    };

    /// Reads what `Display` writes: the words after the slash.
    pub(super) fn parse(words: &[&str]) -> Option<Self> {
        let (&first, mut rest) = words.split_first()?;
        let mut take = |word: &str| {
            let there = rest.first() == Some(&word);
            rest = &rest[usize::from(there)..];
            there
        };
        let access = match first {
            "whole" => Access::Whole,
            "copied" => Access::Copied,
            "copied_columns" => Access::CopiedColumns,
            edges => Access::Edges {
                width: number(edges, "edges")?,
                columns: take("columns"),
                chained: take("chained"),
            },
        };
        let (slices, rows) = (take("slices"), take("rows"));
        let (joined_columns, rest) = match rest {
            [joined, rest @ ..] if joined.starts_with("joined") => {
                (number(joined, "joined").filter(|&n| n > 1)?, rest)
            }
            _ => (1, rest),
        };
        let channel_block = match rest {
            [] => None,
            [block] => Some(number(block, "ic")?),
            _ => return None,
        };
        Some(Self {
            access,
            slices,
            rows,
            channel_block,
            joined_columns,
        })
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.access {
            Access::Whole => f.write_str("whole")?,
            Access::Copied => f.write_str("copied")?,
            Access::CopiedColumns => f.write_str("copied_columns")?,
            Access::Edges {
                width,
                columns,
                chained,
            } => {
                let columns = if columns { "-columns" } else { "" };
                let chained = if chained { "-chained" } else { "" };
                write!(f, "edges{width}{columns}{chained}")?;
            }
        }
        for (there, word) in [(self.slices, "-slices"), (self.rows, "-rows")] {
            f.write_str(if there { word } else { "" })?;
        }
        if self.joined_columns > 1 {
            write!(f, "-joined{}", self.joined_columns)?;
        }
        self.channel_block
            .map_or(Ok(()), |block| write!(f, "-ic{block}"))
    }
}

/// The plan for `g`.
pub fn plan(g: &Geometry, variant: &Variant) -> Plan {
    let Access::Edges { width, columns, .. } = variant.access else {
        return Plan::uniform(g, simple(g, variant));
    };
    let mut plan = Plan::default();
    let row = g.output[1];
    let width = width.clamp(1, row.max(1));
    for start in (0..row).step_by(width) {
        let block = start..row.min(start + width);
        let reach = Reach::of(g, &block).joined(joined_columns(g, variant));
        let reached = reach.by_first(g, &block);
        let parts = [
            (block.start..reached.start, false),
            (reached.clone(), true),
            (reached.end..block.end, false),
        ];
        for (outputs, reached) in parts.into_iter().filter(|(part, _)| !part.is_empty()) {
            let recipe = edges(g, variant, columns, &reach, reached);
            for oh in 0..g.output[0] {
                let pixels = oh * row + outputs.start..oh * row + outputs.end;
                plan.add(0..g.batch, 0..g.out_channels, pixels, recipe.clone());
            }
        }
    }
    plan.merge();
    plan
}

/// Kernel columns that are joined: none where padding or dilation lies between them.
fn joined_columns(g: &Geometry, variant: &Variant) -> usize {
    let neighbours = g.padding[1] == 0 && g.dilation[1] == 1;
    match g.kernel[1] % variant.joined_columns {
        0 if neighbours => variant.joined_columns,
        _ => 1,
    }
}

/// Input channels of a group, joined columns counted.
fn all_channels(g: &Geometry, variant: &Variant) -> usize {
    g.group_in() * joined_columns(g, variant)
}

/// Kernel rows and columns that are left.
fn kernel(g: &Geometry, variant: &Variant) -> [usize; 2] {
    [g.kernel[0], g.kernel[1] / joined_columns(g, variant)]
}

/// Channels of a call.
fn channel_block(g: &Geometry, variant: &Variant) -> usize {
    let all = all_channels(g, variant).max(1);
    variant
        .channel_block
        .map_or(all, |block| block.clamp(1, all))
}

/// Channels of each call.
fn channel_blocks(g: &Geometry, variant: &Variant) -> impl Iterator<Item = Range<usize>> {
    let (all, block) = (all_channels(g, variant), channel_block(g, variant));
    (0..all)
        .step_by(block)
        .map(move |first| first..all.min(first + block))
}

/// Kernel slices, and rows of one.
fn slices_and_rows(g: &Geometry) -> [usize; 2] {
    let slices = g.depth().kernel.max(1);
    [slices, g.kernel[0] / slices]
}

/// Kernel rows (those of all slices) that are taken together: each slice by itself or all, each of its rows or all.
fn row_groups(g: &Geometry, each_slice: bool, each_row: bool) -> Vec<Vec<usize>> {
    let [slices, rows] = slices_and_rows(g);
    let cut = |size: usize, each: bool| -> Vec<Range<usize>> {
        let step = if each { 1 } else { size };
        (0..size).step_by(step).map(|at| at..at + step).collect()
    };
    let mut groups = Vec::new();
    for some in cut(slices, each_slice) {
        for these in cut(rows, each_row) {
            let row = |slice: usize| these.clone().map(move |row| slice * rows + row);
            groups.push(some.clone().flat_map(row).collect());
        }
    }
    groups
}

fn walk(g: &Geometry, variant: &Variant) -> Walk {
    Walk {
        channel_block: channel_block(g, variant),
        joined_columns: joined_columns(g, variant),
        ..Walk::CHANNELS_LAST
    }
}

/// All kernel columns in one call.
fn simple(g: &Geometry, variant: &Variant) -> Recipe {
    let (padding, loops) = match variant.access {
        Access::Copied if spans_rows(g) => (PaddingTaps::Zero, Walk::CHANNELS_LAST.loops),
        Access::Copied => (PaddingTaps::ZeroColumns, Walk::CHANNELS_LAST.loops),
        Access::CopiedColumns => (PaddingTaps::Zero, [Axis::Column, Axis::Row, Axis::Channel]),
        Access::Whole | Access::Edges { .. } => (PaddingTaps::Dropped, Walk::CHANNELS_LAST.loops),
    };
    let [rows, columns] = kernel(g, variant);
    let groups = row_groups(g, variant.slices, variant.rows);
    let one_row_of_all = variant.rows && !variant.slices && slices_and_rows(g)[0] > 1;
    let mut steps: Vec<Step> = if one_row_of_all {
        let mut calls = Calls::new([rows, columns], 0..0);
        for channels in channel_blocks(g, variant) {
            calls.channels = channels;
            calls.add_all(&groups, 0..columns, columns);
        }
        calls.steps
    } else {
        let taps = rows * columns / groups.len();
        blocks(all_channels(g, variant), channel_block(g, variant))
            .flat_map(|channels| vec![Step::fresh_chain(channels * taps, true); groups.len()])
            .collect()
    };
    steps.push(Step::Bias);
    Recipe {
        walk: Walk {
            loops,
            ..walk(g, variant)
        },
        padding,
        steps,
    }
}

/// Whether a block of the copy spans output rows (`is_os_blocking`): rows in the padding are then zeros too.
fn spans_rows(g: &Geometry) -> bool {
    let reach = [0, 1].map(|a| (g.output[a].max(1) - 1) * g.stride[a] + g.extent()[a]);
    let near = |a: usize| {
        let far = reach[a].saturating_sub(g.input[a] + g.padding[a]);
        g.padding[a].max(far) < g.kernel[a]
    };
    let flat = matches!(g.addressing, Addressing::Images);
    flat && near(0)
        && near(1)
        && g.stride[0] == 1
        && (g.output[1] == 1 || g.extent()[1] <= g.stride[1])
}

/// The recipe of one block of output columns (`ker_base`). Outputs that the first call does not reach are set to +0
/// by it.
fn edges(g: &Geometry, variant: &Variant, columns: bool, reach: &Reach, reached: bool) -> Recipe {
    let kernel = kernel(g, variant);
    let [slices, rows] = slices_and_rows(g);
    let together = if columns { 1 } else { kernel[1] };
    // oneDNN compares the height of a call with the kernel's depth here, and its width with the kernel's height
    let height = if variant.rows { 1 } else { rows };
    let edge_rows = row_groups(g, height < slices, together < rows);
    let full_rows = row_groups(g, variant.slices, variant.rows);
    let mut calls = Calls::new(kernel, 0..0);
    for channels in channel_blocks(g, variant) {
        calls.channels = channels;
        calls.add_all(&edge_rows, reach.some.start..reach.all.start, 1);
        calls.add_all(&full_rows, reach.all.clone(), together);
        calls.add_all(&edge_rows, reach.all.end..reach.some.end, 1);
    }
    let mut steps = calls.steps;
    let chained = matches!(variant.access, Access::Edges { chained: true, .. });
    if chained {
        steps = steps.into_iter().flat_map(unwrapped).collect();
    } else if !reached {
        steps.insert(0, Step::fresh_chain(0, true));
    }
    steps.push(Step::Bias);
    Recipe {
        walk: walk(g, variant),
        padding: PaddingTaps::Dropped,
        steps,
    }
}

/// The steps of a call that goes on from the total.
fn unwrapped(call: Step) -> Vec<Step> {
    match call {
        Step::Sub(steps) => steps,
        step => vec![step],
    }
}

/// Kernel columns that reach the input for some, and for all outputs of a block.
struct Reach {
    some: Range<usize>,
    all: Range<usize>,
}

impl Reach {
    fn of(g: &Geometry, outputs: &Range<usize>) -> Self {
        let reached = |column: usize| {
            let inside = |&output: &usize| g.input_at(1, output, column).is_some();
            outputs.clone().filter(inside).count()
        };
        let range = |least: usize| {
            let mut columns = (0..g.kernel[1]).filter(|&column| reached(column) >= least);
            let first = columns.next()?;
            Some(first..columns.next_back().unwrap_or(first) + 1)
        };
        let some = range(1).unwrap_or(0..0);
        let all = range(outputs.len()).unwrap_or(some.end..some.end);
        Self { some, all }
    }

    /// The same counted in joined columns, all of which reach the input.
    fn joined(self, columns: usize) -> Self {
        let joined = |range: Range<usize>| range.start / columns..range.end / columns;
        Self {
            some: joined(self.some),
            all: joined(self.all),
        }
    }

    /// Outputs of a block that the first call reaches.
    fn by_first(&self, g: &Geometry, block: &Range<usize>) -> Range<usize> {
        if self.some.start == self.all.start {
            return block.clone(); // kernel columns that reach all of them come first
        }
        let inside = |output: &usize| g.input_at(1, *output, self.some.start).is_some();
        let first = block.clone().find(inside).unwrap_or(block.end);
        let count = (first..block.end).take_while(inside).count();
        first..first + count
    }
}

/// Steps, call by call, for one block of input channels after the other.
pub(super) struct Calls {
    /// Rows, columns.
    kernel: [usize; 2],
    channels: Range<usize>,
    /// Tap that comes next.
    at: usize,
    pub(super) steps: Vec<Step>,
}

impl Calls {
    pub(super) fn new(kernel: [usize; 2], channels: Range<usize>) -> Self {
        Self {
            kernel,
            channels,
            at: 0,
            steps: Vec::new(),
        }
    }

    /// A call for each group of kernel rows and each `together` of these `columns`.
    fn add_all(&mut self, rows: &[Vec<usize>], columns: Range<usize>, together: usize) {
        for rows in rows {
            for column in columns.clone().step_by(together) {
                let end = columns.end.min(column + together);
                self.add(rows.iter().copied(), column..end);
            }
        }
    }

    /// One call: a chain over kernel rows, columns, channels.
    pub(super) fn add(&mut self, rows: impl IntoIterator<Item = usize>, columns: Range<usize>) {
        if columns.is_empty() {
            return;
        }
        let width = self.channels.len();
        let first = self.channels.start * self.kernel[0] * self.kernel[1];
        let mut runs: Vec<Range<usize>> = Vec::new();
        for row in rows {
            let tap = |column| first + (row * self.kernel[1] + column) * width;
            let run = tap(columns.start)..tap(columns.end);
            match runs.last_mut() {
                Some(last) if last.end == run.start => last.end = run.end,
                _ => runs.push(run),
            }
        }
        if runs.is_empty() {
            return;
        }
        let mut steps = Vec::new();
        for run in &runs {
            if run.start != self.at {
                steps.push(Step::Seek(run.start));
            }
            steps.push(Step::chain(run.len(), true));
            self.at = run.end;
        }
        self.steps.push(Step::Sub(steps));
    }
}
