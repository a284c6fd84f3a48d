//! Finding a tensor or a layer by a name that people type.
//!
//! 1. The full name, or path.
//! 2. Else the only one that ends in it, at a dot: `conv1` is `state_dict.module.conv1`.
//! 3. More than one: an error that lists them. None: an error that suggests what is spelled nearly so.

use std::collections::BTreeSet;

use crate::checkpoint::Checkpoint;
use crate::checkpoint::TensorEntry;
use crate::error::{Error, Result};

/// Names listed in an error.
const SHOWN: usize = 8;
/// Longer names are not compared for likeness: a hostile file may have names of megabytes.
const LONGEST_COMPARED: usize = 256;

pub(super) fn find_tensor<'a>(tensors: &'a [TensorEntry], name: &str) -> Result<&'a TensorEntry> {
    let matches = choose(tensors, name, |tensor| &tensor.name);
    match matches[..] {
        [tensor] => Ok(tensor),
        [] => Err(unknown(
            "tensor",
            name,
            tensors.iter().map(|t| t.name.as_str()),
        )),
        [first, second, ..] if first.name == second.name => Err(Error::usage(format!(
            "{} tensors are called {name:?}: their keys differ only in type",
            matches.len()
        ))),
        _ => Err(ambiguous(
            "tensor",
            name,
            matches.iter().map(|t| t.name.as_str()),
        )),
    }
}

pub(super) fn find_layer(checkpoint: &Checkpoint, name: &str) -> Result<String> {
    let tensors = checkpoint.tensors();
    let layers: BTreeSet<&str> = tensors
        .iter()
        .filter_map(|t| layer_of_weight(&t.name))
        .collect();
    let layers: Vec<&str> = layers.into_iter().collect();
    if let [layer] = choose(&layers, name, |layer| layer)[..] {
        return Ok((*layer).to_owned());
    }
    // the name of one of its tensors: conv1.weight, conv1.bias
    let of_tensors: BTreeSet<&str> = choose(tensors, name, |tensor| &tensor.name)
        .into_iter()
        .map(|tensor| parent(&tensor.name))
        .filter(|parent| layers.binary_search(parent).is_ok())
        .collect();
    let matches: BTreeSet<&str> = choose(&layers, name, |layer| layer)
        .into_iter()
        .copied()
        .chain(of_tensors)
        .collect();
    match matches.len() {
        1 => Ok(matches.into_iter().collect()),
        0 => Err(no_layer(checkpoint, name, &layers)),
        _ => Err(ambiguous("layer", name, matches.into_iter())),
    }
}

/// All that are called `name`, else all that end in it at a dot.
fn choose<'a, T>(all: &'a [T], name: &str, called: impl Fn(&T) -> &str) -> Vec<&'a T> {
    let exact: Vec<&T> = all.iter().filter(|item| called(item) == name).collect();
    if !exact.is_empty() {
        return exact;
    }
    all.iter()
        .filter(|item| is_suffix(name, called(item)))
        .collect()
}

/// Whether `name` is the last keys of `full`.
fn is_suffix(name: &str, full: &str) -> bool {
    !name.is_empty()
        && full
            .strip_suffix(name)
            .is_some_and(|before| before.ends_with('.'))
}

/// `conv1` of `conv1.weight`; the empty path of `weight`.
fn layer_of_weight(name: &str) -> Option<&str> {
    let before = name.strip_suffix("weight")?;
    match before.strip_suffix('.') {
        Some(layer) => Some(layer),
        None => before.is_empty().then_some(""),
    }
}

fn parent(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(parent, _)| parent)
}

fn no_layer(checkpoint: &Checkpoint, name: &str, layers: &[&str]) -> Error {
    let modules = checkpoint.modules();
    if let [module] = choose(modules, name, |module| &module.path)[..] {
        return Error::usage(format!("{name:?} is a {} and has no weight", module.class));
    }
    if let [tensor] = choose(checkpoint.tensors(), name, |tensor| &tensor.name)[..] {
        return Error::usage(format!(
            "{:?} is a tensor, and there is no layer around it: nothing is called {:?}",
            tensor.name,
            join(parent(&tensor.name), "weight")
        ));
    }
    unknown("layer", name, layers.iter().copied())
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn ambiguous<'a>(what: &str, name: &str, matches: impl Iterator<Item = &'a str>) -> Error {
    let matches: Vec<&str> = matches.collect();
    let more = match matches.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown: Vec<String> = matches.iter().take(SHOWN).map(|n| shorten(n)).collect();
    Error::usage(format!(
        "{name:?} could be any of {} {what}s: {}{more}",
        matches.len(),
        shown.join(", ")
    ))
    .with_hint("give enough of the name to tell them apart; a full name always does")
}

fn unknown<'a>(what: &str, name: &str, names: impl Iterator<Item = &'a str> + Clone) -> Error {
    let error = Error::usage(format!("there is no {what} called {name:?}"));
    let near = near(name, names.clone());
    if !near.is_empty() {
        return error.with_hint(format!("did you mean {}?", near.join(", ")));
    }
    let count = names.clone().count();
    let some: Vec<String> = names.take(3).map(shorten).collect();
    match count {
        0 => error.with_hint(format!(
            "the file has no {what}s; `pthinspect tree` shows what it holds"
        )),
        1..=3 => error.with_hint(format!("it has {}", some.join(", "))),
        _ => error.with_hint(format!(
            "it has {count} {what}s, such as {}",
            some.join(", ")
        )),
    }
}

/// A name as errors show it: a hostile file may have names of megabytes.
pub(super) fn shorten(name: &str) -> String {
    let mut short: String = name.chars().take(120).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    short
}

/// Up to three names that are spelled nearly as `name`, or whose last keys are.
fn near<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted: Vec<char> = name.chars().take(LONGEST_COMPARED).collect();
    let allowed = (wanted.len() / 3).max(1);
    let keys = name.matches('.').count() + 1;
    let mut near: Vec<(usize, &str)> = names
        .filter(|full| full.len() <= LONGEST_COMPARED)
        .filter_map(|full| {
            let whole = distance(&wanted, full, allowed);
            let tail = distance(&wanted, last_keys(full, keys), allowed);
            Some((whole.min(tail), full)).filter(|(d, _)| *d <= allowed)
        })
        .collect();
    near.sort();
    near.into_iter()
        .take(3)
        .map(|(_, name)| shorten(name))
        .collect()
}

fn last_keys(full: &str, keys: usize) -> &str {
    match full.rmatch_indices('.').nth(keys - 1) {
        Some((dot, _)) => &full[dot + 1..],
        None => full,
    }
}

/// Characters put in, left out, changed, or swapped with their neighbour; anything above `enough` is as good as
/// infinite.
fn distance(wanted: &[char], other: &str, enough: usize) -> usize {
    let other: Vec<char> = other.chars().collect();
    if wanted.len().abs_diff(other.len()) > enough {
        return usize::MAX;
    }
    let mut before = Vec::new(); // the row of two characters ago
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, &a) in wanted.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &b) in other.iter().enumerate() {
            let changed = last[j] + usize::from(a != b);
            let mut best = changed.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a == other[j - 1] && wanted[i - 1] == b {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use crate::bytes::Limits;
    use crate::checkpoint::Checkpoint;
    use crate::tensor::{ByteOrder, DType, Layout, TensorView};

    fn checkpoint(names: &[&str]) -> Checkpoint {
        let view = TensorView::new(
            vec![0; 4],
            DType::Float32,
            Layout::contiguous(vec![]).unwrap(),
            ByteOrder::Little,
        )
        .unwrap();
        let tensors: Vec<_> = names
            .iter()
            .map(|n| ((*n).to_owned(), view.clone()))
            .collect();
        let mut file = Vec::new();
        crate::safetensors::write(&tensors, &[], &mut file).unwrap();
        Checkpoint::from_bytes("x.safetensors", file, &Limits::default()).unwrap()
    }

    #[test]
    fn a_full_name_goes_before_a_suffix() {
        let c = checkpoint(&[
            "conv1.weight",
            "ema.conv1.weight",
            "ema.conv1.bias",
            "fc.weight",
        ]);
        assert_eq!(c.find_tensor("conv1.weight").unwrap().name, "conv1.weight");
        assert_eq!(c.find_tensor("bias").unwrap().name, "ema.conv1.bias");
        assert_eq!(c.find_layer("conv1").unwrap(), "conv1");
        assert_eq!(c.find_layer("ema.conv1").unwrap(), "ema.conv1");
        assert_eq!(c.find_layer("conv1.bias").unwrap(), "ema.conv1");
        assert_eq!(c.find_layer("fc.weight").unwrap(), "fc");
    }

    #[test]
    fn several_are_listed() {
        let c = checkpoint(&["a.conv1.weight", "b.conv1.weight"]);
        for error in [
            c.find_tensor("conv1.weight").map(drop),
            c.find_layer("conv1").map(drop),
        ] {
            let error = error.unwrap_err().to_string();
            assert!(
                error.contains("a.conv1") && error.contains("b.conv1"),
                "{error}"
            );
        }
        assert_eq!(c.find_layer("a.conv1").unwrap(), "a.conv1");
    }

    #[test]
    fn near_names_are_suggested() {
        let c = checkpoint(&["state_dict.conv1.weight", "state_dict.conv1.bias", "other"]);
        let hint = |error: crate::Error| error.hint().unwrap_or("").to_owned();
        assert!(
            hint(c.find_tensor("conv1.wieght").unwrap_err()).contains("state_dict.conv1.weight")
        );
        assert!(hint(c.find_layer("covn1").unwrap_err()).contains("state_dict.conv1?"));
        assert!(hint(c.find_tensor("quite_another").unwrap_err()).contains("it has"));
        let error = c.find_layer("other").unwrap_err().to_string();
        assert!(error.contains("no layer around it"), "{error}");
        assert!(c.find_tensor("").is_err());
    }

    #[test]
    fn a_bare_weight_is_the_layer_without_a_path() {
        let c = checkpoint(&["weight", "bias"]);
        assert_eq!(c.find_layer("").unwrap(), "");
        assert_eq!(c.find_layer("weight").unwrap(), "");
        assert_eq!(c.find_layer("bias").unwrap(), "");
    }
}
