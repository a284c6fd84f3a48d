//! The smallest pickle that breaks each rule, and what is said about it.

use super::{EVERY_PROTOCOL, TORCH, graph, refusal};
use crate::bytes::Limits;
use crate::error::ErrorKind;
use crate::pickle::read;

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
