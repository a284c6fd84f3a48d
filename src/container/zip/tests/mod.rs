//! Zips as torch, Python and the `zip` crate write them; and zips that say two things.

mod property;
mod reading;
mod refusals;

use std::io::Write;

use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::Zip;
use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::error::Error;

/// `torch.save(torch.tensor([1., 2.]), ...)` by torch 2.15.0.
const TORCH: &[u8] = b"PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\x12\0archive/data.pklFB\x0e\0ZZZZZZZZZZ\
    ZZZZ\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\0((X\x07\0\0\0storageq\x01ctorch\nFloatStorage\nq\x02X\x01\
    \0\0\x000q\x03X\x03\0\0\0cpuq\x04K\x02tq\x05QK\0K\x02\x85q\x06K\x01\x85q\x07\x89ccollections\nOrderedDict\n\
    q\x08)Rq\x09tq\nRq\x0b.PK\x07\x08\0\x14@\xb4\x96\0\0\0\x96\0\0\0PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0\0\0\0\
    \0\0\0\0\0\0\0\0\0\x17\0%\0archive/.format_versionFB!\0ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ1PK\x07\x08\xb7\xef\
    \xdc\x83\x01\0\0\0\x01\0\0\0PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x1a\x007\0archive/.\
    storage_alignmentFB3\0ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ64PK\x07\x08?wq\xe9\x02\0\0\0\x02\
    \0\0\0PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x11\0?\0archive/byteorderFB;\0ZZZZZZZZZ\
    ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZlittlePK\x07\x08\x85=\xe3\x19\x06\0\0\0\x06\0\0\0PK\x03\
    \x04\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0e\0>\0archive/data/0FB:\0ZZZZZZZZZZZZZZZZZZZZZZZZ\
    ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ\0\0\x80?\0\0\0@PK\x07\x08v\xa5?.\x08\0\0\0\x08\0\0\0PK\x03\x04\0\0\x08\
    \x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0f\0;\0archive/versionFB7\0ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ\
    ZZZZZZZZZZZZZZZZZZZZ3\nPK\x07\x08\xd1\x9egU\x02\0\0\0\x02\0\0\0PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\
    \0\0\0\0\0\0\0\0\x1e\x002\0archive/.data/serialization_idFB.\0ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ\
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

fn deflated(name: &str, data: &[u8]) -> Vec<u8> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    writer.start_file(name, options).unwrap();
    writer.write_all(data).unwrap();
    writer.finish().unwrap().into_inner()
}
