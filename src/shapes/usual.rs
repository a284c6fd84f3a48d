//! Inputs that people give to a model like this one, for those who did not say which: walks at several sizes.
//!
//! How many channels the model takes is read off its first layer, and corrected where a walk shows another number; an
//! exported program says what it was exported for.

use super::walk::Model;
use super::{Walk, WalkOptions, Wrong};
use crate::bytes::Limits;
use crate::checkpoint::{Checkpoint, SymSize};
use crate::error::{Error, ErrorKind, Result};

/// Sizes of pictures, the usual ones first.
const SIZES: [usize; 16] = [
    224, 32, 28, 64, 96, 112, 128, 160, 192, 240, 256, 299, 320, 384, 448, 512,
];
/// Sizes of what has more or fewer axes than a picture, along each.
const OTHER: [usize; 6] = [16, 32, 64, 128, 256, 512];
/// Steps of all walks together.
const STEPS: usize = 24_000;
/// Corrections of the number of channels.
const ATTEMPTS: usize = 3;

/// Walks with usual inputs, that which fits best first, the others by size.
///
/// # Errors
///
/// As [`Walk::of`]; `Unsupported` where nothing tells which inputs a model takes.
pub fn usual_walks(checkpoint: &Checkpoint, limits: &Limits) -> Result<Vec<Walk>> {
    let (model, names) = Model::unasked(checkpoint, limits)?;
    let exported = model.exported_sizes();
    if !exported.is_empty() {
        return walks(checkpoint, exported_inputs(&exported), limits);
    }
    if names.len() != 1 {
        return Err(Error::unsupported(format!(
            "the model takes {} inputs ({}), whose sizes the file does not tell",
            names.len(),
            names.join(", ")
        ))
        .with_hint("pthinspect shapes FILE --input N,C,H,W --input ..."));
    }
    let Some(first) = first_weight(checkpoint, &model) else {
        return Err(Error::unsupported("the model has no weights"));
    };
    walks(checkpoint, guessed(checkpoint, &first, limits), limits)
}

/// Shape of the first weight that tells how many axes an input has.
fn first_weight(checkpoint: &Checkpoint, model: &Model) -> Option<Vec<usize>> {
    let tensors = checkpoint.tensors().iter();
    let mut shapes = tensors
        .filter(|tensor| model.walks(&tensor.name))
        .map(|tensor| tensor.layout.shape());
    let first = shapes.find(|shape| (2..=5).contains(&shape.len()));
    first.map(<[usize]>::to_vec)
}

fn guessed(checkpoint: &Checkpoint, weight: &[usize], limits: &Limits) -> Vec<Vec<Vec<usize>>> {
    let spatial = weight.len() - 2;
    let sizes: &[usize] = match spatial {
        0 => &[1],
        2 => &SIZES,
        _ => &OTHER,
    };
    let mut channels = weight[1];
    let shape = |channels: usize, size: usize| {
        let mut shape = vec![1, channels];
        shape.extend(std::iter::repeat_n(size, spatial));
        shape
    };
    for _ in 0..ATTEMPTS {
        let tried = walk(checkpoint, vec![shape(channels, sizes[0])], limits);
        let broken = tried.ok().and_then(|walk| walk.broken);
        let wanted = broken
            .filter(|broken| broken.what == Wrong::Channels && broken.got == Some(channels))
            .and_then(|broken| broken.expected);
        match wanted {
            Some(wanted) if wanted != channels => channels = wanted,
            _ => break,
        }
    }
    let inputs = sizes.iter().map(|&size| vec![shape(channels, size)]);
    inputs.collect()
}

/// Every fixed size as it is; free ones take several.
fn exported_inputs(inputs: &[Vec<SymSize>]) -> Vec<Vec<Vec<usize>>> {
    let free = inputs.iter().flatten();
    let is_free = free.clone().any(|size| !matches!(size, SymSize::Fixed(_)));
    let mut sets: Vec<Vec<Vec<usize>>> = Vec::new();
    for &size in if is_free { &SIZES[..] } else { &SIZES[..1] } {
        let shapes = inputs.iter().map(|sizes| {
            let axes = sizes.iter().enumerate();
            let axes = axes.map(|(axis, known)| match known {
                SymSize::Fixed(fixed) => *fixed,
                // a batch
                _ if axis == 0 => 2,
                SymSize::Free(_, least, most) => {
                    let bound = |bound: &Option<u64>| bound.and_then(|n| usize::try_from(n).ok());
                    let (least, most) = (bound(least), bound(most));
                    size.max(least.unwrap_or(0)).min(most.unwrap_or(usize::MAX))
                }
                SymSize::Computed => size,
            });
            axes.collect()
        });
        let shapes: Vec<Vec<usize>> = shapes.collect();
        if !sets.contains(&shapes) {
            sets.push(shapes);
        }
    }
    sets
}

fn walk(checkpoint: &Checkpoint, shapes: Vec<Vec<usize>>, limits: &Limits) -> Result<Walk> {
    let options = WalkOptions {
        inputs: shapes.into_iter().map(|shape| (None, shape)).collect(),
        ..WalkOptions::default()
    };
    Walk::of(checkpoint, &options, limits)
}

fn walks(
    checkpoint: &Checkpoint,
    inputs: Vec<Vec<Vec<usize>>>,
    limits: &Limits,
) -> Result<Vec<Walk>> {
    let mut found: Vec<Walk> = Vec::new();
    let mut steps = 0;
    for shapes in inputs {
        let walk = match walk(checkpoint, shapes, limits) {
            Err(error) if error.kind() == ErrorKind::Limit && !found.is_empty() => break,
            walk => walk?,
        };
        steps += walk.steps.len();
        found.push(walk);
        if steps > STEPS {
            break;
        }
    }
    // the first that arrives, else the one that comes furthest
    let best = found.iter().position(Walk::arrives);
    let best = best.or_else(|| {
        let furthest = found.iter().enumerate();
        let furthest =
            furthest.max_by_key(|(number, walk)| (walk.steps.len(), std::cmp::Reverse(*number)));
        furthest.map(|(number, _)| number)
    });
    let best = best.map(|number| found.remove(number));
    found.sort_by(|a, b| {
        a.inputs
            .iter()
            .map(|i| &i.shape)
            .cmp(b.inputs.iter().map(|i| &i.shape))
    });
    Ok(best.into_iter().chain(found).collect())
}
