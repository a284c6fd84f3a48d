//! A weight in another program's memory format: where each number goes.

use super::axis_names::groups_unknown;
use super::hyperparameters::Origin;
use super::kind::{Axis, Kind};
use super::layer::Layer;
use crate::error::{Error, Result};
use crate::tensor::Blocked;
use crate::tensor::Tag;

/// First positions that are shown.
const SHOWN: usize = 64;

/// A weight, or an input, in the layout that a tag names.
#[derive(Clone, Debug)]
pub struct Placement {
    /// The layout.
    pub tag: Tag,
    /// Sizes, strides, padding.
    pub blocked: Blocked,
    /// Whether it is the layer's input that is laid out, not its weight.
    pub is_input: bool,
    /// The index that lies at each of the first positions; `None` in the padding.
    pub first: Vec<Option<Vec<usize>>>,
    /// Where the chosen element goes.
    pub chosen: Option<(Vec<usize>, usize)>,
}

impl Placement {
    /// The weight of `layer` (with a tag of data, its input of shape `input`) in the layout `tag`; `chosen` is the index
    /// of a weight that is asked for.
    ///
    /// # Errors
    ///
    /// `Usage` where the tag does not fit.
    pub fn of(
        layer: &Layer,
        tag: &Tag,
        input: Option<&[usize]>,
        chosen: Option<&[usize]>,
    ) -> Result<Self> {
        let blocked = if tag.is_data() {
            let Some(input) = input else {
                return Err(Error::usage(format!(
                    "{} is a layout of inputs and outputs",
                    tag.text()
                ))
                .with_hint(
                    "--input N,C,H,W says how large the input is; weights have layouts like OHWI",
                ));
            };
            let letters = data_letters(input.len()).ok_or_else(|| {
                Error::usage(format!(
                    "an input of {} axes has no such layout",
                    input.len()
                ))
            })?;
            Blocked::of(tag, input, &letters, 1)?
        } else {
            let rank = layer.weight.shape.len();
            let groups = layer.convolution.as_ref().map(|conv| &conv.groups);
            let is_known = groups.is_some_and(|groups| groups.origin != Origin::Default);
            if tag.has_groups(rank) && !is_known {
                return Err(groups_unknown(tag));
            }
            let groups = groups.map_or(1, |groups| groups.value);
            let letters = letters(layer.kind, layer.weight.shape.len());
            Blocked::of(tag, &layer.weight.shape, &letters, groups)?
        };
        let chosen = chosen.filter(|_| !tag.is_data());
        Ok(Self {
            tag: tag.clone(),
            is_input: tag.is_data(),
            first: (0..blocked.numel.min(SHOWN))
                .map(|position| blocked.index(position))
                .collect(),
            chosen: chosen.and_then(|index| Some((index.to_vec(), blocked.position(index)?))),
            blocked,
        })
    }
}

/// n c d h w, as many as an input of that rank has.
fn data_letters(rank: usize) -> Option<Vec<char>> {
    let spatial: &[char] = match rank {
        2 => &[],
        3 => &['w'],
        4 => &['h', 'w'],
        5 => &['d', 'h', 'w'],
        _ => return None,
    };
    Some(['n', 'c'].iter().chain(spatial).copied().collect())
}

/// The letters by which layouts call the axes of a weight: o i d h w; a plain tensor's axes are a, b, c, ...
pub fn letters(kind: Kind, rank: usize) -> Vec<char> {
    let letter = |(number, axis): (usize, &Axis)| match axis {
        Axis::Filter | Axis::TransposedOut | Axis::Output => 'o',
        Axis::Channel | Axis::TransposedIn | Axis::Input => 'i',
        Axis::KernelDepth => 'd',
        Axis::KernelRow => 'h',
        Axis::KernelColumn => 'w',
        Axis::Vector | Axis::Component | Axis::NormChannel | Axis::Plain(_) => {
            u8::try_from(number).map_or('?', |number| char::from(b'a'.saturating_add(number)))
        }
    };
    kind.axes(rank).iter().enumerate().map(letter).collect()
}
