//! The inner loops: tiles of output elements, each lane one element, every lane the recipe's own sequence.
//!
//! Lanes are neighbouring output pixels, always: one load of inputs meets one weight of each of several channels, and
//! what comes out is stored as it lies. Lanes never mix, so a tile of any width gives the same bits as one element at a
//! time; the arrays below become vector registers where the caller was compiled for them ([`super::dispatch`]).
//! `FUSED` picks `mul_add` or a product and a sum; nothing else about the arithmetic is a choice.

// Index loops with constant bounds are unrolled, and the arrays live in registers.
#![allow(clippy::needless_range_loop)]

use super::program::Begin;
use super::program::Op;
use super::program::Single;
use super::vector::Apart;
use super::vector::Pieces;
use super::vector::Simd;
use crate::execute::Real;

/// P elements side by side, W vectors each.
pub(super) type Tile<V, const W: usize, const P: usize> = [[V; W]; P];

/// acc + x * w, rounded once or twice.
#[inline(always)]
pub(super) fn step<R: Real, I: Simd<R>, const FUSED: bool>(
    simd: I,
    acc: I::Vector,
    x: I::Vector,
    w: I::Vector,
) -> I::Vector {
    if FUSED {
        simd.mul_add(x, w, acc)
    } else {
        simd.add(acc, simd.mul(x, w))
    }
}

/// How a tile goes through a range of taps. A trait and not a closure, because only what is surely inlined is
/// compiled for the caller's vectors.
pub(super) trait Chain<V, const W: usize, const P: usize> {
    /// On from `acc` through the taps.
    fn chain(&self, acc: Tile<V, W, P>, from: usize, to: usize) -> Tile<V, W, P>;

    /// What each element adds as its bias.
    fn bias(&self) -> Tile<V, W, P>;
}

/// A chain in a function of its own.
struct ChainWork<'t, C, V, const W: usize, const P: usize> {
    walk: &'t C,
    acc: &'t mut Tile<V, W, P>,
    from: usize,
    to: usize,
}

impl<C: Chain<V, W, P>, V: Copy, const W: usize, const P: usize> Apart
    for ChainWork<'_, C, V, W, P>
{
    #[inline(always)]
    fn run(self) {
        *self.acc = self.walk.chain(*self.acc, self.from, self.to);
    }
}

/// Runs ops over a tile, on from `acc`.
#[inline(always)]
pub(super) fn total<R: Real, I: Simd<R>, const W: usize, const P: usize>(
    simd: I,
    ops: &[Op],
    mut acc: Tile<I::Vector, W, P>,
    walk: &impl Chain<I::Vector, W, P>,
) -> Tile<I::Vector, W, P> {
    let zero = [[simd.splat(R::ZERO); W]; P];
    let mut saved: Vec<Tile<I::Vector, W, P>> = Vec::new(); // allocates only for nested sums
    for op in ops {
        match *op {
            Op::Zero => acc = zero,
            Op::NegativeZero => acc = [[simd.splat(R::from_f64(-0.0)); W]; P],
            Op::SetBias => acc = walk.bias(),
            Op::AddBias => acc = sum(simd, acc, &walk.bias()),
            Op::Chain { from, to, fresh } => {
                let so_far = acc;
                if fresh {
                    acc = zero;
                }
                simd.apart(ChainWork {
                    walk,
                    acc: &mut acc,
                    from,
                    to,
                });
                if fresh {
                    acc = sum(simd, acc, &so_far);
                }
            }
            Op::Save => saved.push(acc),
            Op::AddToSaved => {
                if let Some(outer) = saved.pop() {
                    acc = sum(simd, acc, &outer);
                }
            }
        }
    }
    acc
}

/// What [`total`] makes of the ops of a segment with a single chain, straight through: the tile then never leaves the
/// registers. `rows` hold the total so far where it is asked for.
#[inline(always)]
pub(super) fn single<R: Real, I: Simd<R>, const W: usize, const P: usize>(
    simd: I,
    ops: Single,
    rows: &[&mut [R]; P],
    walk: &impl Chain<I::Vector, W, P>,
) -> Tile<I::Vector, W, P> {
    let mut acc = [[simd.splat(R::ZERO); W]; P];
    if !ops.fresh {
        match ops.begin {
            Begin::Zero => {}
            Begin::NegativeZero => acc = [[simd.splat(R::from_f64(-0.0)); W]; P],
            Begin::Bias => acc = walk.bias(),
            Begin::SoFar => {
                for p in 0..P {
                    acc[p] = load(simd, rows[p]);
                }
            }
        }
    }
    acc = walk.chain(acc, ops.from, ops.to);
    if ops.fresh {
        match ops.begin {
            Begin::Zero => acc = sum(simd, acc, &[[simd.splat(R::ZERO); W]; P]),
            Begin::NegativeZero => acc = sum(simd, acc, &[[simd.splat(R::from_f64(-0.0)); W]; P]),
            Begin::Bias => acc = sum(simd, acc, &walk.bias()),
            Begin::SoFar => {
                for p in 0..P {
                    let so_far: [I::Vector; W] = load(simd, rows[p]);
                    for v in 0..W {
                        acc[p][v] = simd.add(acc[p][v], so_far[v]);
                    }
                }
            }
        }
    }
    if ops.adds_bias {
        acc = sum(simd, acc, &walk.bias());
    }
    acc
}

#[inline(always)]
fn sum<R: Real, I: Simd<R>, const W: usize, const P: usize>(
    simd: I,
    mut acc: Tile<I::Vector, W, P>,
    other: &Tile<I::Vector, W, P>,
) -> Tile<I::Vector, W, P> {
    for p in 0..P {
        for v in 0..W {
            acc[p][v] = simd.add(acc[p][v], other[p][v]);
        }
    }
    acc
}

/// As many vectors as lie side by side in `from`.
#[inline(always)]
pub(super) fn load<R: Real, I: Simd<R>, const W: usize>(simd: I, from: &[R]) -> [I::Vector; W] {
    let mut vectors = [simd.splat(R::ZERO); W];
    for v in 0..W {
        vectors[v] = simd.load(&from[v * I::LANES..]);
    }
    vectors
}

/// Vectors side by side into `to`.
#[inline(always)]
pub(super) fn store<R: Real, I: Simd<R>, const W: usize>(
    simd: I,
    vectors: &[I::Vector; W],
    to: &mut [R],
) {
    for v in 0..W {
        simd.store(vectors[v], &mut to[v * I::LANES..]);
    }
}

/// W vectors of output pixels of C output channels of one group. Weights of the taps from `start` on lie one after the
/// other, as the walk meets them; and so do their inputs, vectors for each tap, unless they are read where they lie.
pub(super) struct Dense<'a, R, I, const C: usize, const IN_PLACE: bool, const FUSED: bool> {
    pub(super) simd: I,
    pub(super) start: usize,
    /// Gathered; or the input from the place of the first pixel on.
    pub(super) inputs: &'a [R],
    /// Of the taps from `start` on, for inputs that are read where they lie.
    pub(super) offsets: &'a [u32],
    pub(super) weights: &'a [[R; C]],
    pub(super) bias: &'a [R; C],
}

impl<R: Real, I: Simd<R>, const W: usize, const C: usize, const IN_PLACE: bool, const FUSED: bool>
    Chain<I::Vector, W, C> for Dense<'_, R, I, C, IN_PLACE, FUSED>
{
    #[inline(always)]
    fn chain(
        &self,
        mut acc: Tile<I::Vector, W, C>,
        from: usize,
        to: usize,
    ) -> Tile<I::Vector, W, C> {
        if from == to {
            return acc; // wherever that is
        }
        let (simd, lanes) = (self.simd, W * I::LANES);
        let taps = from - self.start..to - self.start;
        let weights = &self.weights[taps.clone()];
        macro_rules! walk {
            ($inputs:expr, |$next:ident| $slice:expr) => {
                for ($next, w) in $inputs.zip(weights) {
                    let x: [I::Vector; W] = load(simd, $slice);
                    for c in 0..C {
                        let w = simd.splat(w[c]);
                        for v in 0..W {
                            acc[c][v] = step::<R, I, FUSED>(simd, acc[c][v], x[v], w);
                        }
                    }
                }
            };
        }
        if IN_PLACE {
            let inputs = self.inputs;
            walk!(self.offsets[taps].iter(), |offset| &inputs
                [*offset as usize..][..lanes]);
        } else {
            let inputs = &self.inputs[taps.start * lanes..taps.end * lanes];
            walk!(inputs.chunks_exact(lanes), |vectors| vectors);
        }
        acc
    }

    #[inline(always)]
    fn bias(&self) -> Tile<I::Vector, W, C> {
        let mut bias = [[self.simd.splat(R::ZERO); W]; C];
        for c in 0..C {
            bias[c] = [self.simd.splat(self.bias[c]); W];
        }
        bias
    }
}

/// A vector of neighbouring output pixels of each of P rows of one output channel, read where they lie.
pub(super) struct Rows<'a, R, I, const P: usize, const FUSED: bool> {
    pub(super) simd: I,
    pub(super) offsets: &'a [u32],
    /// From the place of each row's first pixel on.
    pub(super) inputs: Pieces<'a, R, P>,
    /// The channel's filter in walk order.
    pub(super) weights: &'a [R],
    pub(super) bias: R,
}

/// A vector of neighbouring output pixels of one row of C output channels of one group, read where they lie.
pub(super) struct Shared<'a, R, I, const C: usize, const FUSED: bool> {
    pub(super) simd: I,
    pub(super) offsets: &'a [u32],
    /// From the place of the first pixel on.
    pub(super) input: &'a [R],
    /// The channels' filters in walk order.
    pub(super) weights: Pieces<'a, R, C>,
    pub(super) bias: [R; C],
}

/// The loops over the taps with the tile in as many variables: of an array that is indexed in a loop with checks, the
/// compiler leaves a copy in memory.
macro_rules! walks {
    ($count:literal: $($acc:ident $at:literal),+) => {
        impl<R: Real, I: Simd<R>, const FUSED: bool> Chain<I::Vector, 1, $count>
            for Rows<'_, R, I, $count, FUSED>
        {
            #[inline(always)]
            fn chain(
                &self,
                acc: Tile<I::Vector, 1, $count>,
                from: usize,
                to: usize,
            ) -> Tile<I::Vector, 1, $count> {
                let simd = self.simd;
                let [$([mut $acc]),+] = acc;
                for (&offset, &w) in self.offsets[from..to].iter().zip(&self.weights[from..to]) {
                    let w = simd.splat(w);
                    let x = self.inputs.load(simd, offset as usize);
                    $($acc = step::<R, I, FUSED>(simd, $acc, x[$at], w);)+
                }
                [$([$acc]),+]
            }

            #[inline(always)]
            fn bias(&self) -> Tile<I::Vector, 1, $count> {
                [[self.simd.splat(self.bias)]; $count]
            }
        }

        impl<R: Real, I: Simd<R>, const FUSED: bool> Chain<I::Vector, 1, $count>
            for Shared<'_, R, I, $count, FUSED>
        {
            #[inline(always)]
            fn chain(
                &self,
                acc: Tile<I::Vector, 1, $count>,
                from: usize,
                to: usize,
            ) -> Tile<I::Vector, 1, $count> {
                let simd = self.simd;
                let [$([mut $acc]),+] = acc;
                for (tap, &offset) in (from..).zip(&self.offsets[from..to]) {
                    let x = simd.load(&self.input[offset as usize..]);
                    let w = self.weights.splat(simd, tap);
                    $($acc = step::<R, I, FUSED>(simd, $acc, x, w[$at]);)+
                }
                [$([$acc]),+]
            }

            #[inline(always)]
            fn bias(&self) -> Tile<I::Vector, 1, $count> {
                [$([self.simd.splat(self.bias[$at])]),+]
            }
        }
    };
}

walks!(1: a 0);
walks!(4: a 0, b 1, c 2, d 3);
walks!(7: a 0, b 1, c 2, d 3, e 4, f 5, g 6);
