//! Disassembly.

use crate::bytes::Limits;
use crate::pickle::Listing;

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
