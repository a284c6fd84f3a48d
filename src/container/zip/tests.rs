//! Zips as torch, Python and the `zip` crate write them; and zips that say two things.

use std::io::Write;

use proptest::prelude::*;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::{Method, Oddity, Zip};
use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::error::{Error, ErrorKind};

/// `torch.save(torch.tensor([1., 2.]), ...)` by torch 2.15.0.
const TORCH: &[u8] = b"PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\x12\0archive/data.pklFB\x0e\0ZZZZZZZZZZ\
    ZZZZ\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\0((X\x07\0\0\0storageq\x01ctorch\nFloatStorage\nq\x02X\x01\
    \0\0\00q\x03X\x03\0\0\0cpuq\x04K\x02tq\x05QK\0K\x02\x85q\x06K\x01\x85q\x07\x89ccollections\nOrderedDict\n\
    q\x08)Rq\x09tq\nRq\x0b.PK\x07\x08\0\x14@\xb4\x96\0\0\0\x96\0\0\0PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0\0\0\0\
    \0\0\0\0\0\0\0\0\0\x17\0%\0archive/.format_versionFB!\0ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ1PK\x07\x08\xb7\xef\
    \xdc\x83\x01\0\0\0\x01\0\0\0PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x1a\07\0archive/.\
    storage_alignmentFB3\0ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ64PK\x07\x08?wq\xe9\x02\0\0\0\x02\
    \0\0\0PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x11\0?\0archive/byteorderFB;\0ZZZZZZZZZ\
    ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZlittlePK\x07\x08\x85=\xe3\x19\x06\0\0\0\x06\0\0\0PK\x03\
    \x04\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0e\0>\0archive/data/0FB:\0ZZZZZZZZZZZZZZZZZZZZZZZZ\
    ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ\0\0\x80?\0\0\0@PK\x07\x08v\xa5?.\x08\0\0\0\x08\0\0\0PK\x03\x04\0\0\x08\
    \x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0f\0;\0archive/versionFB7\0ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ\
    ZZZZZZZZZZZZZZZZZZZZ3\nPK\x07\x08\xd1\x9egU\x02\0\0\0\x02\0\0\0PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\
    \0\0\0\0\0\0\0\0\x1e\02\0archive/.data/serialization_idFB.\0ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ\
    ZZ1572819951185464302606254392891879407814PK\x07\x08\x1f\x04[\x9d(\0\0\0(\0\0\0PK\x01\x02\0\0\0\0\x08\x08\
    \0\0\0\0\0\0\0\x14@\xb4\x96\0\0\0\x96\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0archive/data.pklPK\x01\x02\
    \0\0\0\0\x08\x08\0\0\0\0\0\0\xb7\xef\xdc\x83\x01\0\0\0\x01\0\0\0\x17\0\0\0\0\0\0\0\0\0\0\0\0\0\xe6\0\0\0\
    archive/.format_versionPK\x01\x02\0\0\0\0\x08\x08\0\0\0\0\0\0?wq\xe9\x02\0\0\0\x02\0\0\0\x1a\0\0\0\0\0\0\
    \0\0\0\0\0\0\0Q\x01\0\0archive/.storage_alignmentPK\x01\x02\0\0\0\0\x08\x08\0\0\0\0\0\0\x85=\xe3\x19\x06\
    \0\0\0\x06\0\0\0\x11\0\0\0\0\0\0\0\0\0\0\0\0\0\xd2\x01\0\0archive/byteorderPK\x01\x02\0\0\0\0\x08\x08\0\0\
    \0\0\0\0v\xa5?.\x08\0\0\0\x08\0\0\0\x0e\0\0\0\0\0\0\0\0\0\0\0\0\0V\x02\0\0archive/data/0PK\x01\x02\0\0\0\
    \0\x08\x08\0\0\0\0\0\0\xd1\x9egU\x02\0\0\0\x02\0\0\0\x0f\0\0\0\0\0\0\0\0\0\0\0\0\0\xd8\x02\0\0archive/ve\
    rsionPK\x01\x02\0\0\0\0\x08\x08\0\0\0\0\0\0\x1f\x04[\x9d(\0\0\0(\0\0\0\x1e\0\0\0\0\0\0\0\0\0\0\0\0\0R\x03\
    \0\0archive/.data/serialization_idPK\x06\x06,\0\0\0\0\0\0\0\x1e\x03-\0\0\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\
    \x07\0\0\0\0\0\0\0\xcf\x01\0\0\0\0\0\0\xf8\x03\0\0\0\0\0\0PK\x06\x07\0\0\0\0\xc7\x05\0\0\0\0\0\0\x01\0\0\
    \0PK\x05\x06\0\0\0\0\x07\0\x07\0\xcf\x01\0\0\xf8\x03\0\0\0\0";

fn open(bytes: &[u8]) -> Result<Zip, Error> {
    Zip::open(&ByteSource::from(bytes.to_vec()), &Limits::default())
}

fn refusal(bytes: &[u8]) -> String {
    open(bytes).unwrap_err().to_string()
}

/// An entry, with whatever its headers are to say.
#[derive(Clone)]
struct Entry {
    name: &'static [u8],
    local_name: &'static [u8],
    flags: [u16; 2],
    method: [u16; 2],
    crc32: [u32; 2],
    stored_len: [u32; 2],
    len: [u32; 2],
    header_at: Option<u32>,
    extra: [Vec<u8>; 2],
    data: Vec<u8>,
    descriptor: Vec<u8>,
}

/// Fields in pairs: local header, central directory.
fn entry(name: &'static [u8], data: &[u8]) -> Entry {
    let len = data.len() as u32;
    Entry {
        name,
        local_name: name,
        flags: [0; 2],
        method: [0; 2],
        crc32: [crc32fast::hash(data); 2],
        stored_len: [len; 2],
        len: [len; 2],
        header_at: None,
        extra: [Vec::new(), Vec::new()],
        data: data.to_vec(),
        descriptor: Vec::new(),
    }
}

/// A zip of these entries, ended by `end(entries, size, at)`.
fn build_with(entries: &[Entry], end: impl Fn(u64, u64, u64) -> Vec<u8>) -> Vec<u8> {
    let mut file = Vec::new();
    let mut central = Vec::new();
    for e in entries {
        let header_at = e.header_at.unwrap_or(file.len() as u32);
        for (side, out) in [&mut file, &mut central].into_iter().enumerate() {
            let name = [e.local_name, e.name][side];
            out.extend(if side == 0 {
                *b"PK\x03\x04"
            } else {
                *b"PK\x01\x02"
            });
            out.extend(&[0; 4][2 * (1 - side)..]);
            out.extend(e.flags[side].to_le_bytes());
            out.extend(e.method[side].to_le_bytes());
            out.extend([0; 4]);
            out.extend(e.crc32[side].to_le_bytes());
            out.extend(e.stored_len[side].to_le_bytes());
            out.extend(e.len[side].to_le_bytes());
            out.extend((name.len() as u16).to_le_bytes());
            out.extend((e.extra[side].len() as u16).to_le_bytes());
            if side == 1 {
                out.extend([0; 10]);
                out.extend(header_at.to_le_bytes());
            }
            out.extend(name);
            out.extend(&e.extra[side]);
        }
        file.extend(&e.data);
        file.extend(&e.descriptor);
    }
    let at = file.len() as u64;
    file.extend(&central);
    file.extend(end(entries.len() as u64, central.len() as u64, at));
    file
}

fn end(entries: u64, size: u64, at: u64) -> Vec<u8> {
    let mut out = b"PK\x05\x06\0\0\0\0".to_vec();
    out.extend((entries as u16).to_le_bytes());
    out.extend((entries as u16).to_le_bytes());
    out.extend((size as u32).to_le_bytes());
    out.extend((at as u32).to_le_bytes());
    out.extend([0; 2]);
    out
}

fn end64(entries: u64, size: u64, at: u64) -> Vec<u8> {
    let mut out = b"PK\x06\x06".to_vec();
    out.extend(44u64.to_le_bytes());
    out.extend([45, 0, 45, 0]);
    out.extend([0; 8]);
    for n in [entries, entries, size, at] {
        out.extend(n.to_le_bytes());
    }
    out.extend(b"PK\x06\x07\0\0\0\0");
    out.extend((at + size).to_le_bytes());
    out.extend(1u32.to_le_bytes());
    out.extend(end(u16::MAX.into(), u32::MAX.into(), u32::MAX.into()));
    out
}

fn build(entries: &[Entry]) -> Vec<u8> {
    build_with(entries, end)
}

fn edited(edit: impl Fn(&mut Entry)) -> Vec<u8> {
    let mut b = entry(b"r/b", b"bbbb");
    edit(&mut b);
    build(&[entry(b"r/a", b"aa"), b, entry(b"r/c", b"c")])
}

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
    let error = zip.read(record, 24_999).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (
            ErrorKind::Limit,
            "m/data.pkl: has 25000 bytes, the limit is 24999"
        )
    );

    let mut damaged = file.clone();
    damaged[record.data_at as usize + 20] ^= 0x10;
    let zip = open(&damaged).unwrap();
    let error = zip.read(&zip.records()[0], 25_000).unwrap_err().to_string();
    assert!(error.starts_with("m/data.pkl: its "), "{error}");
}

fn deflated(name: &str, data: &[u8]) -> Vec<u8> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    writer.start_file(name, options).unwrap();
    writer.write_all(data).unwrap();
    writer.finish().unwrap().into_inner()
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
        (ErrorKind::Limit, "the zip has 1 records, the limit is 0")
    );
}

/// Everything in a file that must not panic, whatever the bytes.
fn must_not_panic(bytes: &[u8]) {
    if let Ok(zip) = open(bytes) {
        for record in zip.records() {
            let _ = zip.read(record, 1 << 16);
            let _ = zip.check_crc(record, 1 << 16);
            assert!(zip.stored(record).len() as u64 == record.stored_len);
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>()) {
        must_not_panic(&bytes);
    }

    #[test]
    fn mutated_zips_never_panic(deflate in any::<bool>(), edits in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..5)) {
        let mut file = if deflate { deflated("m/data.pkl", &b"abc".repeat(50)) } else { TORCH.to_vec() };
        // the directory is where changes matter
        let from = if deflate { 0 } else { file.len() / 2 };
        for (at, byte) in edits {
            let at = from + at.index(file.len() - from);
            file[at] = byte;
        }
        must_not_panic(&file);
    }

    /// The `zip` crate is the oracle: what it writes is read, and both readers see the same.
    #[test]
    fn agrees_with_the_zip_crate(files in prop::collection::btree_map("[a-z]{1,8}", (any::<Vec<u8>>(), any::<bool>()), 0..6)) {
        let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, (data, deflate)) in &files {
            let method = if *deflate { CompressionMethod::Deflated } else { CompressionMethod::Stored };
            let options = SimpleFileOptions::default().compression_method(method);
            writer.start_file(name.as_str(), options).unwrap();
            writer.write_all(data).unwrap();
        }
        let file = writer.finish().unwrap().into_inner();
        let ours = open(&file).unwrap();
        let mut theirs = zip::ZipArchive::new(std::io::Cursor::new(file)).unwrap();
        prop_assert_eq!(ours.records().len(), theirs.len());
        prop_assert_eq!(ours.oddities(), []);
        for (i, record) in ours.records().iter().enumerate() {
            let entry = theirs.by_index(i).unwrap();
            prop_assert_eq!(entry.name().unwrap(), record.name.as_str());
            prop_assert_eq!(entry.header_start(), record.header_at);
            prop_assert_eq!(entry.data_start(), Some(record.data_at));
            prop_assert_eq!((entry.size(), entry.compressed_size()), (record.len, record.stored_len));
            prop_assert_eq!(entry.crc32(), record.crc32);
            prop_assert_eq!(&*ours.read(record, 1 << 20).unwrap(), &files[&record.name].0[..]);
        }
    }
}
