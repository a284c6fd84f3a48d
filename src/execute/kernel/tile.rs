//! The inner loops: tiles of output elements, each lane one element, every lane the recipe's own sequence.
//!
//! Lanes never mix, so a tile of any width gives the same bits as one element at a time; the arrays below become
//! vector registers where the caller was compiled for them ([`super::dispatch`]). `FUSED` picks `mul_add` or a
//! product and a sum; nothing else about the arithmetic is a choice.

// Index loops with constant bounds are unrolled, and the arrays live in registers; iterators over the same arrays are
// not, which makes the kernels several times slower.
#![allow(clippy::needless_range_loop)]

use super::program::Op;
use super::program::Program;

/// P elements side by side, L lanes each.
pub(super) type Tile<const L: usize, const P: usize> = [[f32; L]; P];

#[inline(always)]
fn step<const FUSED: bool>(acc: f32, x: f32, w: f32) -> f32 {
    if FUSED {
        x.mul_add(w, acc)
    } else {
        acc + x * w
    }
}

/// How a tile goes through a range of taps. A trait and not a closure, because only what is surely inlined is
/// compiled for the caller's vectors.
trait Chain<const L: usize, const P: usize> {
    fn chain(&self, acc: Tile<L, P>, from: usize, to: usize) -> Tile<L, P>;
}

/// Runs the program's ops over a tile; `bias` is what each element adds.
#[inline(always)]
fn total<const L: usize, const P: usize>(
    program: &Program,
    bias: &Tile<L, P>,
    walk: &impl Chain<L, P>,
) -> Tile<L, P> {
    let mut acc = [[0.0; L]; P];
    let mut saved: Vec<Tile<L, P>> = Vec::new(); // allocates only for nested sums
    for op in &program.ops {
        match *op {
            Op::Zero => acc = [[0.0; L]; P],
            Op::SetBias => acc = *bias,
            Op::AddBias => add(&mut acc, bias),
            Op::Chain { from, to, fresh } => {
                let so_far = acc;
                if fresh {
                    acc = [[0.0; L]; P];
                }
                acc = walk.chain(acc, from, to);
                if fresh {
                    add(&mut acc, &so_far);
                }
            }
            Op::Save => saved.push(acc),
            Op::AddToSaved => {
                if let Some(outer) = saved.pop() {
                    add(&mut acc, &outer);
                }
            }
        }
    }
    acc
}

#[inline(always)]
fn add<const L: usize, const P: usize>(acc: &mut Tile<L, P>, other: &Tile<L, P>) {
    for p in 0..P {
        for l in 0..L {
            acc[p][l] += other[p][l];
        }
    }
}

/// L output channels (lanes) of P pixels. `inputs[p]` starts at pixel p's place and all have one length; `weights`
/// holds L weights for each tap.
#[inline(always)]
pub(super) fn channels<const L: usize, const P: usize, const FUSED: bool>(
    program: &Program,
    inputs: [&[f32]; P],
    weights: &[f32],
    bias: &[f32; L],
) -> Tile<L, P> {
    let weights = weights.as_chunks::<L>().0;
    let walk = ByChannels::<L, P, FUSED> {
        offsets: &program.offsets,
        inputs,
        weights,
    };
    total(program, &[*bias; P], &walk)
}

struct ByChannels<'a, const L: usize, const P: usize, const FUSED: bool> {
    offsets: &'a [u32],
    inputs: [&'a [f32]; P],
    weights: &'a [[f32; L]],
}

impl<const L: usize, const P: usize, const FUSED: bool> Chain<L, P>
    for ByChannels<'_, L, P, FUSED>
{
    #[inline(always)]
    fn chain(&self, mut acc: Tile<L, P>, from: usize, to: usize) -> Tile<L, P> {
        // cut to one length here, where the compiler can see it: one bounds check per tap then serves all pixels
        let span = self.inputs[0].len();
        let inputs: [&[f32]; P] = std::array::from_fn(|p| &self.inputs[p][..span]);
        for (&offset, w) in self.offsets[from..to].iter().zip(&self.weights[from..to]) {
            let offset = offset as usize;
            let w = *w; // once into registers
            for p in 0..P {
                let x = inputs[p][offset];
                for l in 0..L {
                    acc[p][l] = step::<FUSED>(acc[p][l], x, w[l]);
                }
            }
        }
        acc
    }
}

/// L neighbouring pixels (lanes) of P strips: a strip is a piece of one output row of one channel. `inputs[p]` starts
/// at the strip's first pixel's place, `weights[p]` is the strip's filter in walk order.
#[inline(always)]
pub(super) fn pixels<const L: usize, const P: usize, const FUSED: bool>(
    program: &Program,
    inputs: [&[f32]; P],
    weights: [&[f32]; P],
    bias: [f32; P],
) -> Tile<L, P> {
    let walk = ByPixels::<P, FUSED> {
        offsets: &program.offsets,
        inputs,
        weights,
    };
    total(program, &bias.map(|b| [b; L]), &walk)
}

struct ByPixels<'a, const P: usize, const FUSED: bool> {
    offsets: &'a [u32],
    inputs: [&'a [f32]; P],
    weights: [&'a [f32]; P],
}

impl<const L: usize, const P: usize, const FUSED: bool> Chain<L, P> for ByPixels<'_, P, FUSED> {
    #[inline(always)]
    fn chain(&self, mut acc: Tile<L, P>, from: usize, to: usize) -> Tile<L, P> {
        let span = self.inputs[0].len();
        let inputs: [&[f32]; P] = std::array::from_fn(|p| &self.inputs[p][..span]);
        let weights: [&[f32]; P] = std::array::from_fn(|p| &self.weights[p][from..to]);
        for (t, &offset) in self.offsets[from..to].iter().enumerate() {
            let offset = offset as usize;
            for p in 0..P {
                let x: &[f32] = &inputs[p][offset..offset + L];
                let w = weights[p][t];
                for l in 0..L {
                    acc[p][l] = step::<FUSED>(acc[p][l], x[l], w);
                }
            }
        }
        acc
    }
}
