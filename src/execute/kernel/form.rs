//! In which of three ways a layer's tasks go through their outputs.

use super::dispatch::Tiled;
use super::padded::Padded;
use crate::execute::Geometry;
use crate::execute::order::Plan;
use crate::execute::vectors::Vectors;

/// Groups with fewer output channels are not worth the gathering of their inputs.
const NARROW: usize = 8;

/// Elements of a narrow group's input, padded, at most: it is padded for each task.
const NARROW_INPUT: usize = if cfg!(test) { 1 << 10 } else { 1 << 18 };

/// Products of an element that make up for turning it, where lanes are channels.
const LONG: usize = 160;

/// Pixels of a strip whose totals would wait for each other.
const SHORT: usize = 4;

/// Pixels of the longest strip with so few registers that only what would be gathered again and again gains.
const FEW: usize = 8;

/// How tasks go through their outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Groups are computed from rows that lie in their input, pixel after pixel ([`super::narrow`]).
    Narrow,
    /// Lanes are pixels, from gathered inputs; blocks have `width` channels ([`super::dense`]).
    Dense { width: usize },
    /// Lanes are channels, of blocks of `width`; strips have at most `most` pixels ([`super::across`]).
    Across { width: usize, most: usize },
}

impl Form {
    /// The fastest.
    pub(super) fn best<R: Tiled>(g: &Geometry, plan: &Plan, vectors: Vectors) -> Self {
        let possible = Self::possible::<R>(g, plan, vectors);
        let pays = |form: &Self| match *form {
            Self::Narrow | Self::Dense { .. } => true,
            Self::Across { width, most } => across_pays(g, width, most),
        };
        let dense = Self::Dense {
            width: R::block(vectors),
        };
        possible.into_iter().find(pays).unwrap_or(dense)
    }

    /// All that give a layer's bits, the special ones first.
    pub(super) fn possible<R: Tiled>(g: &Geometry, plan: &Plan, vectors: Vectors) -> Vec<Self> {
        let plane = Padded::new(g).map_or(usize::MAX, |padded| padded.plane);
        let narrow = g.groups > 1
            && g.group_out() < NARROW
            && g.group_in().saturating_mul(plane) <= NARROW_INPUT;
        let mut fused = plan.recipes.iter().map(|recipe| recipe.chained());
        let across = R::across(vectors).filter(|_| fused.all(|fused| fused == Some(true)));
        let across = across.map(|[width, most]| Self::Across { width, most });
        let dense = Self::Dense {
            width: R::block(vectors),
        };
        let narrow = narrow.then_some(Self::Narrow);
        narrow.into_iter().chain(across).chain([dense]).collect()
    }
}

/// Whether sums are long enough, most channels of the blocks real, and strips long.
fn across_pays(g: &Geometry, width: usize, most: usize) -> bool {
    let channels = g.group_out();
    let is_full = channels.next_multiple_of(width) - channels <= channels / 8;
    let in_line = Padded::new(g).is_some_and(|padded| padded.in_line(g));
    let run = if in_line { g.pixels() } else { g.output[1] };
    let strip = if 2 * run <= most {
        2 * run
    } else {
        run / run.div_ceil(most).max(1)
    };
    let gathers_again = g.kernel != [1, 1] && g.stride == [1, 1];
    g.taps() >= LONG && is_full && strip >= SHORT && (most >= FEW || gathers_again)
}
