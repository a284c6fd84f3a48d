//! What each opcode and notation builds.

use super::{EVERY_PROTOCOL, TORCH, graph, shown};
use crate::pickle::Value;

#[test]
fn torch_save() {
    assert_eq!(
        shown(TORCH),
        "{'w': <Reduce torch._utils._rebuild_tensor_v2(persistent ('storage', torch.FloatStorage, '0', 'cpu', 6), 0, \
         (3, 2), (1, 3), False, <Reduce collections.OrderedDict()>)>, 'epoch': 3}"
    );
    let graph = graph(TORCH);
    assert_eq!((graph.protocol, graph.consumed), (2, TORCH.len()));
    assert_eq!(graph.values.len(), graph.offsets.len());
    let Value::Dict(entries) = graph.get(graph.root) else {
        panic!()
    };
    assert_eq!(graph.offset(entries[1].1), TORCH.len() as u64 - 4); // K\x03 u .
}

#[test]
fn every_protocol() {
    let after = "'self': [...], 1: <Reduce collections.OrderedDict() entries {'x': 1}>}";
    let numbers = "{'a': [1, -1, 1099511627776, int[00, 00, 00, 00, 00, 00, 00, 00, 40], 1.5, None, True, 'é', ";
    for (protocol, pickle) in EVERY_PROTOCOL.into_iter().enumerate() {
        let builtins = if protocol < 3 {
            "__builtin__"
        } else {
            "builtins"
        };
        let bytes = match protocol {
            0..=2 => "<Reduce _codecs.encode('\0ÿ', 'latin1')>",
            _ => "b'\\x00\\xff'",
        };
        let sets = match protocol {
            0..=3 => {
                format!(
                    "'s': <Reduce {builtins}.set([1])>, 'f': <Reduce {builtins}.frozenset([2])>"
                )
            }
            _ => "'s': set(1), 'f': frozenset(2)".to_owned(),
        };
        assert_eq!(
            shown(pickle),
            format!("{numbers}{bytes}], 't': (1, 2, 3, 4), {sets}, {after}")
        );
        let announced = if protocol < 2 { 0 } else { protocol };
        assert_eq!(usize::from(graph(pickle).protocol), announced);
    }
}

/// Notations of single values, each followed by STOP.
#[test]
fn scalars() {
    let cases: &[(&[u8], &str)] = &[
        (b"I42\n.", "42"),
        (b"I-0\n.", "0"),
        (b"I00\n.", "False"),
        (b"I01\n.", "True"),
        (b"L-12L\n.", "-12"),
        (b"L9223372036854775807\n.", "9223372036854775807"),
        (b"L-9223372036854775808L\n.", "-9223372036854775808"),
        (
            b"L9223372036854775808L\n.",
            "int[00, 00, 00, 00, 00, 00, 00, 80, 00]",
        ),
        (
            b"L-9223372036854775809L\n.",
            "int[ff, ff, ff, ff, ff, ff, ff, 7f, ff]",
        ),
        (b"K\xff.", "255"),
        (b"M\x01\x02.", "513"),
        (b"J\xfe\xff\xff\xff.", "-2"),
        (b"\x8a\x00.", "0"),
        (b"\x8a\x01\x80.", "-128"),
        (b"\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\xff.", "-1"),
        (b"\x8b\x02\0\0\0\xff\x00.", "255"),
        (b"F-1.5e3\n.", "-1500.0"),
        (b"F-inf\n.", "-inf"),
        (b"G\xbf\xf0\0\0\0\0\0\0.", "-1.0"),
        (b"S'a\\'\\x41\\101\\n\\q'\n.", "'a'AA\n\\q'"),
        (b"S\"\\xff\"\n.", "b'\\xff'"),
        (b"T\x02\0\0\0hi.", "'hi'"),
        (b"U\x01\x80.", "b'\\x80'"),
        (b"V\xe9\\u65e5\\U0001F600\\\\u0041\n.", "'é日😀\\\\u0041'"),
        (b"V\\ud83d\\ude00\n.", "'😀'"),
        (b"V\\udc80x\n.", "b'\\xed\\xb2\\x80x'"),
        (b"\x8c\x03\xed\xa0\x80.", "b'\\xed\\xa0\\x80'"),
        (b"\x8d\x01\0\0\0\0\0\0\0z.", "'z'"),
        (b"\x96\x01\0\0\0\0\0\0\0\x07.", "b'\\x07'"),
        (b"\x82\x07.", "extension 7"),
        (b"Pabc\n.", "persistent 'abc'"),
    ];
    for (pickle, expected) in cases {
        assert_eq!(&shown(pickle), expected, "{}", pickle.escape_ascii());
    }
}

#[test]
fn stack_and_memo() {
    let cases: &[(&[u8], &str)] = &[
        (b"K\x01K\x020.", "1"),
        (b"K\x01(0.", "1"), // POP takes a mark
        (b"K\x01(K\x02K\x031.", "1"),
        (b"K\x01K\x02.", "2"), // leftovers are legal
        (b"(K\x01.", "1"),
        (b"K\x012\x86.", "(1, 1)"),
        (b"K\x05r\xff\xff\xff\xff0j\xff\xff\xff\xff.", "5"),
        (
            b"K\x05p18446744073709551615\n0g18446744073709551615\n.",
            "5",
        ),
        (b"K\x01q\x05K\x02\x94h\x01h\x05\x87.", "(2, 2, 1)"), // MEMOIZE counts what is stored
        (b"]q\0h\0K\x01a0.", "[1]"),                          // an alias is the same list
        (b"(lp0\nI1\nag0\nI2\na0.", "[1, 2]"),
    ];
    for (pickle, expected) in cases {
        assert_eq!(&shown(pickle), expected, "{}", pickle.escape_ascii());
    }
}

#[test]
fn calls_are_written_down() {
    let cases: &[(&[u8], &str)] = &[
        (
            b"cposix\nsystem\n(S'id'\ntR.",
            "<Reduce posix.system('id')>",
        ),
        (
            b"(S'id'\niposix\nsystem\n.",
            "<Instance posix.system('id')>",
        ),
        (
            b"(cposix\nsystem\nS'id'\no.",
            "<Instance posix.system('id')>",
        ),
        (
            b"ca\nB\n)\x81}(U\x01kK\x01ub.",
            "<NewObj a.B() state {'k': 1}>",
        ),
        (
            b"ca\nB\n)}U\x01kK\x01s\x92.",
            "<NewObj a.B() kwargs {'k': 1}>",
        ),
        (b"\x8c\x01a\x8c\x03B.c\x93.", "a.B.c"),
        (
            b"ca\nB\n)R(K\x01K\x02eK\x03aK\x04K\x05sK\x06bK\x07b.",
            "<Reduce a.B() state 6, 7 items [1, 2, 3] entries {4: 5}>",
        ),
        (b"ca\nB\n)R(K\x01\x90.", "<Reduce a.B() items [1]>"),
        (b"ca\nB\n)R)R.", "<Reduce <Reduce a.B()>()>"),
        (b"K\x01QQ.", "persistent persistent 1"),
    ];
    for (pickle, expected) in cases {
        assert_eq!(&shown(pickle), expected, "{}", pickle.escape_ascii());
    }
}

#[test]
fn equal_keys_keep_the_first_place_and_the_last_value() {
    let cases: &[(&[u8], &str)] = &[
        (
            b"}(K\x01U\x01aU\x01xU\x01bG?\xf0\0\0\0\0\0\0U\x01c\x88U\x01du.",
            "{1: 'd', 'x': 'b'}",
        ),
        (b"(K\x01K\x02K\x01K\x03d.", "{1: 3}"),
        (b"}(K\x01K\x02\x86K\x05I1\nL2L\n\x86K\x06u.", "{(1, 2): 6}"),
        (b"}(U\x01aK\x01C\x01aK\x02u.", "{'a': 1, b'a': 2}"),
        (
            b"}(\x8a\x09\0\0\0\0\0\0\0\0@K\x01GD\x50\0\0\0\0\0\0K\x02u.",
            "{int[00, 00, 00, 00, 00, 00, 00, 00, 40]: 2}",
        ),
        (
            b"}(GC\xe0\0\0\0\0\0\0K\x01L9223372036854775808L\nK\x02u.",
            "{9.223372036854776e18: 2}",
        ),
        (b"}(G\x80\0\0\0\0\0\0\0K\x01K\0K\x02u.", "{-0.0: 2}"),
        (
            b"}(G\x7f\xf8\0\0\0\0\0\0K\x01G\x7f\xf8\0\0\0\0\0\0K\x02u.",
            "{NaN: 1, NaN: 2}",
        ),
        (b"}(G\x7f\xf8\0\0\0\0\0\0q\0K\x01h\0K\x02u.", "{NaN: 2}"),
        (b"}(ca\nb\nK\x01ca\nb\nK\x02u.", "{a.b: 2}"),
        (
            b"ccollections\nOrderedDict\n)R(K\x01K\x02K\x01K\x03u.",
            "<Reduce collections.OrderedDict() entries {1: 3}>",
        ),
        (
            b"ca\nb\n)R(]q\0K\x02h\0K\x03u.",
            "<Reduce a.b() entries {[]: 3}>",
        ), // its own __setitem__ decides
        (b"\x8f(K\x01\x88K\x02\x90.", "set(1, 2)"),
        (b"(K\x01G?\xf0\0\0\0\0\0\0\x91.", "frozenset(1)"),
    ];
    for (pickle, expected) in cases {
        assert_eq!(&shown(pickle), expected, "{}", pickle.escape_ascii());
    }
}
