//! Whole pickles: those that Python writes, those that break a rule, those that want too much.

use proptest::prelude::*;
use serde_pickle::HashableValue;

use super::{Graph, Listing, Value, ValueId, read};
use crate::bytes::Limits;
use crate::error::ErrorKind;

/// `torch.save({"w": torch.zeros(2, 3).t(), "epoch": 3})`, torch 2.15.0: its `data.pkl`.
const TORCH: &[u8] = b"\x80\x02}q\x00(X\x01\x00\x00\x00wq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\x00\x00\x00storageq\x03ctorch\nFloatStorage\nq\x04X\x01\x00\x00\x000q\x05X\x03\x00\x00\x00cpuq\x06K\x06tq\x07QK\x00K\x03K\x02\x86q\x08K\x01K\x03\x86q\x09\x89ccollections\nOrderedDict\nq\n)Rq\x0btq\x0cRq\x0dX\x05\x00\x00\x00epochq\x0eK\x03u.";

/// `l = []; l.append(l); {"a": [1, -1, 2**40, 2**70, 1.5, None, True, "é", b"\0\xff"], "t": (1, 2, 3, 4), "s": {1},
/// "f": frozenset([2]), "self": l, 1: OrderedDict(x=1)}` by CPython 3.11, protocols 0 to 5.
const EVERY_PROTOCOL: [&[u8]; 6] = [
    b"(dp0\nVa\np1\n(lp2\nI1\naI-1\naL1099511627776L\naL1180591620717411303424L\naF1.5\naNaI01\naV\xe9\np3\nac_codecs\nencode\np4\n(V\x5cu0000\xff\np5\nVlatin1\np6\ntp7\nRp8\nasVt\np9\n(I1\nI2\nI3\nI4\ntp10\nsVs\np11\nc__builtin__\nset\np12\n((lp13\nI1\natp14\nRp15\nsVf\np16\nc__builtin__\nfrozenset\np17\n((lp18\nI2\natp19\nRp20\nsVself\np21\n(lp22\ng22\nasI1\nccollections\nOrderedDict\np23\n(tRp24\nVx\np25\nI1\nss.",
    b"}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01J\xff\xff\xff\xffL1099511627776L\nL1180591620717411303424L\nG?\xf8\x00\x00\x00\x00\x00\x00NI01\nX\x02\x00\x00\x00\xc3\xa9q\x03c_codecs\nencode\nq\x04(X\x03\x00\x00\x00\x00\xc3\xbfq\x05X\x06\x00\x00\x00latin1q\x06tq\x07Rq\x08eX\x01\x00\x00\x00tq\x09(K\x01K\x02K\x03K\x04tq\nX\x01\x00\x00\x00sq\x0bc__builtin__\nset\nq\x0c(]q\x0dK\x01atq\x0eRq\x0fX\x01\x00\x00\x00fq\x10c__builtin__\nfrozenset\nq\x11(]q\x12K\x02atq\x13Rq\x14X\x04\x00\x00\x00selfq\x15]q\x16h\x16aK\x01ccollections\nOrderedDict\nq\x17)Rq\x18X\x01\x00\x00\x00xq\x19K\x01su.",
    b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01J\xff\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00@G?\xf8\x00\x00\x00\x00\x00\x00N\x88X\x02\x00\x00\x00\xc3\xa9q\x03c_codecs\nencode\nq\x04X\x03\x00\x00\x00\x00\xc3\xbfq\x05X\x06\x00\x00\x00latin1q\x06\x86q\x07Rq\x08eX\x01\x00\x00\x00tq\x09(K\x01K\x02K\x03K\x04tq\nX\x01\x00\x00\x00sq\x0bc__builtin__\nset\nq\x0c]q\x0dK\x01a\x85q\x0eRq\x0fX\x01\x00\x00\x00fq\x10c__builtin__\nfrozenset\nq\x11]q\x12K\x02a\x85q\x13Rq\x14X\x04\x00\x00\x00selfq\x15]q\x16h\x16aK\x01ccollections\nOrderedDict\nq\x17)Rq\x18X\x01\x00\x00\x00xq\x19K\x01su.",
    b"\x80\x03}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01J\xff\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00@G?\xf8\x00\x00\x00\x00\x00\x00N\x88X\x02\x00\x00\x00\xc3\xa9q\x03C\x02\x00\xffq\x04eX\x01\x00\x00\x00tq\x05(K\x01K\x02K\x03K\x04tq\x06X\x01\x00\x00\x00sq\x07cbuiltins\nset\nq\x08]q\x09K\x01a\x85q\nRq\x0bX\x01\x00\x00\x00fq\x0ccbuiltins\nfrozenset\nq\x0d]q\x0eK\x02a\x85q\x0fRq\x10X\x04\x00\x00\x00selfq\x11]q\x12h\x12aK\x01ccollections\nOrderedDict\nq\x13)Rq\x14X\x01\x00\x00\x00xq\x15K\x01su.",
    b"\x80\x04\x95\x94\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94]\x94(K\x01J\xff\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00@G?\xf8\x00\x00\x00\x00\x00\x00N\x88\x8c\x02\xc3\xa9\x94C\x02\x00\xff\x94e\x8c\x01t\x94(K\x01K\x02K\x03K\x04t\x94\x8c\x01s\x94\x8f\x94(K\x01\x90\x8c\x01f\x94(K\x02\x91\x94\x8c\x04self\x94]\x94h\x0caK\x01\x8c\x0bcollections\x94\x8c\x0bOrderedDict\x94\x93\x94)R\x94\x8c\x01x\x94K\x01su.",
    b"\x80\x05\x95\x94\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94]\x94(K\x01J\xff\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00@G?\xf8\x00\x00\x00\x00\x00\x00N\x88\x8c\x02\xc3\xa9\x94C\x02\x00\xff\x94e\x8c\x01t\x94(K\x01K\x02K\x03K\x04t\x94\x8c\x01s\x94\x8f\x94(K\x01\x90\x8c\x01f\x94(K\x02\x91\x94\x8c\x04self\x94]\x94h\x0caK\x01\x8c\x0bcollections\x94\x8c\x0bOrderedDict\x94\x93\x94)R\x94\x8c\x01x\x94K\x01su.",
];

fn graph(bytes: &[u8]) -> Graph {
    read(bytes, &Limits::default()).unwrap()
}

fn refusal(bytes: &[u8]) -> String {
    read(bytes, &Limits::default()).unwrap_err().to_string()
}

/// A value as Python would print it; names, calls and persistent ids in words.
fn show(graph: &Graph, id: ValueId) -> String {
    fn go(graph: &Graph, id: ValueId, above: &mut Vec<ValueId>) -> String {
        if above.contains(&id) {
            return "...".to_owned();
        }
        above.push(id);
        let list = |ids: &[ValueId], above: &mut Vec<ValueId>| {
            let items: Vec<_> = ids.iter().map(|&i| go(graph, i, above)).collect();
            items.join(", ")
        };
        let pairs = |pairs: &[(ValueId, ValueId)], above: &mut Vec<ValueId>| {
            let items: Vec<_> = pairs
                .iter()
                .map(|&(k, v)| format!("{}: {}", go(graph, k, above), go(graph, v, above)))
                .collect();
            items.join(", ")
        };
        let text = match graph.get(id) {
            Value::None => "None".to_owned(),
            Value::Bool(b) => if *b { "True" } else { "False" }.to_owned(),
            Value::Int(n) => n.to_string(),
            Value::BigInt(bytes) => format!("int{bytes:02x?}"),
            Value::Float(f) => format!("{f:?}"),
            Value::Str(s) => format!("'{s}'"),
            Value::Bytes(b) => format!("b'{}'", b.escape_ascii()),
            Value::List(items) => format!("[{}]", list(items, above)),
            Value::Tuple(items) => format!("({})", list(items, above)),
            Value::Dict(entries) => format!("{{{}}}", pairs(entries, above)),
            Value::Set(items) => format!("set({})", list(items, above)),
            Value::FrozenSet(items) => format!("frozenset({})", list(items, above)),
            Value::Global { module, name } => format!("{module}.{name}"),
            Value::Persistent(id) => format!("persistent {}", go(graph, *id, above)),
            Value::Extension(code) => format!("extension {code}"),
            Value::Object(o) => {
                let mut text = format!(
                    "{:?} {}{}",
                    o.kind,
                    go(graph, o.callable, above),
                    go(graph, o.args, above)
                );
                if let Some(kwargs) = o.kwargs {
                    text += &format!(" kwargs {}", go(graph, kwargs, above));
                }
                if !o.state.is_empty() {
                    text += &format!(" state {}", list(&o.state, above));
                }
                if !o.items.is_empty() {
                    text += &format!(" items [{}]", list(&o.items, above));
                }
                if !o.entries.is_empty() {
                    text += &format!(" entries {{{}}}", pairs(&o.entries, above));
                }
                format!("<{text}>")
            }
        };
        above.pop();
        text
    }
    go(graph, id, &mut Vec::new())
}

fn shown(bytes: &[u8]) -> String {
    let graph = graph(bytes);
    show(&graph, graph.root)
}

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

#[test]
fn refusals_name_the_opcode_and_its_place() {
    let cases: &[(&[u8], &str)] = &[
        (b"", "byte 0: the pickle ends without STOP: it was cut off"),
        (
            b"K\x01",
            "byte 2: the pickle ends without STOP: it was cut off",
        ),
        (
            b"K",
            "byte 0: BININT1: its argument needs 1 bytes, only 0 are left",
        ),
        (b"v", "byte 0: byte 0x76 ('v') is no pickle opcode"),
        (b"Nv", "byte 1: byte 0x76 ('v') is no pickle opcode"),
        (
            b".",
            "byte 0: STOP: needs 1 values on the stack, there are 0",
        ),
        (
            b"N(.",
            "byte 2: STOP: needs 1 values on the stack, there are 0",
        ),
        (
            b"K\x01(K\x02\x86.",
            "byte 5: TUPLE2: needs 2 values on the stack, there are 1",
        ),
        (b"t.", "byte 0: TUPLE: there is no MARK on the stack"),
        (b"0", "byte 0: POP: the stack is empty"),
        (
            b"(K\x01e.",
            "byte 3: APPENDS: there is nothing below the MARK to add to",
        ),
        (
            b"](N(e.",
            "byte 4: APPENDS: adds items to None, which has none",
        ),
        (b"(o.", "byte 1: OBJ: there is nothing above the MARK"),
        (
            b"h\x07.",
            "byte 0: BINGET: nothing was stored at memo index 7",
        ),
        (b"Ng-1\n.", "byte 1: GET: \"-1\" is no memo index"),
        (
            b"I0x10\n.",
            "byte 0: INT: \"0x10\" is not a plain decimal number",
        ),
        (
            b"I010\n.",
            "byte 0: INT: \"010\" is not a plain decimal number",
        ),
        (
            b"I 1\n.",
            "byte 0: INT: \" 1\" is not a plain decimal number",
        ),
        (
            b"L1_0\n.",
            "byte 0: LONG: \"1_0\" is not a plain decimal number",
        ),
        (
            b"F1e999\n.",
            "byte 0: FLOAT: \"1e999\" is too large for a float",
        ),
        (b"F0x1\n.", "byte 0: FLOAT: \"0x1\" is not a number"),
        (b"Sabc\n.", "byte 0: STRING: \"abc\" is not in quotes"),
        (
            b"S'\\x4'\n.",
            "byte 0: STRING: a \\x escape needs two hexadecimal digits",
        ),
        (
            b"S'a\\'\n.",
            "byte 0: STRING: a backslash at the end of the text",
        ),
        (
            b"V\\u12\n.",
            "byte 0: UNICODE: a \\u escape needs 4 hexadecimal digits",
        ),
        (
            b"V\\U00110000\n.",
            "byte 0: UNICODE: U+110000 is beyond Unicode",
        ),
        (
            b"X\x01\0\0\0\xff.",
            "byte 0: BINUNICODE: its text is not UTF-8 (from byte 0 of it)",
        ),
        (
            b"X\xff\0\0\0a.",
            "byte 0: BINUNICODE: declares 255 bytes, only 2 are left",
        ),
        (
            b"T\xff\xff\xff\xffa.",
            "byte 0: BINSTRING: its length is negative (-1)",
        ),
        (
            b"Sabc",
            "byte 0: STRING: its argument has no newline at its end",
        ),
        (
            b"}K\x01s.",
            "byte 3: SETITEM: needs 3 values on the stack, there are 2",
        ),
        (
            b"}(K\x01u.",
            "byte 4: SETITEMS: the last of 1 keys and values has no partner",
        ),
        (
            b"](K\x01K\x02u.",
            "byte 6: SETITEMS: sets items of a list, which has none to set",
        ),
        (b"}(]K\x02u.", "byte 5: SETITEMS: a list cannot be a key"),
        (
            b"}(]\x85K\x02u.",
            "byte 6: SETITEMS: a tuple cannot be a key",
        ),
        (
            b"}K\x01a.",
            "byte 3: APPEND: adds items to a dict, which has none",
        ),
        (
            b"](N\x90.",
            "byte 3: ADDITEMS: adds items to a list, which is no set",
        ),
        (b"(]\x91.", "byte 2: FROZENSET: a list cannot be a key"),
        (
            b"}Nb.",
            "byte 2: BUILD: sets the state of a dict, which has none",
        ),
        (
            b"ca\nb\nNb.",
            "byte 6: BUILD: sets the state of the name a.b, which has none",
        ),
        (b"K\x01)R.", "byte 3: REDUCE: calls an int"),
        (
            b"ca\nb\n]R.",
            "byte 6: REDUCE: its arguments are a list, not a tuple",
        ),
        (
            b"ca\nb\n)]\x92.",
            "byte 7: NEWOBJ_EX: its keyword arguments are a list, not a dict",
        ),
        (
            b"NN\x93.",
            "byte 2: STACK_GLOBAL: module and name must be text, they are None and None",
        ),
        (b"ca\n\n.", "byte 0: GLOBAL: a name is empty"),
        (
            b"c\xff\na\n.",
            "byte 0: GLOBAL: the name \"\\xff\" is not UTF-8",
        ),
        (
            b"\x82\0.",
            "byte 0: EXT1: extension codes are positive, this is 0",
        ),
        (
            b"\x84\xff\xff\xff\xff.",
            "byte 0: EXT4: extension codes are positive, this is -1",
        ),
        (
            b"\x95\x05\0\0\0\0\0\0\0N.",
            "byte 0: FRAME: declares 5 bytes, only 2 are left",
        ),
        (
            b"\x95\x01\0\0\0\0\0\0\0K\x01.",
            "byte 9: BININT1: reaches past the end of its frame at byte 10",
        ),
        (
            b"\x95\x0a\0\0\0\0\0\0\0\x95\0\0\0\0\0\0\0\0N.",
            "byte 9: FRAME: begins inside another frame",
        ),
    ];
    for (pickle, expected) in cases {
        assert_eq!(&refusal(pickle), expected, "{}", pickle.escape_ascii());
        let error = read(pickle, &Limits::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{expected}");
    }
}

#[test]
fn unsupported_is_said_to_be_so() {
    let cases: &[(&[u8], &str)] = &[
        (
            b"\x80\x06N.",
            "byte 0: pickle protocol 6; the highest known is 5",
        ),
        (
            b"\x97.",
            "byte 0: NEXT_BUFFER: the pickle wants a buffer that is not in it (protocol 5 out-of-band data)",
        ),
        (
            b"C\0\x98.",
            "byte 2: READONLY_BUFFER: the pickle wants a buffer that is not in it (protocol 5 out-of-band data)",
        ),
    ];
    for (pickle, expected) in cases {
        let error = read(pickle, &Limits::default()).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::Unsupported, *expected)
        );
    }
}

#[test]
fn a_pickle_cut_off_anywhere_is_refused() {
    for pickle in EVERY_PROTOCOL.into_iter().chain([TORCH]) {
        for end in 0..pickle.len() {
            assert!(read(&pickle[..end], &Limits::default()).is_err(), "{end}");
        }
    }
}

#[test]
fn bytes_after_stop_are_left_alone() {
    let graph = graph(b"N.\xff\xff");
    assert_eq!(graph.consumed, 2);
}

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
            "the values of the pickle would take more than 1048576 bytes of memory"
        );
        assert!(error.location().offset.is_some());
    }
    let steps = b"(0".repeat(1 << 20);
    let error = read(&steps, &small_limits()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "byte 1048576: the pickle has more than 1048576 opcodes"
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

#[test]
fn listing_reads_like_pickletools() {
    let lines: Vec<String> = Listing::new(
        b"\x80\x02}q\0(X\x01\0\0\0aca\nB\n\x85K\x01(Ntu0\x94.",
        &Limits::default(),
    )
    .map(|line| line.unwrap())
    .collect();
    let expected = [
        "    0: \\x80 PROTO      2",
        "    2: }    EMPTY_DICT",
        "    3: q    BINPUT     0",
        "    5: (    MARK",
        "    6: X        BINUNICODE 'a'",
        "   12: c        GLOBAL     'a B'",
        "   17: \\x85     TUPLE1",
        "   18: K        BININT1    1",
        "   20: (        MARK",
        "   21: N            NONE",
        "   22: t            TUPLE      (MARK at 20)",
        "   23: u        SETITEMS   (MARK at 5)",
        "   24: 0    POP",
        "   25: \\x94 MEMOIZE    (as 1)",
        "   26: .    STOP",
        "highest protocol among opcodes = 4",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn listing_ends_after_one_error() {
    let lines: Vec<_> = Listing::new(b"Nv", &Limits::default()).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[1].is_err());
}

fn oracle_value() -> impl Strategy<Value = serde_pickle::Value> {
    use serde_pickle::Value as V;
    let leaf = prop_oneof![
        Just(V::None),
        any::<bool>().prop_map(V::Bool),
        any::<i64>().prop_map(V::I64),
        any::<f64>().prop_map(V::F64),
        any::<Vec<u8>>().prop_map(V::Bytes),
        any::<String>().prop_map(V::String),
    ];
    let key = prop_oneof![
        any::<i64>().prop_map(HashableValue::I64),
        ".{0,3}".prop_map(HashableValue::String),
        any::<(i64, bool)>().prop_map(|(a, b)| HashableValue::Tuple(vec![
            HashableValue::I64(a),
            HashableValue::String(b.to_string())
        ])),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(V::List),
            prop::collection::vec(inner.clone(), 0..6).prop_map(V::Tuple),
            prop::collection::btree_map(key.clone(), inner, 0..6).prop_map(V::Dict),
            prop::collection::btree_set(key.clone(), 0..6).prop_map(V::Set),
        ]
    })
}

/// The graph against the value that `serde-pickle` wrote.
fn same(graph: &Graph, id: ValueId, expected: &serde_pickle::Value) -> bool {
    use serde_pickle::Value as V;
    let all = |ids: &[ValueId], values: &[V]| {
        ids.len() == values.len()
            && ids
                .iter()
                .zip(values)
                .all(|(&id, value)| same(graph, id, value))
    };
    match (graph.get(id), expected) {
        (Value::None, V::None) => true,
        (Value::Bool(a), V::Bool(b)) => a == b,
        (Value::Int(a), V::I64(b)) => a == b,
        (Value::Float(a), V::F64(b)) => a.to_bits() == b.to_bits(),
        (Value::Bytes(a), V::Bytes(b)) => a[..] == b[..],
        (Value::Str(a), V::String(b)) => a[..] == b[..],
        (Value::List(a), V::List(b)) | (Value::Tuple(a), V::Tuple(b)) => all(a, b),
        (Value::Dict(a), V::Dict(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|(&(k, v), (bk, bv))| {
                    same(graph, k, &bk.clone().into_value()) && same(graph, v, bv)
                })
        }
        (Value::Set(a), V::Set(b)) => {
            let values: Vec<V> = b.iter().map(|k| k.clone().into_value()).collect();
            all(a, &values)
        }
        // `serde-pickle` writes sets as calls, and bytes as protocol 2 must
        (Value::Object(call), _) => {
            let Value::Tuple(args) = graph.get(call.args) else {
                return false;
            };
            match (graph.get(args[0]), expected) {
                (Value::List(items), V::Set(b)) => {
                    let values: Vec<V> = b.iter().map(|k| k.clone().into_value()).collect();
                    all(items, &values)
                }
                (Value::Str(latin1), V::Bytes(b)) => latin1
                    .chars()
                    .map(u32::from)
                    .eq(b.iter().map(|&b| u32::from(b))),
                _ => false,
            }
        }
        _ => false,
    }
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
    fn reads_what_serde_pickle_writes(value in oracle_value(), protocol_3 in any::<bool>()) {
        let options = serde_pickle::SerOptions::new();
        let options = if protocol_3 { options } else { options.proto_v2() };
        let pickle = serde_pickle::value_to_vec(&value, options).unwrap();
        let graph = graph(&pickle);
        prop_assert!(same(&graph, graph.root, &value), "{} from {:?}", show(&graph, graph.root), value);
    }

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
