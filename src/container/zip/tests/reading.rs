//! What is read from a good zip, and what is found out when a record is read.

use super::{TORCH, build, build_with, deflated, edited, end64, entry, open, refusal};
use crate::container::{Method, Oddity};
use crate::error::ErrorKind;

#[test]
fn torch_save() {
    let zip = open(TORCH).unwrap();
    let names: Vec<_> = zip.records().iter().map(|r| r.name.as_str()).collect();
    let expected = [
        "data.pkl",
        ".format_version",
        ".storage_alignment",
        "byteorder",
        "data/0",
        "version",
        ".data/serialization_id",
    ];
    assert_eq!(names, expected.map(|name| format!("archive/{name}")));
    assert_eq!(zip.root(), Some("archive"));
    let storage = zip.find_in_root("data/0").unwrap();
    assert_eq!(
        (storage.len, storage.stored_len, storage.method),
        (8, 8, Method::Stored)
    );
    assert_eq!(storage.data_at % 64, 0);
    assert_eq!(&*zip.read(storage, 8).unwrap(), b"\0\0\x80\x3f\0\0\0\x40");
    assert_eq!(
        &TORCH[storage.data_at as usize..][..8],
        b"\0\0\x80\x3f\0\0\0\x40"
    );
    assert_eq!(
        &*zip.read(zip.find_in_root("byteorder").unwrap(), 6).unwrap(),
        b"little"
    );
    assert_eq!(zip.oddities(), []);
    for record in zip.records() {
        zip.check_crc(record, 1 << 20).unwrap();
    }
}

#[test]
fn names_are_found_as_torch_finds_them() {
    let zip = open(&build(&[
        entry(b"Root/DATA.PKL", b"x"),
        entry(b"Root/dir/", b""),
    ]))
    .unwrap();
    assert_eq!(zip.find_in_root("data.pkl").unwrap().name, "Root/DATA.PKL");
    assert!(zip.find("data.pkl").is_none());
    assert!(zip.find("Root/dir/").unwrap().is_folder());
    assert_eq!(open(&build(&[])).unwrap().root(), None);
}

#[test]
fn zip64_in_all_its_places() {
    let wide = |values: &[u64]| {
        let mut extra = b"\x01\0".to_vec();
        extra.extend((8 * values.len() as u16).to_le_bytes());
        extra.extend(values.iter().flat_map(|n| n.to_le_bytes()));
        extra
    };
    let mut a = entry(b"r/a", b"aaaa");
    a.len = [u32::MAX; 2];
    a.stored_len = [u32::MAX; 2];
    a.header_at = Some(u32::MAX);
    a.extra = [wide(&[4, 4]), wide(&[4, 4, 0])];
    let zip = open(&build_with(&[a.clone()], end64)).unwrap();
    assert_eq!((zip.records()[0].len, zip.records()[0].header_at), (4, 0));
    assert_eq!(&*zip.read(&zip.records()[0], 4).unwrap(), b"aaaa");

    a.extra[1] = wide(&[4, 4]);
    assert_eq!(
        refusal(&build_with(&[a.clone()], end64)),
        "byte 57: entry 0 of the zip's directory: its zip64 field needs 8 bytes, only 0 are left"
    );
    a.extra[1] = wide(&[4, 4, u64::MAX - 2]);
    assert!(
        refusal(&build_with(&[a.clone()], end64))
            .starts_with("r/a: its local header should lie at byte 18446744073709551613")
    );
    a.extra[1] = wide(&[u64::MAX, u64::MAX, 0]);
    assert!(
        refusal(&build_with(&[a], end64))
            .contains("has the size 4, the zip's directory has 18446744073709551615")
    );
}

#[test]
fn deflated_records_are_inflated_and_checked() {
    let text = b"weights and more weights ".repeat(1000);
    let file = deflated("m/data.pkl", &text);
    let zip = open(&file).unwrap();
    let record = &zip.records()[0];
    assert_eq!((record.method, record.len), (Method::Deflated, 25_000));
    assert_eq!(&*zip.read(record, 25_000).unwrap(), text);
    let error = zip
        .read_limited(record, 24_999, "pickle_bytes")
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (
            ErrorKind::Limit,
            "m/data.pkl: has 25000 bytes, the limit is 24999 (pickle_bytes)"
        )
    );

    let mut damaged = file.clone();
    damaged[record.data_at as usize + 20] ^= 0x10;
    let zip = open(&damaged).unwrap();
    let error = zip.read(&zip.records()[0], 25_000).unwrap_err().to_string();
    assert!(error.starts_with("m/data.pkl: its "), "{error}");
}

/// The declared length is one more or less than what comes out, in both headers.
#[test]
fn a_deflated_length_that_lies() {
    let file = deflated("r/a", &[7; 1000]);
    let stored = open(&file).unwrap().records()[0].clone();
    let raw = &file[stored.data_at as usize..stored.end() as usize];
    let lying = |len: u32| {
        let mut a = entry(b"r/a", raw);
        a.method = [8; 2];
        a.len = [len; 2];
        a.crc32 = [stored.crc32; 2];
        build(&[a])
    };
    let read = |len: u32| {
        let zip = open(&lying(len)).unwrap();
        zip.read(&zip.records()[0], 1 << 20)
            .map(|bytes| bytes.len())
            .map_err(|e| e.to_string())
    };
    assert_eq!(read(1000), Ok(1000));
    assert_eq!(
        read(999),
        Err("r/a: its deflated data at byte 33 is damaged: File is larger than its declared uncompressed size".to_owned())
    );
    assert_eq!(
        read(1001),
        Err("r/a: inflates to 1000 bytes, it should have 1001".to_owned())
    );
    assert_eq!(
        refusal(&lying(1 << 30)),
        format!(
            "r/a: {} bytes cannot hold 1073741824 bytes deflated",
            raw.len()
        )
    );
}

#[test]
fn a_wrong_crc_of_a_stored_record_is_found_when_asked() {
    let file = edited(|b| b.crc32 = [7; 2]);
    let zip = open(&file).unwrap();
    let b = zip.find("r/b").unwrap();
    assert!(zip.read(b, 4).is_ok());
    assert_eq!(
        zip.check_crc(b, 4).unwrap_err().to_string(),
        "r/b: its bytes (from byte 68 of the file) have the CRC 0f4ff68b, it should be 00000007: they are damaged"
    );
}

/// torch writes zeros there (flags 0x0808); what follows the data is not looked at.
#[test]
fn a_data_descriptor_may_stand_for_the_local_fields() {
    let file = edited(|b| {
        b.flags = [0x0808; 2];
        (b.crc32[0], b.stored_len[0], b.len[0]) = (0, 0, 0);
        b.descriptor = b"PK\x07\x08aaaabbbbcccc".to_vec();
    });
    let zip = open(&file).unwrap();
    assert_eq!(&*zip.read(zip.find("r/b").unwrap(), 4).unwrap(), b"bbbb");
    assert_eq!(zip.oddities(), []);
}

#[test]
fn bytes_that_belong_to_no_record_are_told() {
    let file = edited(|b| b.descriptor = vec![0; 25]);
    assert_eq!(
        open(&file).unwrap().oddities(),
        [Oddity { at: 72, len: 25 }]
    );
    let appended = [build(&[entry(b"r/a", b"a")]), b"\x80\x02N.".to_vec()].concat();
    let at = appended.len() as u64 - 4;
    assert_eq!(open(&appended).unwrap().oddities(), [Oddity { at, len: 4 }]);
    let hidden = edited(|b| b.header_at = Some(0));
    assert!(refusal(&hidden).contains("has the name r/a"));
}
