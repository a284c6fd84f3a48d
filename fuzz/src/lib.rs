//! What the fuzz targets do ([`targets`]), and a mutation that leaves a zip a zip.
//!
//! A checkpoint is a zip, and a zip says everything twice: a byte that changes in it makes two places disagree, and
//! the reader refuses the file at its door. Fuzzing would test that door for ever. So half of the time the *inside* is
//! changed: the zip is taken apart, one record's content (or name, or presence) is changed, and a right zip is written
//! around it, with right sizes and CRCs. What is behind the door, pickles, graphs, code, headers, is reached so.

use std::io::{Cursor, Read, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

pub mod targets;

/// Records of a zip that is taken apart, and bytes of all of them.
const RECORDS: usize = 64;
const BYTES: u64 = 1 << 20;

/// Changes `data[..size]` in place and returns its new size: the whole (`plain` is the fuzzer's own mutation), or the
/// inside of the zip that it is.
pub fn mutate_zip(
    data: &mut [u8],
    size: usize,
    max_size: usize,
    seed: u32,
    plain: impl Fn(&mut [u8], usize, usize) -> usize,
) -> usize {
    let inside = seed % 2 == 0;
    if inside && let Some(made) = rewritten(&data[..size], seed / 2, &plain) {
        if made.len() <= max_size && made.len() <= data.len() {
            data[..made.len()].copy_from_slice(&made);
            return made.len();
        }
    }
    plain(data, size, max_size)
}

fn rewritten(
    file: &[u8],
    seed: u32,
    plain: &impl Fn(&mut [u8], usize, usize) -> usize,
) -> Option<Vec<u8>> {
    let mut records = records(file)?;
    let count = records.len();
    // small records hold the programs and headers; two of three times it is one of those
    let mut chosen = seed as usize % count;
    if seed / 64 % 3 != 0 {
        let small: Vec<usize> = (0..count).filter(|&i| is_program(&records[i].0)).collect();
        if let Some(&one) = small.get(seed as usize % small.len().max(1)) {
            chosen = one;
        }
    }
    let other = (seed / 7) as usize % count;
    match seed / 256 % 16 {
        0 => drop(records.remove(chosen)),
        1 => records[chosen].1 = records[other].1.clone(),
        2 => {
            records[chosen].0 = changed(records[chosen].0.as_bytes(), 64, plain)
                .escape_ascii()
                .to_string()
        }
        3 => records.swap(chosen, other),
        _ => {
            let room = records[chosen].1.len() + 512;
            records[chosen].1 = changed(&records[chosen].1, room, plain);
        }
    }
    let deflated = seed / 4096 % 8 == 0;
    written(&records, deflated)
}

/// Whether a record holds what is read, and not numbers.
fn is_program(name: &str) -> bool {
    let ends = [
        ".pkl",
        ".py",
        ".json",
        "byteorder",
        ".storage_alignment",
        ".npy",
        ".debug_pkl",
    ];
    ends.iter().any(|end| name.ends_with(end))
}

fn changed(
    bytes: &[u8],
    room: usize,
    plain: &impl Fn(&mut [u8], usize, usize) -> usize,
) -> Vec<u8> {
    let mut buffer = bytes.to_vec();
    buffer.resize(room.max(bytes.len() + 1), 0);
    let most = buffer.len();
    let len = plain(&mut buffer, bytes.len(), most);
    buffer.truncate(len);
    buffer
}

fn records(file: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut archive = ZipArchive::new(Cursor::new(file)).ok()?;
    if archive.is_empty() || archive.len() > RECORDS {
        return None;
    }
    let mut left = BYTES;
    let mut found = Vec::new();
    for number in 0..archive.len() {
        let entry = archive.by_index(number).ok()?;
        let name = entry.name().ok()?.into_owned();
        let mut content = Vec::new();
        entry.take(left).read_to_end(&mut content).ok()?;
        left -= content.len() as u64;
        found.push((name, content));
    }
    Some(found)
}

fn written(records: &[(String, Vec<u8>)], deflated: bool) -> Option<Vec<u8>> {
    let method = if deflated {
        CompressionMethod::Deflated
    } else {
        CompressionMethod::Stored
    };
    let options = SimpleFileOptions::default().compression_method(method);
    let mut out = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in records {
        out.start_file(name.as_str(), options).ok()?;
        out.write_all(content).ok()?;
    }
    Some(out.finish().ok()?.into_inner())
}
