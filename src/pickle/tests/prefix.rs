//! Pickles that break off: what was built is a part of what the whole one builds.

use proptest::prelude::*;

use super::{EVERY_PROTOCOL, TORCH, graph, show};
use crate::bytes::Limits;
use crate::pickle::{Graph, Prefix, Value, ValueId, read_prefix};

fn prefix(bytes: &[u8]) -> Prefix {
    read_prefix(bytes, &Limits::default()).unwrap()
}

/// Whether a value holds the first items of another, each of them a part of the other's.
fn is_part((part, a): (&Graph, ValueId), (whole, b): (&Graph, ValueId), depth: usize) -> bool {
    if depth == 0 {
        return true; // of a list in itself
    }
    let each = |a: &[ValueId], b: &[ValueId]| {
        let mut pairs = a.iter().zip(b);
        a.len() <= b.len() && pairs.all(|(&a, &b)| is_part((part, a), (whole, b), depth - 1))
    };
    let entries = |a: &[(ValueId, ValueId)], b: &[(ValueId, ValueId)]| {
        let flat = |pairs: &[(ValueId, ValueId)]| -> Vec<ValueId> {
            pairs.iter().flat_map(|&(k, v)| [k, v]).collect()
        };
        each(&flat(a), &flat(b))
    };
    match (part.get(a), whole.get(b)) {
        (Value::List(a) | Value::Tuple(a), Value::List(b) | Value::Tuple(b)) => each(a, b),
        // what becomes a frozen set is no more than items yet
        (Value::Set(a), Value::Set(b)) | (Value::Tuple(a), Value::FrozenSet(b)) => each(a, b),
        (Value::Dict(a), Value::Dict(b)) => entries(a, b),
        (Value::Object(a), Value::Object(b)) => {
            each(&[a.callable, a.args], &[b.callable, b.args])
                && each(&a.items, &b.items)
                && each(&a.state, &b.state)
                && entries(&a.entries, &b.entries)
        }
        // half of a name that STACK_GLOBAL would have made
        (Value::Str(_), Value::Object(_)) => true,
        // a tuple in progress, of which the finished one was memoised
        _ => show(part, a) == show(whole, b),
    }
}

#[test]
fn every_prefix_builds_a_part_of_the_whole() {
    for bytes in EVERY_PROTOCOL[2..].iter().chain([&TORCH]) {
        let whole = graph(bytes);
        let mut most = 0;
        for cut in 2..bytes.len() {
            let found = prefix(&bytes[..cut]);
            assert!(found.error.is_some(), "cut at {cut}");
            if let Value::Tuple(items) = found.graph.get(found.graph.root)
                && items.is_empty()
            {
                continue; // nothing was built yet
            }
            let part = (&found.graph, found.graph.root);
            assert!(
                found.uncertain || is_part(part, (&whole, whole.root), 20),
                "cut at {cut}: {}",
                show(&found.graph, found.graph.root)
            );
            if let (Value::Dict(entries), false) =
                (found.graph.get(found.graph.root), found.uncertain)
            {
                most = most.max(entries.len());
            }
        }
        let Value::Dict(entries) = whole.get(whole.root) else {
            panic!("a dict")
        };
        assert_eq!(most, entries.len(), "all of it is there before STOP");
        assert!(prefix(bytes).error.is_none());
    }
}

#[test]
fn what_is_finished_is_kept_and_what_is_not_is_not() {
    let shown = |bytes: &[u8]| {
        let found = prefix(bytes);
        (show(&found.graph, found.graph.root), found.uncertain)
    };
    let cases: &[(&[u8], &str, bool)] = &[
        // {'a': 1, 'b': ...
        (b"}(X\x01\0\0\0aK\x01X\x01\0\0\0b", "{'a': 1}", false),
        // {'a': {'b': {'c': 1 and no SETITEM: no marks, so each lies in the one before
        (
            b"}X\x01\0\0\0a}X\x01\0\0\0b}X\x01\0\0\0cK\x01",
            "{'a': {'b': {'c': 1}}}",
            false,
        ),
        // {'a': {}, 'b': 1, 'c': ...: two values behind the empty dict, so it is empty
        (
            b"}(X\x01\0\0\0a}X\x01\0\0\0bK\x01X\x01\0\0\0c",
            "{'a': {}, 'b': 1}",
            false,
        ),
        // {'a': {}, 'b': 1 or {'a': {'b': 1
        (
            b"}(X\x01\0\0\0a}X\x01\0\0\0bK\x01",
            "{'a': {}, 'b': 1}",
            true,
        ),
        // [1, [2, 3
        (b"](K\x01](K\x02K\x03", "[1, [2, 3]]", false),
        // a call without its last argument
        (
            b"}(X\x01\0\0\0aK\x01X\x01\0\0\0bcm\nf\n(K\x01",
            "{'a': 1}",
            false,
        ),
    ];
    for (bytes, expected, uncertain) in cases {
        assert_eq!(
            shown(bytes),
            ((*expected).to_owned(), *uncertain),
            "{}",
            bytes.escape_ascii()
        );
    }
}

proptest! {
    #[test]
    fn any_damage_is_survived(which in 0usize..5, at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut bytes = [&EVERY_PROTOCOL[2..], &[TORCH]].concat()[which].to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len()) + 1);
        let _ = read_prefix(&bytes, &Limits::default());
    }
}
