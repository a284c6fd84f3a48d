//! oneDNN's own kernels: direct, 1x1, depthwise, brgemm, inner products, and the reference.
//!
//! The kernels differ in the block of input channels that the outermost loop takes and in where partial sums are
//! kept; within a block all of them go kh, kw, channel. Padding taps are skipped. Their sums do not depend on the
//! number of threads unless a block size does (see [`crate::execute::predict`]).

use crate::execute::Geometry;
use crate::execute::order::Fold;
use crate::execute::order::Join;
use crate::execute::order::PaddingTaps;
use crate::execute::order::Recipe;
use crate::execute::order::Step;
use crate::execute::order::Walk;
use crate::execute::order::blocks;

fn recipe(walk: Walk, steps: Vec<Step>) -> Recipe {
    Recipe {
        walk,
        padding: PaddingTaps::Skipped,
        steps,
    }
}

fn all_taps(walk: Walk, g: &Geometry) -> usize {
    walk.channels(g) * g.kernel[0] * g.kernel[1]
}

/// `jit:avx2`, and without `fused` `jit:avx`, `jit:sse41`: one chain from the bias through all channel blocks, the last
/// of which is `filled` up with +0 where the layout is blocked.
pub fn direct(g: &Geometry, channel_block: usize, fused: bool, filled: bool) -> Recipe {
    // fewer channels than a block: the plain layout, nothing filled up
    let blocked = Walk::blocked(channel_block.min(g.group_in()));
    let walk = match filled {
        true => blocked,
        false => Walk {
            fill_to: 1,
            ..blocked
        },
    };
    recipe(
        walk,
        vec![Step::Bias, Step::chain(all_taps(walk, g), fused)],
    )
}

/// `jit:avx512_core`, `jit:sve_256`: every channel block a chain of its own, from +0, added to the output so far;
/// the bias joins after the first.
pub fn direct_blocks(g: &Geometry, channel_block: usize) -> Recipe {
    let walk = Walk::blocked(channel_block.min(g.group_in()));
    let block = walk.channel_block * g.kernel[0] * g.kernel[1];
    let mut steps: Vec<Step> = blocks(all_taps(walk, g), block)
        .map(|len| Step::fresh_chain(len, true))
        .collect();
    steps.insert(1, Step::Bias);
    recipe(walk, steps)
}

/// `jit_1x1:*`: blocks of `reduce` input channels, which are filled up to a multiple of `simd`; the first block goes
/// on from the bias, later ones start from +0 and are added.
pub fn pointwise(g: &Geometry, reduce: usize, simd: usize, fused: bool) -> Recipe {
    let walk = Walk {
        fill_to: simd,
        ..Walk::CHANNELS_LAST
    };
    let folds = blocks(all_taps(walk, g), reduce)
        .enumerate()
        .map(|(i, len)| match i {
            0 => Step::chain(len, fused),
            _ => Step::fresh_chain(len, fused),
        });
    recipe(walk, std::iter::once(Step::Bias).chain(folds).collect())
}

/// `jit_dw:*`: one chain from the bias, kh, kw.
pub fn depthwise(g: &Geometry, fused: bool) -> Recipe {
    recipe(Walk::IM2COL, vec![Step::Bias, Step::chain(g.taps(), fused)])
}

/// `ref:any`: products and sums rounded separately, from +0, the bias last. Its loops follow the layout that it
/// picked for itself: channels innermost where there are more of them per group than kernel columns.
pub fn reference(g: &Geometry) -> Recipe {
    let walk = if g.group_in() <= g.kernel[1] {
        Walk::IM2COL
    } else {
        Walk::CHANNELS_LAST
    };
    recipe(walk, vec![Step::chain(g.taps(), false), Step::Bias])
}

/// `jit:avx512_core` on channels_last input: one chain from +0 through all channel blocks, the bias last.
pub fn direct_channels_last(g: &Geometry, channel_block: usize) -> Recipe {
    let walk = Walk {
        channel_block,
        ..Walk::CHANNELS_LAST
    };
    recipe(walk, vec![Step::chain(g.taps(), true), Step::Bias])
}

/// `ip:any` on `matmul:avx512_core`: chains from +0 over `block` products of kh, kw, c, each added to the total; the
/// bias last. With more `shares` than one, the blocks are dealt out evenly and each share has a total of its own.
pub fn matmul(g: &Geometry, block: usize, shares: usize) -> Recipe {
    let chains: Vec<Step> = blocks(g.taps(), block)
        .map(|len| Step::fresh_chain(len, true))
        .collect();
    let shares = shares.clamp(1, chains.len().max(1));
    let (least, more) = (chains.len() / shares, chains.len() % shares);
    // the first share's total is the outer one
    let (first, mut rest) = chains.split_at(least + usize::from(more > 0));
    let mut steps = first.to_vec();
    for share in 1..shares {
        let (these, others) = rest.split_at(least + usize::from(share < more));
        steps.push(match these {
            [chain] => chain.clone(),
            _ => Step::Sub(these.to_vec()),
        });
        rest = others;
    }
    steps.push(Step::Bias);
    recipe(Walk::CHANNELS_LAST, steps)
}

/// Products that the matrix-vector kernel takes in one call, at most by whole multiples.
const MATRIX_VECTOR_BLOCK: usize = 16384;

/// `ip:any` on `matmul:avx2` (one output channel): eight lanes over kh, kw, c from +0; what is left over a multiple of
/// 16384 products a second time; the bias last.
pub fn matrix_vector(g: &Geometry) -> Recipe {
    let products = g.taps();
    let tail = match products {
        ..=MATRIX_VECTOR_BLOCK => 0,
        _ => products % MATRIX_VECTOR_BLOCK,
    };
    let lanes = |len| Step::Fold {
        len,
        fresh: true,
        fold: Fold::Lanes {
            head: 0,
            lanes: 8,
            group: 1,
            join: Join::HalfThenNeighbours,
            fused: true,
        },
    };
    let mut steps = vec![lanes(products - tail)];
    steps.extend((tail > 0).then(|| lanes(tail)));
    steps.push(Step::Bias);
    recipe(Walk::CHANNELS_LAST, steps)
}
