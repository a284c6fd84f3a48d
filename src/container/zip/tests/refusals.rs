//! The smallest zip for each contradiction, and what is said about it.

use super::{TORCH, build, build_with, edited, end, end64, entry, open, refusal};
use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::container::Zip;
use crate::error::ErrorKind;

#[test]
fn what_says_two_things_is_refused() {
    let twice =
        |first, second| build(&[entry(first, b"1"), entry(b"r/x", b"2"), entry(second, b"3")]);
    let cases: &[(Vec<u8>, &str)] = &[
        (
            twice(b"r/data.pkl", b"r/data.pkl"),
            "r/data.pkl: two records have this name, at byte 0 and at byte 75: torch reads the first, others the last",
        ),
        (
            twice(b"r/data.pkl", b"R/DATA.PKL"),
            "r/data.pkl: at byte 0; its twin R/DATA.PKL lies at byte 75: torch does not tell upper from lower case, others do",
        ),
        (
            edited(|b| b.local_name = b"r/B"),
            "r/b: its local header at byte 35 has the name r/B, the zip's directory has r/b: programs would read different things",
        ),
        (
            edited(|b| b.method[0] = 8),
            "r/b: its local header at byte 35 has the method 8, the zip's directory has 0: programs would read different things",
        ),
        (
            edited(|b| b.flags[0] = 1),
            "r/b: its local header at byte 35 has the encryption flags 1, the zip's directory has 0: programs would read different things",
        ),
        (
            edited(|b| b.len[0] = 3),
            "r/b: its local header at byte 35 has the size 3, the zip's directory has 4: programs would read different things",
        ),
        (
            edited(|b| b.stored_len[0] = 0),
            "r/b: its local header at byte 35 has the stored size 0, the zip's directory has 4: programs would read different things",
        ),
        (
            edited(|b| (b.flags, b.crc32[0]) = ([8; 2], 5)),
            "r/b: its local header at byte 35 has the CRC 5, the zip's directory has 256898699: programs would read different things",
        ),
        (
            edited(|b| b.name = b"r/b\0x"),
            "r/b\0x: its name holds a NUL byte, at which some programs end it and others do not",
        ),
        (edited(|b| b.flags = [1; 2]), "r/b: is encrypted"),
        (
            edited(|b| b.method = [93; 2]),
            "r/b: is compressed with zstd (method 93); stored and deflated are read",
        ),
        (
            edited(|b| (b.len, b.stored_len) = ([5; 2], [4; 2])),
            "r/b: 4 bytes cannot hold 5 bytes stored",
        ),
        (
            edited(|b| (b.len, b.stored_len) = ([5; 2], [5; 2])),
            "r/b: bytes 35 to 73 overlap those of r/c from byte 72",
        ),
        (
            edited(|b| (b.len, b.stored_len) = ([500; 2], [500; 2])),
            "r/b: its data runs from byte 68 over 500 bytes, past the end of the records at byte 106",
        ),
        (
            edited(|b| b.header_at = Some(1)),
            "r/b: at byte 1: there is no local header",
        ),
        (
            edited(|b| b.header_at = Some(1000)),
            "r/b: its local header should lie at byte 1000, but the records end at byte 106",
        ),
        (
            edited(|b| b.header_at = Some(104)),
            "r/b: at byte 104: its local header needs 4 bytes, only 2 are left",
        ),
    ];
    for (file, expected) in cases {
        assert_eq!(&refusal(file), expected);
    }
}

#[test]
fn a_zip_that_is_cut_off_says_so() {
    for end in [4, 100, TORCH.len() - 22, TORCH.len() - 1] {
        let error = open(&TORCH[..end]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the end of the zip is missing: the file was cut off at byte {end} (download incomplete?)"
            )
        );
        assert!(error.hint().is_some());
    }
    let mut zeros = TORCH.to_vec();
    zeros[700..].fill(0);
    let said = refusal(&zeros);
    assert!(
        said.starts_with("the end of the zip is missing: the file ends in zero bytes from byte "),
        "{said}"
    );
}

#[test]
fn bytes_missing_or_added_in_the_middle() {
    let plain = build(&[entry(b"r/a", b"aaaa")]);
    let without = [&plain[..30], &plain[34..]].concat();
    assert_eq!(
        refusal(&without),
        "the zip's directory should lie at byte 37 and be 49 bytes long, but 4 bytes are missing before its end"
    );
    let before = [b"#!/bin/sh\n".as_slice(), &plain].concat();
    assert_eq!(
        refusal(&before),
        "the zip's directory should lie at byte 37 and be 49 bytes long, but 10 bytes too many lie before its end: \
         something was put in front of the zip or into it"
    );
    let torch_without = [&TORCH[..30], &TORCH[34..]].concat();
    assert!(refusal(&torch_without).contains("the zip64 end record should lie at byte"));
}

#[test]
fn end_records_that_disagree() {
    let both = |entries, size, at| {
        let mut out = end64(entries, size, at);
        let n = out.len();
        out[n - 12..n - 8].copy_from_slice(&7u32.to_le_bytes()); // size of the directory in the plain record
        out
    };
    let error = refusal(&build_with(&[entry(b"r/a", b"a")], both));
    assert!(
        error.contains("disagree") && error.contains("programs would see different files"),
        "{error}"
    );
    let wrong_count = refusal(&build_with(&[entry(b"r/a", b"a")], |_, size, at| {
        end(2, size, at)
    }));
    assert_eq!(
        wrong_count,
        "byte 34: the zip's directory has room for 1 records, it should have 2"
    );
    let too_few = refusal(&build_with(&[entry(b"r/a", b"a")], |_, size, at| {
        end(0, size, at)
    }));
    assert_eq!(
        too_few,
        "byte 34: the zip's directory holds 49 bytes more than its 0 entries"
    );
    let split = refusal(&build_with(&[entry(b"r/a", b"a")], |n, size, at| {
        let mut out = end(n, size, at);
        out[4] = 1;
        out
    }));
    assert_eq!(split, "byte 83: the zip is split over several files");
    let limits = Limits {
        records: 0,
        ..Limits::default()
    };
    let error = Zip::open(&ByteSource::from(build(&[entry(b"r/a", b"a")])), &limits).unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (
            ErrorKind::Limit,
            "the zip has 1 records, the limit is 0 (records)"
        )
    );
}
