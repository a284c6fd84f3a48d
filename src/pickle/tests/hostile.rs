//! Pickles that want too much, and pickles that nobody wrote.

use proptest::prelude::*;

use super::{EVERY_PROTOCOL, TORCH, graph, refusal};
use crate::bytes::Limits;
use crate::error::ErrorKind;
use crate::pickle::{Listing, Value, read};

fn small_limits() -> Limits {
    Limits {
        pickle_memory: 1 << 20,
        pickle_steps: 1 << 20,
        ..Limits::default()
    }
}

/// Each wants far more than it is long. The limits stop it, or sharing makes it cheap.
#[test]
fn bombs_stay_small() {
    let doubling = [b"]q\0".as_slice(), &b"h\0h\0\x86q\0".repeat(40), b"."].concat();
    assert!(read(&doubling, &small_limits()).unwrap().values.len() < 100);

    let doubled_keys = [b"K\0".as_slice(), &b"2\x86".repeat(60), b"q\0}h\0Ns."].concat();
    assert!(read(&doubled_keys, &small_limits()).is_ok());

    let sparse: Vec<u8> = (0..1000u32)
        .flat_map(|i| [b"Nr".as_slice(), &(u32::MAX - i * 1000).to_le_bytes(), b"0"].concat())
        .collect();
    assert!(read(&[&sparse, b"N.".as_slice()].concat(), &small_limits()).is_ok());

    for declared in [
        b"\x8e\0\0\0\0\0\0\0\x10.".as_slice(),
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff.",
        b"\x96\0\0\0\0\0\0\0\x10.",
        b"\x8d\0\0\0\0\0\0\0\x10.",
        b"\x8b\xff\xff\xff\x7f.",
        b"B\xff\xff\xff\xff.",
    ] {
        assert!(
            refusal(declared).contains("declares"),
            "{}",
            refusal(declared)
        );
    }

    let digits = [b"L1".as_slice(), &b"0".repeat(100_000), b"L\n."].concat();
    assert_eq!(
        refusal(&digits),
        "byte 0: LONG: a number of 100001 digits; Python reads up to 4300"
    );
}

#[test]
fn limits_are_reached_before_memory_is() {
    let cases: [(&str, Vec<u8>); 7] = [
        ("nested lists", b"]".repeat(100_000)),
        ("marks", b"(".repeat(200_000)),
        ("stack", [b"N".to_vec(), b"2".repeat(300_000)].concat()),
        ("appends", [b"]N".to_vec(), b"2".repeat(200_000)].concat()),
        ("names", b"ca\nb\n".repeat(30_000)),
        (
            "tuples of the whole stack",
            [
                b"(".to_vec(),
                b"N".repeat(9000),
                b"1".to_vec(),
                b"(t".repeat(30_000),
            ]
            .concat(),
        ),
        (
            "long text",
            [b"X\0\0\x20\0".to_vec(), vec![b'a'; 1 << 21]].concat(),
        ),
    ];
    for (name, pickle) in cases {
        let error = read(&pickle, &small_limits()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit, "{name}: {error}");
        assert_eq!(
            error.message(),
            "the values of the pickle (pickle_memory) would take more than 1048576 bytes of memory"
        );
        assert!(error.location().offset.is_some());
    }
    let steps = b"(0".repeat(1 << 20);
    let error = read(&steps, &small_limits()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "byte 1048576: the pickle has more than 1048576 opcodes (pickle_steps)"
    );
}

/// Reading, dropping, hashing and listing must not recurse.
#[test]
fn a_million_nested_tuples() {
    let nested = [b")".as_slice(), &b"\x85".repeat(1_000_000), b"q\0."].concat();
    let graph = graph(&nested);
    assert_eq!(graph.values.len(), 1_000_001);
    drop(graph);

    let as_key = [b"})".as_slice(), &b"\x85".repeat(200_000), b"Ns."].concat();
    assert!(read(&as_key, &Limits::default()).is_ok());

    let marks = [b"(".repeat(100_000), b"t".repeat(100_000), b".".to_vec()].concat();
    assert_eq!(Listing::new(&marks, &Limits::default()).count(), 200_002);
}

/// In quadratic time this would take minutes.
#[test]
fn many_keys() {
    let mut pickle = b"}(".to_vec();
    for i in 0..200_000u32 {
        pickle.push(b'J');
        pickle.extend((i % 150_000).to_le_bytes());
        pickle.push(b'N');
    }
    pickle.extend(b"u.");
    let graph = graph(&pickle);
    let Value::Dict(entries) = graph.get(graph.root) else {
        panic!()
    };
    assert_eq!(entries.len(), 150_000);
}

/// One large key, set a hundred thousand times: it must not be hashed each time.
#[test]
fn a_large_key_used_often() {
    let large = [b"X\0\0\x10\0".as_slice(), &[b'a'; 1 << 20], b"q\0}"].concat();
    let pickle = [large, b"h\0Ns".repeat(100_000), b".".to_vec()].concat();
    assert_eq!(graph(&pickle).values.len(), 100_002);
}

/// Mutations of a pickle: bytes replaced, removed, put in.
fn mutated(pickle: &[u8], edits: &[(usize, u8, u8)]) -> Vec<u8> {
    let mut bytes = pickle.to_vec();
    for &(at, byte, kind) in edits {
        let at = at % bytes.len().max(1);
        match kind % 3 {
            0 if !bytes.is_empty() => bytes[at] = byte,
            1 if !bytes.is_empty() => drop(bytes.remove(at)),
            _ => bytes.insert(at, byte),
        }
    }
    bytes
}

fn must_not_panic(bytes: &[u8]) {
    if let Ok(graph) = read(bytes, &small_limits()) {
        assert_eq!(graph.values.len(), graph.offsets.len());
        assert!(graph.consumed <= bytes.len());
        assert!((graph.root.0 as usize) < graph.values.len());
    }
    for line in Listing::new(bytes, &small_limits()) {
        assert!(line.is_err() || !line.unwrap_or_default().contains('\n'));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>()) {
        must_not_panic(&bytes);
    }

    /// Arbitrary bytes rarely get far; arbitrary opcodes do.
    #[test]
    fn arbitrary_programs_never_panic(ops in prop::collection::vec(0usize..1000, 0..60)) {
        let pieces: &[&[u8]] = &[
            b"(", b")", b"]", b"}", b"\x8f", b"N", b"K\x01", b"K\x02", b"U\x01a", b"G?\xf0\0\0\0\0\0\0", b"ca\nb\n",
            b"0", b"1", b"2", b"t", b"l", b"d", b"\x91", b"\x85", b"\x86", b"\x87", b"a", b"e", b"s", b"u", b"\x90",
            b"R", b"b", b"\x81", b"\x92", b"o", b"ia\nb\n", b"Q", b"\x93", b"q\0", b"q\x01", b"h\0", b"h\x01", b"\x94",
        ];
        let program: Vec<u8> = ops.iter().flat_map(|&op| pieces[op % pieces.len()].iter().copied()).chain(*b".").collect();
        must_not_panic(&program);
    }

    #[test]
    fn mutated_pickles_never_panic(which in 0usize..7, edits in prop::collection::vec(any::<(usize, u8, u8)>(), 1..6)) {
        let pickle = EVERY_PROTOCOL.get(which).copied().unwrap_or(TORCH);
        must_not_panic(&mutated(pickle, &edits));
    }
}
