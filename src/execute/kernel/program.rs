//! A recipe compiled for the kernels: where each tap lies in the padded input, and what happens to the total.
//!
//! The kernels take padding taps as +0 and leave out the taps that only fill up a blocked layout. That differs from
//! the recipe in nothing but this: a total of -0 can become +0 where a skipped tap is multiplied (or stay -0 where a
//! filled-up tap would have cleared it), and an infinite or NaN weight on a skipped tap makes a NaN. Both show in
//! the finished element, which is then a zero or a NaN, because every other total swallows a zero. So such elements
//! are computed again by the interpreter ([`Program::doubtful`]), and the result is exact.

use crate::execute::Addressing;
use crate::execute::Geometry;
use crate::execute::Real;
use crate::execute::order::PaddingTaps;
use crate::execute::order::Recipe;
use crate::execute::order::Step;
use crate::execute::order::Tap;
use crate::execute::order::Walk;

/// The input with its padding made real, columns sorted by their remainder modulo the stride, so that neighbouring
/// output pixels of a row read neighbouring elements: `[N, C, H + 2*pad, stride, ceil((W + 2*pad)/stride)]`, N being
/// as many images as fit. Of a volume all slices follow each other, padded as well. Of a transposed convolution there are
/// `stride - 1` zeros between neighbouring elements, and what is read from it is read with stride 1 and backwards.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Padded {
    /// Elements of one row: stride * ceil(...).
    row: usize,
    /// Elements of one phase of a row.
    phase: usize,
    /// Elements of one channel.
    plane: usize,
    /// Rows of one slice of a volume; of an image all of them.
    slice: usize,
}

/// Elements that a tile may read past the last one it needs.
pub(super) const SLACK: usize = 64;

/// Elements that a buffer may have whatever the operands' sizes; few in tests, where images then take turns.
const AFFORDABLE: usize = if cfg!(test) { 1 << 11 } else { 1 << 25 };

impl Padded {
    /// `None` where one image's padding would cost far more memory than the image and its output: such layers, which
    /// read next to nothing but zeros, are the interpreter's.
    pub(super) fn new(g: &Geometry) -> Option<Self> {
        let around = |size: usize, padding: usize| padding.checked_mul(2)?.checked_add(size);
        let depth = g.depth();
        let [rows, columns, stride] = match g.addressing {
            Addressing::Images | Addressing::Volumes { .. } => {
                let rows = g.input[0] / depth.input.max(1);
                let columns = around(g.input[1], g.padding[1])?;
                [around(rows, g.padding[0])?, columns, g.stride[1]]
            }
            Addressing::Transposed => {
                let size = |axis: usize| g.output[axis].checked_add(last_tap(g, axis));
                [size(0)?, size(1)?, 1]
            }
        };
        let phase = columns.div_ceil(stride);
        let row = phase.checked_mul(stride)?;
        let slices = around(depth.input, depth.padding)?;
        let plane = row.checked_mul(rows.checked_mul(slices)?)?;
        let elements = plane.checked_mul(g.in_channels)?;
        let input = g.in_channels * g.input[0] * g.input[1];
        let output = g.out_channels * g.pixels();
        let affordable = (input + output).saturating_mul(8).max(AFFORDABLE);
        (elements <= affordable).then_some(Self {
            row,
            phase,
            plane,
            slice: rows,
        })
    }

    /// How many images are padded at a time.
    pub(super) fn images_at_once(&self, g: &Geometry) -> usize {
        (2 * AFFORDABLE / (g.in_channels * self.plane).max(1)).max(1)
    }

    /// Elements of the buffer for `images`, slack included.
    pub(super) fn len(&self, g: &Geometry, images: usize) -> usize {
        images * g.in_channels * self.plane + SLACK
    }

    /// First element of a group of the `image`-th image in the buffer.
    pub(super) fn group_start(&self, g: &Geometry, image: usize, group: usize) -> usize {
        (image * g.in_channels + group * g.group_in()) * self.plane
    }

    /// What output row `oh`, column `ow` adds to a tap's offset.
    pub(super) fn pixel(&self, g: &Geometry, oh: usize, ow: usize) -> usize {
        let row = match g.addressing {
            Addressing::Images => oh * g.stride[0],
            Addressing::Transposed => oh,
            Addressing::Volumes { depth, .. } => {
                let [_, rows, _] = g.output_slices();
                oh / rows * depth.stride * self.slice + oh % rows * g.stride[0]
            }
        };
        row * self.row + ow
    }

    /// What a tap adds to it.
    fn tap(&self, g: &Geometry, tap: &Tap) -> usize {
        let (row, column) = (tap.row * g.dilation[0], tap.column * g.dilation[1]);
        let within = match g.addressing {
            Addressing::Images => {
                row * self.row + column % g.stride[1] * self.phase + column / g.stride[1]
            }
            Addressing::Transposed => (last_tap(g, 0) - row) * self.row + last_tap(g, 1) - column,
            Addressing::Volumes { depth, .. } => {
                let rows = g.kernel[0] / depth.kernel;
                let slice = tap.row / rows * depth.dilation;
                let row = slice * self.slice + tap.row % rows * g.dilation[0];
                row * self.row + column % g.stride[1] * self.phase + column / g.stride[1]
            }
        };
        tap.channel * self.plane + within
    }

    /// Fills one channel of the buffer, which holds zeros, from one channel of the input.
    pub(super) fn fill<R: Real>(&self, g: &Geometry, from: &[R], to: &mut [R]) {
        let width = g.input[1];
        if g.addressing == Addressing::Transposed {
            return self.fill_apart(g, from, to);
        }
        let depth = g.depth();
        let rows = (g.input[0] / depth.input.max(1)).max(1);
        for (y, row) in from.chunks_exact(width).enumerate() {
            let y = (y / rows + depth.padding) * self.slice + y % rows;
            let out = &mut to[(y + g.padding[0]) * self.row..][..self.row];
            if g.stride[1] == 1 {
                out[g.padding[1]..][..width].copy_from_slice(row);
                continue;
            }
            self.fill_phases(g, row, out);
        }
    }

    /// One channel with zeros between its elements; what no output reads is left out.
    fn fill_apart<R: Real>(&self, g: &Geometry, from: &[R], to: &mut [R]) {
        // where the first element lies
        let first = [0, 1].map(|axis| last_tap(g, axis) - g.padding[axis]);
        for (y, row) in from.chunks_exact(g.input[1]).enumerate() {
            let y = y * g.stride[0] + first[0];
            if y >= self.slice {
                break;
            }
            let out = &mut to[y * self.row..][..self.row];
            let columns = out.iter_mut().skip(first[1]).step_by(g.stride[1]);
            columns.zip(row).for_each(|(to, &from)| *to = from);
        }
    }

    /// One row, its columns sorted by their remainder modulo the stride.
    fn fill_phases<R: Real>(&self, g: &Geometry, row: &[R], out: &mut [R]) {
        let (stride, padding) = (g.stride[1], g.padding[1]);
        for first in 0..stride.min(row.len()) {
            let at = first + padding;
            let to = &mut out[at % stride * self.phase + at / stride..];
            // the columns of this remainder; of stride 2, which is usual, without a step that is only known here
            if stride == 2 {
                let (pairs, last) = row[first..].as_chunks::<2>();
                let (even, rest) = to.split_at_mut(pairs.len());
                even.iter_mut()
                    .zip(pairs)
                    .for_each(|(to, from)| *to = from[0]);
                rest.iter_mut().zip(last).for_each(|(to, from)| *to = *from);
            } else {
                let columns = row[first..].iter().step_by(stride);
                to.iter_mut()
                    .zip(columns)
                    .for_each(|(to, &from)| *to = from);
            }
        }
    }

    /// Whether the input can be read as it is: nothing is put around it, and its columns are in order.
    pub(super) fn is_input(g: &Geometry) -> bool {
        !g.may_miss() && g.stride[1] == 1
    }

    /// Elements of one channel.
    pub(super) fn plane(&self) -> usize {
        self.plane
    }
}

/// Of a transposed convolution: how far before an output's own place its last tap may read, in elements and the zeros
/// between them; no less than the padding, so that the first element has a place.
fn last_tap(g: &Geometry, axis: usize) -> usize {
    (g.dilation[axis] * (g.kernel[axis] - 1)).max(g.padding[axis])
}

/// What happens to the total, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// total = +0
    Zero,
    /// total = -0
    NegativeZero,
    /// total = bias
    SetBias,
    /// total += bias
    AddBias,
    /// The total goes on through these taps; or, if fresh, a chain of them from +0 is added to it.
    Chain { from: usize, to: usize, fresh: bool },
    /// The total is put aside.
    Save,
    /// The total is added to the one put aside last.
    AddToSaved,
}

/// A recipe for the kernels.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// Offset of each tap from its pixel's place in the group's padded input.
    pub(super) offsets: Vec<u32>,
    /// Index of each tap's weight within its filter.
    pub(super) weights: Vec<u32>,
    pub(super) ops: Vec<Op>,
    pub(super) fused: bool,
    /// Padding taps should have been left out.
    skips: bool,
    /// Taps that fill up a blocked layout have been left out.
    fills: bool,
}

impl Program {
    /// `None` for recipes that are not chains, and where offsets outgrow 32 bits.
    pub(super) fn compile(
        g: &Geometry,
        padded: &Padded,
        recipe: &Recipe,
        bias: bool,
    ) -> Option<Self> {
        let fused = recipe.chained()?;
        let mut compiler = Compiler {
            taps_met: 0,
            real: Vec::new(),
            ops: Vec::new(),
            bias,
        };
        let mut program = Program {
            offsets: Vec::new(),
            weights: Vec::new(),
            ops: Vec::new(),
            fused,
            skips: recipe.padding != PaddingTaps::Zero && g.may_miss(),
            fills: recipe.walk.channels(g) != g.group_in(),
        };
        program.place_taps(g, padded, &recipe.walk, &mut compiler.real)?;
        if !compiler.steps(&recipe.steps) {
            compiler.ops.push(Op::Zero);
        }
        program.ops = compiler.ops;
        Some(program)
    }

    /// `real[t]`: how many of the first t taps are real.
    fn place_taps(
        &mut self,
        g: &Geometry,
        padded: &Padded,
        walk: &Walk,
        real: &mut Vec<usize>,
    ) -> Option<()> {
        for tap in walk.taps(g) {
            real.push(self.offsets.len());
            if tap.channel >= g.group_in() {
                continue;
            }
            let offset = padded.tap(g, &tap);
            let weight = (tap.channel * g.kernel[0] + tap.row) * g.kernel[1] + tap.column;
            self.offsets.push(u32::try_from(offset).ok()?);
            self.weights.push(u32::try_from(weight).ok()?);
        }
        real.push(self.offsets.len());
        Some(())
    }

    /// Whether an element that came out as `value` must be computed again; `border`: some of its taps are padding.
    pub(super) fn doubtful<R: Real>(&self, value: R, border: bool) -> bool {
        (self.skips && border && (value == R::ZERO || value.is_nan()))
            || (self.fills && value.is_negative_zero())
    }

    /// Whether one of the values could be doubtful: a zero or no number. Wherever it is not, nothing else need be asked
    /// of them; a sum over all lanes, so that many are asked at a time.
    #[inline(always)]
    pub(super) fn may_doubt_any<R: Real>(values: &[R]) -> bool {
        values.iter().fold(false, |any, &value| {
            any | (value == R::ZERO) | (value.is_nan())
        })
    }

    /// Whether any element can be doubtful.
    pub(super) fn may_doubt(&self) -> bool {
        self.skips || self.fills
    }
}

struct Compiler {
    taps_met: usize,
    real: Vec<usize>,
    ops: Vec<Op>,
    bias: bool,
}

impl Compiler {
    /// Whether the total is set afterwards.
    fn steps(&mut self, steps: &[Step]) -> bool {
        let mut set = false;
        for step in steps {
            match step {
                // programs run on operands that make no subnormal numbers
                Step::Flush => {}
                Step::Bias if !self.bias => {}
                Step::Bias => {
                    self.ops.push(if set { Op::AddBias } else { Op::SetBias });
                    set = true;
                }
                Step::Begin { .. } if set => {}
                Step::Begin { negative } => {
                    let zero = if *negative {
                        Op::NegativeZero
                    } else {
                        Op::Zero
                    };
                    self.ops.push(zero);
                    set = true;
                }
                Step::Fold { len, fresh, .. } => {
                    let from = self.real[self.taps_met];
                    self.taps_met += len;
                    let to = self.real[self.taps_met];
                    if !set {
                        self.ops.push(Op::Zero);
                    }
                    let fresh = *fresh && set;
                    self.ops.push(Op::Chain { from, to, fresh });
                    set = true;
                }
                Step::Sub(steps) if set => {
                    let outside = self.ops.len();
                    self.ops.push(Op::Save);
                    if self.steps(steps) {
                        self.ops.push(Op::AddToSaved);
                    } else {
                        self.ops.truncate(outside); // an empty sum adds nothing
                    }
                }
                Step::Sub(steps) => set = self.steps(steps),
                Step::Seek(tap) => self.taps_met = *tap,
            }
        }
        set
    }
}
