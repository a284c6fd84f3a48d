//! What is left of files that were cut off: every fixture, of every format, at many places.
//!
//! Two promises: a tensor that is said to be there has torch's own elements, and a tensor that lies before the cut is
//! there, if what names it lies before the cut too. `PTHINSPECT_CUTS=1` cuts at every byte, which takes minutes.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use pthinspect::bytes::{ByteSource, Limits};
use pthinspect::checkpoint::{Checkpoint, Format, Salvage, TensorEntry};
use pthinspect::container::{FileKind, Zip};
use serde_json::Value;
use sha2::{Digest, Sha256};
use support::{fixture, run};

/// Cuts per file.
const CUTS: usize = 40;

fn step(len: usize) -> usize {
    let all = std::env::var_os("PTHINSPECT_CUTS").is_some_and(|value| value == "1");
    // an odd step meets the middle of every kind of field
    if all { 1 } else { (len / CUTS).max(1) | 1 }
}

fn fixtures() -> Vec<PathBuf> {
    let entries = fs::read_dir(fixture("checkpoints")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| !path.to_string_lossy().ends_with(".expected.json"))
        .collect();
    paths.sort();
    paths
}

fn sha256(checkpoint: &Checkpoint, tensor: &TensorEntry) -> Option<String> {
    let mut bytes = Vec::new();
    let view = checkpoint.view(tensor).ok()?;
    view.write_logical(&mut bytes).unwrap();
    let mut text = String::new();
    for byte in Sha256::digest(&bytes) {
        write!(text, "{byte:02x}").unwrap();
    }
    Some(text)
}

/// torch's digest of each tensor, by name; of nested ones and the like there is none.
fn expected(path: &Path) -> HashMap<String, Option<String>> {
    let text = fs::read(format!("{}.expected.json", path.display())).unwrap();
    let tensors: Vec<Value> = serde_json::from_slice(&text).unwrap();
    let digest = |tensor: &Value| {
        let digest = [&tensor["sha256"], &tensor["packed_sha256"]];
        digest.iter().find_map(|d| d.as_str()).map(str::to_owned)
    };
    let named = |t: &Value| (t["name"].as_str().unwrap().to_owned(), digest(t));
    tensors.iter().map(named).collect()
}

/// That what is said to be there is torch's; the names of all that is.
fn those_there(
    salvage: &Salvage,
    expected: &HashMap<String, Option<String>>,
    about: &str,
) -> Vec<String> {
    let mut there = Vec::new();
    for tensor in salvage.checkpoint.tensors() {
        if salvage.lost(tensor).is_some() {
            continue;
        }
        let digest = sha256(&salvage.checkpoint, tensor);
        match (expected.get(&tensor.name), &digest) {
            (Some(Some(wanted)), Some(digest)) => {
                assert_eq!(wanted, digest, "{about}: {}", tensor.name);
            }
            (Some(_), _) => {}
            // without its code a program's plain attributes cannot be told from its parameters
            (None, _) if salvage.checkpoint.format() == Format::TorchScript => {}
            (None, _) if salvage.checkpoint.format() == Format::TorchZip => {
                let script = tensor.name == "unregistered" || about.contains(".pt");
                assert!(script, "{about}: {} is no tensor of it", tensor.name);
            }
            (None, Some(digest)) => {
                let said = salvage
                    .notes
                    .iter()
                    .any(|note| note.contains("cannot be told"));
                let mut known = expected.values().flatten();
                assert!(
                    said && known.any(|known| known == digest),
                    "{about}: {} is no tensor of it: {:?}",
                    tensor.name,
                    salvage.notes
                );
            }
            (None, None) => panic!("{about}: {} is no tensor of it", tensor.name),
        }
        there.push(tensor.name.clone());
    }
    there
}

/// Where the bytes end that say what the tensors are called, as far as all of them need the same.
fn names_end(bytes: &[u8], path: &Path) -> usize {
    let source = ByteSource::from(bytes.to_vec());
    match FileKind::detect(bytes, path) {
        FileKind::Zip => {
            let zip = Zip::open(&source, &Limits::default()).unwrap();
            let names = zip.records().iter().filter(|record| {
                let inner = record.name.split_once('/').map_or("", |(_, inner)| inner);
                inner == "data.pkl" || inner.ends_with("_weights_config.json")
            });
            names.map(|record| record.end() as usize).max().unwrap_or(0)
        }
        FileKind::Tar => bytes.len(), // the layouts come last
        _ => 0,
    }
}

fn end_of(whole: &Checkpoint, tensor: &TensorEntry) -> usize {
    let storage = tensor.storage.map(|id| &whole.storages()[id.0]);
    let start = storage.and_then(|storage| storage.file_offset);
    let needed = tensor.dtype.bytes_of(tensor.layout.extent()).unwrap();
    start.map_or(0, |start| start as usize + needed)
}

/// Where each tensor ends, as far as its bytes are in the file as they are.
fn ends(whole: &Checkpoint, bytes: &[u8], path: &Path) -> Vec<(String, usize)> {
    let names = names_end(bytes, path);
    let starts: Vec<u64> = whole
        .storages()
        .iter()
        .filter_map(|s| s.file_offset)
        .collect();
    let mut ends = Vec::new();
    for tensor in whole.tensors() {
        let Some(at) = whole.file_offset(tensor) else {
            continue;
        };
        // scales and zero points too
        let of_parts = tensor.parts.iter().map(|part| end_of(whole, part));
        let mut end = of_parts.fold(end_of(whole, tensor), usize::max);
        if whole.format() == Format::Pickle {
            // the call that makes it a tensor follows; it is done where the next storage begins
            let next = starts.iter().filter(|&&next| next > at).min();
            end = next.map_or(bytes.len(), |&next| next as usize);
        }
        ends.push((tensor.name.clone(), end.max(names)));
    }
    ends
}

#[test]
fn of_every_file_cut_anywhere_what_lies_before_the_cut_is_there() {
    let limits = Limits::default();
    let (mut files, mut cuts, mut saved) = (0, 0, 0);
    for path in fixtures().into_iter().filter(|path| path.is_file()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(&path).unwrap();
        let expected = expected(&path);
        let whole = Checkpoint::open(&path, &limits).unwrap();
        let ends = ends(&whole, &bytes, &path);
        let of_file = step(bytes.len());
        for cut in (1..=bytes.len()).rev().step_by(of_file) {
            cuts += 1;
            let about = format!("{name} cut at {cut}");
            let outcome = Salvage::from_bytes(&name, bytes[..cut].to_vec(), &limits);
            let there = match &outcome {
                Ok(salvage) => those_there(salvage, &expected, &about),
                Err(_) => Vec::new(),
            };
            saved += there.len();
            for (tensor, end) in &ends {
                assert!(
                    *end > cut || there.contains(tensor),
                    "{about}: {tensor}, which ends at {end}, is not there: {:?}",
                    outcome.as_ref().map(|s| (&s.notes, &s.losses))
                );
            }
        }
        files += 1;
    }
    println!("{files} files, {cuts} cuts, {saved} tensors saved");
    assert!(files > 80 && saved > 5000, "{files} files, {saved} saved");
}

/// Each file of a folder cut in turn: the others' tensors stay, and those before the cut.
#[test]
fn of_every_folder_with_a_cut_file_the_rest_is_there() {
    let limits = Limits::default();
    let mut saved = 0;
    for path in fixtures().into_iter().filter(|path| path.is_dir()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let expected = expected(&path);
        let whole = Checkpoint::open(&path, &limits).unwrap();
        let copy = tempfile::tempdir().unwrap();
        let files: Vec<PathBuf> = fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        for file in &files {
            fs::copy(file, copy.path().join(file.file_name().unwrap())).unwrap();
        }
        for file in &files {
            let cut_file = file.file_name().unwrap();
            let bytes = fs::read(file).unwrap();
            let target = copy.path().join(cut_file);
            for cut in (0..bytes.len()).rev().step_by(step(bytes.len() * 2)) {
                fs::write(&target, &bytes[..cut]).unwrap();
                let about = format!("{name} with {} cut at {cut}", cut_file.display());
                let Ok(salvage) = Salvage::open(copy.path(), &limits) else {
                    // of the index of a distributed checkpoint nothing can be missing
                    assert!(cut_file == ".metadata", "{about}");
                    continue;
                };
                let there = those_there(&salvage, &expected, &about);
                saved += there.len();
                let known = salvage.checkpoint.tensors().len() + salvage.losses.len();
                let by_index = !name.starts_with("dcp_safetensors")
                    && !cut_file.to_string_lossy().ends_with(".json")
                    && name != "sharded_disagrees";
                assert!(
                    !by_index || known == whole.tensors().len(),
                    "{about}: {known}"
                );
                for tensor in whole.tensors() {
                    let elsewhere = whole.file_of(tensor).is_some_and(|of| of != file);
                    let index = cut_file.to_string_lossy().ends_with(".json");
                    if name != "dcp_safetensors" && elsewhere && !index {
                        assert!(there.contains(&tensor.name), "{about}: {}", tensor.name);
                    }
                }
            }
            fs::remove_file(&target).unwrap();
            // of those nothing says how many files there should be
            let nobody_knows = name == "dcp_safetensors";
            if let (Ok(salvage), false) = (Salvage::open(copy.path(), &limits), nobody_knows) {
                those_there(
                    &salvage,
                    &expected,
                    &format!("{name} without {}", cut_file.display()),
                );
            }
            fs::write(&target, &bytes).unwrap();
        }
    }
    assert!(saved > 1000, "{saved}");
}

#[test]
fn the_raw_records_of_a_program_without_names_are_saved_as_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(fixture("checkpoints/torchscript_scripted.pt")).unwrap();
    let pickle = memchr::memmem::find(&bytes, b"data.pkl").unwrap();
    let broken = folder.path().join("broken.pt");
    fs::write(&broken, &bytes[..pickle]).unwrap();
    let out = folder.path().join("out.safetensors");
    let (broken, out_arg) = (broken.to_str().unwrap(), out.to_str().unwrap());
    let refusal = run(["recover", broken, "-o", out_arg]).refusal();
    assert!(
        refusal.contains("20 records lie whole in it") && refusal.contains("--raw"),
        "{refusal}"
    );
    let saved = run(["recover", broken, "-o", out_arg, "--raw"]);
    assert_eq!(saved.code, Some(1), "{saved:?}");
    assert!(
        saved.stdout.contains("saved 20 of 20 tensors"),
        "{}",
        saved.stdout
    );
    let listed = run(["ls", out_arg, "--json"]).json();
    let tensors = listed["tensors"].as_array().unwrap();
    assert_eq!(tensors.len(), 20);
    assert!(tensors.iter().all(|t| t["dtype"] == "uint8"), "{tensors:?}");
}
