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
use crate::execute::Real;

/// P elements side by side, L lanes each.
pub(super) type Tile<R, const L: usize, const P: usize> = [[R; L]; P];

#[inline(always)]
fn step<R: Real, const FUSED: bool>(acc: R, x: R, w: R) -> R {
    if FUSED {
        x.mul_add(w, acc)
    } else {
        acc + x * w
    }
}

/// How a tile goes through a range of taps. A trait and not a closure, because only what is surely inlined is
/// compiled for the caller's vectors.
trait Chain<R, const L: usize, const P: usize> {
    fn chain(&self, acc: Tile<R, L, P>, from: usize, to: usize) -> Tile<R, L, P>;
}

/// Runs the program's ops over a tile; `bias` is what each element adds.
#[inline(always)]
fn total<R: Real, const L: usize, const P: usize>(
    program: &Program,
    bias: &Tile<R, L, P>,
    walk: &impl Chain<R, L, P>,
) -> Tile<R, L, P> {
    let mut acc = [[R::ZERO; L]; P];
    let mut saved: Vec<Tile<R, L, P>> = Vec::new(); // allocates only for nested sums
    for op in &program.ops {
        match *op {
            Op::Zero => acc = [[R::ZERO; L]; P],
            Op::NegativeZero => acc = [[R::from_f64(-0.0); L]; P],
            Op::SetBias => acc = *bias,
            Op::AddBias => add(&mut acc, bias),
            Op::Chain { from, to, fresh } => {
                let so_far = acc;
                if fresh {
                    acc = [[R::ZERO; L]; P];
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

/// All lanes of all elements in one loop: of two loops the outer one is vectorized, which gathers and scatters lanes.
#[inline(always)]
fn add<R: Real, const L: usize, const P: usize>(acc: &mut Tile<R, L, P>, other: &Tile<R, L, P>) {
    let (acc, other) = (acc.as_flattened_mut(), other.as_flattened());
    for (sum, &more) in acc.iter_mut().zip(other) {
        *sum += more;
    }
}

/// L output channels (lanes) of P pixels. `inputs[p]` starts at pixel p's place and all have one length; `weights`
/// holds L weights for each tap.
#[inline(always)]
pub(super) fn channels<R: Real, const L: usize, const P: usize, const FUSED: bool>(
    program: &Program,
    inputs: [&[R]; P],
    weights: &[R],
    bias: &[R; L],
) -> Tile<R, L, P> {
    let weights = weights.as_chunks::<L>().0;
    let walk = ByChannels::<R, L, P, FUSED> {
        offsets: &program.offsets,
        inputs,
        weights,
    };
    total(program, &[*bias; P], &walk)
}

struct ByChannels<'a, R, const L: usize, const P: usize, const FUSED: bool> {
    offsets: &'a [u32],
    inputs: [&'a [R]; P],
    weights: &'a [[R; L]],
}

impl<R: Real, const L: usize, const P: usize, const FUSED: bool> Chain<R, L, P>
    for ByChannels<'_, R, L, P, FUSED>
{
    #[inline(always)]
    fn chain(&self, mut acc: Tile<R, L, P>, from: usize, to: usize) -> Tile<R, L, P> {
        // cut to one length here, where the compiler can see it: one bounds check per tap then serves all pixels
        let span = self.inputs[0].len();
        let inputs: [&[R]; P] = std::array::from_fn(|p| &self.inputs[p][..span]);
        for (&offset, w) in self.offsets[from..to].iter().zip(&self.weights[from..to]) {
            let offset = offset as usize;
            let w = *w; // once into registers
            for p in 0..P {
                let x = inputs[p][offset];
                for l in 0..L {
                    acc[p][l] = step::<R, FUSED>(acc[p][l], x, w[l]);
                }
            }
        }
        acc
    }
}

/// L neighbouring pixels (lanes) of P strips: a strip is a piece of one output row of one channel. `inputs[p]` starts
/// at the strip's first pixel's place, `weights[p]` is the strip's filter in walk order.
#[inline(always)]
pub(super) fn pixels<R: Real, const L: usize, const P: usize, const FUSED: bool>(
    program: &Program,
    inputs: [&[R]; P],
    weights: [&[R]; P],
    bias: [R; P],
) -> Tile<R, L, P> {
    let walk = ByPixels::<R, P, FUSED> {
        offsets: &program.offsets,
        inputs,
        weights,
    };
    total(program, &bias.map(|b| [b; L]), &walk)
}

struct ByPixels<'a, R, const P: usize, const FUSED: bool> {
    offsets: &'a [u32],
    inputs: [&'a [R]; P],
    weights: [&'a [R]; P],
}

impl<R: Real, const L: usize, const P: usize, const FUSED: bool> Chain<R, L, P>
    for ByPixels<'_, R, P, FUSED>
{
    #[inline(always)]
    fn chain(&self, mut acc: Tile<R, L, P>, from: usize, to: usize) -> Tile<R, L, P> {
        let span = self.inputs[0].len();
        let inputs: [&[R]; P] = std::array::from_fn(|p| &self.inputs[p][..span]);
        let weights: [&[R]; P] = std::array::from_fn(|p| &self.weights[p][from..to]);
        for (t, &offset) in self.offsets[from..to].iter().enumerate() {
            let offset = offset as usize;
            for p in 0..P {
                let x: &[R] = &inputs[p][offset..offset + L];
                let w = weights[p][t];
                for l in 0..L {
                    acc[p][l] = step::<R, FUSED>(acc[p][l], x[l], w);
                }
            }
        }
        acc
    }
}
