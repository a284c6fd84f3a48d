//! `brgconv_strided`, by which oneDNN computes transposed convolutions with a stride (3.13,
//! src/cpu/x64/jit_brgemm_conv_bwd_strided.cpp).
//!
//! Outputs of one phase, those a stride apart, meet the same kernel columns. Columns that reach the input for all outputs
//! of a block and phase are taken in one call, the others in calls of their own before and after it. Neighbouring outputs
//! are of different phases; where one list of calls says the same for all of them, they share it.

use std::ops::Range;

use crate::execute::Geometry;
use crate::execute::order::PaddingTaps;
use crate::execute::order::Plan;
use crate::execute::order::Recipe;
use crate::execute::order::Step;
use crate::execute::order::Walk;
use crate::execute::order::brgemm::Calls;

/// The plan for `g`: blocks of `width` output columns, or a copy with padding; `rows`: a call for as many kernel rows as
/// the stride.
pub(super) fn plan(g: &Geometry, width: Option<usize>, rows: bool) -> Plan {
    let Some(width) = width else {
        let whole = 0..g.kernel[1];
        let all = calls(g, rows, &[std::slice::from_ref(&whole)]);
        return Plan::uniform(g, called(all, PaddingTaps::ZeroColumns));
    };
    let (columns, stride) = (g.output[1], g.stride[1]);
    let width = width.clamp(1, columns.max(1)).next_multiple_of(stride);
    let mut plan = Plan::default();
    for start in (0..columns).step_by(width) {
        let block = start..columns.min(start + width);
        let phases: Vec<Phase> = (0..stride.min(block.len()))
            .map(|phase| Phase::of(g, &block, phase))
            .collect();
        let shared = shared(g, &phases, rows);
        for phase in &phases {
            let steps = match &shared {
                Some(ranges) => {
                    let each: Vec<&[Range<usize>]> = ranges.chunks(1).collect();
                    calls(g, rows, &each)
                }
                None => {
                    let single = phase.singles.iter().map(|&k| k..k + 1);
                    let (before, after): (Vec<_>, Vec<_>) =
                        single.partition(|k| phase.is_before(k.start));
                    calls(
                        g,
                        rows,
                        &[&before, std::slice::from_ref(&phase.full), &after],
                    )
                }
            };
            phase.add(g, &mut plan, &called(steps, PaddingTaps::Dropped));
        }
    }
    plan.merge();
    plan
}

/// Outputs of a block that are a stride apart.
struct Phase {
    /// Output columns.
    outputs: Vec<usize>,
    /// Kernel columns that are taken together.
    full: Range<usize>,
    /// The others.
    singles: Vec<usize>,
    /// The kernel column of the first call, if it is one of the others.
    first: Option<usize>,
}

impl Phase {
    fn of(g: &Geometry, block: &Range<usize>, phase: usize) -> Self {
        let full = reached_by_all(g, block, phase);
        let outputs: Vec<usize> = (block.start + phase..block.end)
            .step_by(g.stride[1])
            .collect();
        let kernel = 0..g.kernel[1];
        let first = kernel
            .clone()
            .find(|&k| outputs.iter().any(|&o| g.input_at(1, o, k).is_some()));
        Self {
            first: first.filter(|k| !full.contains(k)),
            singles: kernel.filter(|k| !full.contains(k)).collect(),
            outputs,
            full,
        }
    }

    /// Kernel columns that read something for this output.
    fn reached(&self, g: &Geometry, output: usize) -> Vec<usize> {
        let reads = |k: &usize| g.input_at(1, output, *k).is_some();
        (0..g.kernel[1]).filter(reads).collect()
    }

    fn are_together(&self, a: usize, b: usize) -> bool {
        self.full.contains(&a) && self.full.contains(&b)
    }

    fn is_before(&self, column: usize) -> bool {
        column < self.full.start || self.full.is_empty()
    }

    fn add(&self, g: &Geometry, plan: &mut Plan, recipe: &Recipe) {
        for &column in &self.outputs {
            let mut recipe = recipe.clone();
            // what the first call does not reach is set to +0 by it
            let misses = |first| g.input_at(1, column, first).is_none();
            if self.first.is_some_and(misses) {
                recipe.steps.insert(0, Step::Begin { negative: false });
            }
            for row in 0..g.output[0] {
                let pixel = row * g.output[1] + column;
                let images = 0..g.batch;
                plan.add(images, 0..g.out_channels, pixel..pixel + 1, recipe.clone());
            }
        }
    }
}

/// Kernel columns of calls that say the same for the outputs of all phases; `None` where there are none such.
fn shared(g: &Geometry, phases: &[Phase], rows: bool) -> Option<Vec<Range<usize>>> {
    let kernel = g.kernel[1];
    let several = rows && g.stride[0] < g.kernel[0];
    let outputs = || {
        let of = |phase| move |&output: &usize| (phase, Phase::reached(phase, g, output));
        phases
            .iter()
            .flat_map(move |phase: &Phase| phase.outputs.iter().map(of(phase)))
    };
    // before which columns no call may begin
    let mut joined = vec![false; kernel];
    for (phase, reached) in outputs() {
        let before = reached.iter().filter(|&&k| phase.is_before(k)).count();
        let full = reached.iter().filter(|&&k| phase.full.contains(&k)).count();
        if several && (before > 1 || reached.len() - before - full > 1) {
            return None; // such calls go row by row
        }
        for pair in reached.windows(2) {
            if phase.are_together(pair[0], pair[1]) {
                joined[pair[0] + 1..=pair[1]].fill(true);
            }
        }
    }
    for (phase, reached) in outputs() {
        for pair in reached.windows(2) {
            let apart = !phase.are_together(pair[0], pair[1]);
            if apart && joined[pair[0] + 1..=pair[1]].iter().all(|&joined| joined) {
                return None;
            }
        }
    }
    let mut starts: Vec<usize> = (0..kernel).filter(|&k| k == 0 || !joined[k]).collect();
    starts.push(kernel);
    Some(starts.windows(2).map(|ends| ends[0]..ends[1]).collect())
}

/// Kernel columns that reach the input for all outputs of one phase of a block (`get_kw_range`).
fn reached_by_all(g: &Geometry, block: &Range<usize>, phase: usize) -> Range<usize> {
    let (stride, padding) = (g.stride[1] as i64, g.padding[1] as i64);
    let first = (block.start + phase) as i64 + padding;
    let outputs = (block.len() as i64 + stride - 1) / stride;
    // truncating division, as there: columns of other phases are counted too
    let reaches = |&kernel: &usize| {
        let left = (first - kernel as i64) / stride;
        left >= 0 && left + outputs <= g.input[1] as i64
    };
    let mut reached = (0..g.kernel[1]).filter(reaches);
    match reached.next() {
        Some(start) => start..reached.next_back().unwrap_or(start) + 1,
        None => 0..0,
    }
}

/// Calls for all of `columns`, together those of each range, then for all of the next: for each group of kernel rows one
/// of each range.
fn calls(g: &Geometry, rows: bool, columns: &[&[Range<usize>]]) -> Vec<Step> {
    let mut calls = Calls::new(g.kernel, 0..g.group_in());
    let height = if rows { g.stride[0] } else { g.kernel[0] };
    for columns in columns {
        for row in (0..g.kernel[0]).step_by(height) {
            for columns in *columns {
                calls.add(row..g.kernel[0].min(row + height), columns.clone());
            }
        }
    }
    calls.steps
}

/// Calls, and the bias.
fn called(mut steps: Vec<Step>, padding: PaddingTaps) -> Recipe {
    steps.push(Step::Bias);
    Recipe {
        walk: Walk::CHANNELS_LAST,
        padding,
        steps,
    }
}
