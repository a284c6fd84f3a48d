//! `check` and `recover` on files that are whole, cut off at every byte, or damaged.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pthinspect::bytes::{ByteSource, Limits};
use pthinspect::check::check_bytes;
use pthinspect::checkpoint::{Checkpoint, Salvage};
use pthinspect::container::Zip;
use serde_json::Value;
use support::{fixture, run, snapshot};

fn checkpoints() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(fixture("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && path.extension().is_none_or(|e| e != "json"))
        .collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// What torch itself found in a fixture: the digest of each tensor, by name.
fn digests(path: &Path) -> Vec<(String, String)> {
    let expected = fs::read(format!("{}.expected.json", path.display())).unwrap();
    let expected: Vec<Value> = serde_json::from_slice(&expected).unwrap();
    expected
        .iter()
        .filter_map(|t| {
            Some((
                t["name"].as_str()?.to_owned(),
                t["sha256"].as_str()?.to_owned(),
            ))
        })
        .collect()
}

/// The formats that can be cut off and read all the same.
const CUT: [&str; 8] = [
    "state.pth",
    "training.pth",
    "views.pth",
    "dtypes.pth",
    "as_torch_1_6.pth",
    "without_crc32.pth",
    "legacy_state.pth",
    "dtypes.safetensors",
];

/// Of any prefix, exactly those tensors are there whose last byte is.
#[test]
fn whatever_lies_before_the_cut_is_there() {
    let limits = Limits::default();
    for file in CUT {
        let bytes = fs::read(fixture("checkpoints").join(file)).unwrap();
        let whole = Checkpoint::from_bytes(file, bytes.clone(), &limits).unwrap();
        let ends: Vec<Option<u64>> = whole
            .tensors()
            .iter()
            .map(|tensor| {
                let storage = &whole.storages()[tensor.storage?.0];
                let needed = tensor.dtype.bytes_of(tensor.layout.extent()).unwrap() as u64;
                Some(storage.file_offset.map_or(0, |at| at + needed))
            })
            .collect();
        let mut most = 0;
        // every fifth byte meets the middle of every kind of field; tests/recover.rs cuts the other formats
        for cut in (0..bytes.len()).step_by(5) {
            let Ok(salvage) = Salvage::from_bytes(file, bytes[..cut].to_vec(), &limits) else {
                assert!(most == 0, "{file}: {cut} bytes cannot be read, fewer could");
                continue;
            };
            let mut there = 0;
            for (tensor, end) in salvage.checkpoint.tensors().iter().zip(&ends) {
                let Some(end) = end else { continue };
                let empty = tensor.layout.numel() == 0;
                let lost = salvage.lost(tensor);
                if *end <= cut as u64 && !empty {
                    assert_eq!(lost, None, "{file} cut at {cut}: {}", tensor.name);
                    salvage.checkpoint.view(tensor).unwrap();
                    there += 1;
                } else if !empty {
                    assert!(lost.is_some(), "{file} cut at {cut}: {}", tensor.name);
                }
            }
            most = most.max(there);
        }
        assert!(most > 0, "{file}: nothing was ever there");
    }
}

/// The program, on files cut at 60 % (those that are mostly header: at 96 %): what it saves are torch's own numbers.
#[test]
fn recovered_tensors_are_torchs() {
    let folder = tempfile::tempdir().unwrap();
    for file in CUT {
        let path = fixture("checkpoints").join(file);
        let bytes = fs::read(&path).unwrap();
        let broken = folder.path().join(file);
        let percent = if file.starts_with("legacy") || file.ends_with("safetensors") {
            96
        } else {
            60
        };
        fs::write(&broken, &bytes[..bytes.len() * percent / 100]).unwrap();
        let out = folder.path().join("saved.safetensors");
        let (broken, out_arg) = (broken.to_str().unwrap(), out.to_str().unwrap());
        let run = run(["recover", broken, "--output", out_arg, "--json"]);
        assert_eq!(run.code, Some(1), "{file}: {run:?}");
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        let saved: BTreeSet<&str> = report["saved"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t["name"].as_str().unwrap())
            .collect();
        assert!(
            !saved.is_empty() && !report["lost"].as_array().unwrap().is_empty(),
            "{file}"
        );
        let listed = support::run(["ls", out_arg, "--json", "--sha256"]).json();
        let expected = digests(&path);
        assert_eq!(listed["tensors"].as_array().unwrap().len(), saved.len());
        for tensor in listed["tensors"].as_array().unwrap() {
            let name = tensor["name"].as_str().unwrap();
            let torchs = expected.iter().find(|(known, _)| known == name).unwrap();
            assert_eq!(tensor["sha256"], torchs.1.as_str(), "{file}: {name}");
        }
        fs::remove_file(&out).unwrap();
    }
}

#[test]
fn one_flipped_bit_costs_one_storage() {
    let limits = Limits::default();
    let bytes = fs::read(fixture("checkpoints/state.pth")).unwrap();
    let whole = Checkpoint::from_bytes("state.pth", bytes.clone(), &limits).unwrap();
    for tensor in whole.tensors() {
        let at = usize::try_from(whole.file_offset(tensor).unwrap()).unwrap();
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        let salvage = Salvage::from_bytes("state.pth", damaged.clone(), &limits).unwrap();
        let lost: Vec<&str> = salvage
            .checkpoint
            .tensors()
            .iter()
            .filter(|t| salvage.lost(t).is_some())
            .map(|t| t.name.as_str())
            .collect();
        assert_eq!(lost, [tensor.name.as_str()]);
        let report = check_bytes("state.pth", damaged, &limits, false).unwrap();
        let kinds: Vec<&str> = report.problems.iter().map(|p| p.kind).collect();
        assert_eq!(kinds, ["crc"]);
        assert_eq!(report.lost.len(), 1);
    }
}

#[test]
fn a_zip_without_its_directory_loses_nothing() {
    let limits = Limits::default();
    for file in [
        "state.pth",
        "training.pth",
        "as_torch_1_6.pth",
        "deflated.pth",
        "aligned_256.pth",
    ] {
        let mut bytes = fs::read(fixture("checkpoints").join(file)).unwrap();
        let directory = memchr::memmem::find(&bytes, b"PK\x01\x02").unwrap();
        bytes.truncate(directory);
        let salvage = Salvage::from_bytes(file, bytes, &limits).unwrap();
        for tensor in salvage.checkpoint.tensors() {
            assert_eq!(salvage.lost(tensor), None, "{file}: {}", tensor.name);
        }
    }
}

#[test]
fn the_output_appears_only_where_there_is_something_to_save() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(fixture("checkpoints/state.pth")).unwrap();
    let broken = folder.path().join("broken.pth");
    let out = folder.path().join("out.safetensors");
    let arguments = [
        "recover",
        broken.to_str().unwrap(),
        "-o",
        out.to_str().unwrap(),
    ];
    // the pickle is there, no storage is
    fs::write(&broken, &bytes[..900]).unwrap();
    let run_ = run(arguments);
    assert_eq!(run_.code, Some(1));
    assert!(
        run_.stdout.contains("saved 0 of 4 tensors") && !out.exists(),
        "{}",
        run_.stdout
    );
    // not even the pickle
    fs::write(&broken, &bytes[..200]).unwrap();
    run(arguments).refusal();
    assert!(!out.exists());
    // a whole file: everything, exit 0
    fs::write(&broken, &bytes).unwrap();
    let text = run(arguments).ok();
    assert!(text.starts_with("saved 4 of 4 tensors"), "{text}");
    let same = [
        "recover",
        broken.to_str().unwrap(),
        "-o",
        broken.to_str().unwrap(),
    ];
    run(same).refusal();
    assert_eq!(fs::read(&broken).unwrap(), bytes);
}

/// Files that are whole are called so; the map covers each byte of them once.
#[test]
fn whole_files_are_whole_and_every_byte_has_an_owner() {
    let limits = Limits::default();
    let mut whole = 0;
    for path in checkpoints() {
        let bytes = fs::read(&path).unwrap();
        let size = bytes.len() as u64;
        let report = check_bytes(&name(&path), bytes, &limits, true).unwrap();
        assert!(
            report.is_whole(),
            "{}: {:?}",
            path.display(),
            report.problems
        );
        assert!(
            report.lost.is_empty(),
            "{}: {:?}",
            path.display(),
            report.lost
        );
        let mut at = 0;
        for span in report.map.unwrap() {
            assert_eq!(span.from, at, "{}", path.display());
            assert!(span.to > span.from);
            at = span.to;
        }
        assert_eq!(at, size, "{}", path.display());
        whole += 1;
    }
    assert!(whole > 40, "{whole}");
}

#[test]
fn damage_is_called_by_its_name() {
    let kinds = [
        ("odd_bad_crc.pth", "crc"),
        ("missing_storage.pth", "missing-storage"),
        ("short_storage.pth", "numel"),
        ("long_storage.pth", "numel"),
        ("numel_lies.pth", "numel"),
        ("truncated_zip.pth", "cut-off"),
        ("truncated_by_one.pth", "cut-off"),
        ("odd_duplicate_storage.pth", "duplicate"),
        ("odd_local_name_differs.pth", "header-mismatch"),
        ("odd_overlapping_records.pth", "overlap"),
        ("offset_beyond_file.pth", "offset"),
        ("size_beyond_file.pth", "cut-off"),
        ("encrypted.pth", "unreadable"),
        ("truncated_data.safetensors", "cut-off"),
        ("trailing_data.safetensors", "cut-off"),
        ("hole_in_data.safetensors", "cut-off"),
        ("missing_stop.pth", "contents"),
        ("odd_inflates_to_more.pth", "crc"),
    ];
    for (file, kind) in kinds {
        let path = format!("fixtures/malformed/{file}");
        let run = run(["check", &path, "--json"]);
        assert_eq!(run.code, Some(1), "{file}: {run:?}");
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        let found: Vec<&str> = report["problems"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["kind"].as_str().unwrap())
            .collect();
        assert!(found.contains(&kind), "{file}: {found:?}");
    }
    for file in [
        "html_page.pth",
        "git_lfs_pointer.pth",
        "gzip.pth",
        "hdf5.pth",
    ] {
        run(["check", &format!("fixtures/malformed/{file}")]).refusal();
    }
}

#[test]
fn reports_for_people() {
    snapshot("check_whole", "check fixtures/checkpoints/state.pth --map");
    snapshot("check_views", "check fixtures/checkpoints/views.pth");
    snapshot(
        "check_cut_off",
        "check fixtures/malformed/truncated_zip.pth",
    );
    snapshot(
        "check_missing",
        "check fixtures/malformed/missing_storage.pth",
    );
    snapshot(
        "check_crc_json",
        "check fixtures/malformed/odd_bad_crc.pth --json",
    );
}

/// A zip of such records, stored.
fn zip_of(records: &[(&str, &[u8])]) -> Vec<u8> {
    use std::io::Write as _;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in records {
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Archives and folders of something else: one line that says what, one that says what to do.
#[test]
fn what_is_no_checkpoint_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let files: &[(&str, Vec<u8>, &str, &str)] = &[
        (
            "a.npz",
            zip_of(&[("a.npy", b"x")]),
            "is a numpy .npz archive",
            "FILE.npz:KEY",
        ),
        (
            "k.keras",
            zip_of(&[("config.json", b"{}"), ("model.weights.h5", b"x")]),
            "is a Keras model",
            "Keras",
        ),
        (
            "a.mar",
            zip_of(&[("MAR-INF/MANIFEST.json", b"{}"), ("model.pth", b"x")]),
            "it holds \"model.pth\"",
            "unpack",
        ),
        (
            "a.jar",
            zip_of(&[("META-INF/MANIFEST.MF", b"x")]),
            "is a zip archive of a program",
            "wrong file",
        ),
        (
            "code.zip",
            zip_of(&[("repo/README.md", b"x")]),
            "is a zip archive without data.pkl",
            "check the path",
        ),
        ("empty.pth", zip_of(&[]), "is an empty zip archive", "again"),
        (
            "saved_model.pb",
            b"\x08\x01\x12\x02\n\0".to_vec(),
            "is a TensorFlow SavedModel",
            "another framework",
        ),
        (
            "flax",
            b"\x81\xa6params\x80".to_vec(),
            "is msgpack data",
            "another framework",
        ),
    ];
    for (name, bytes, message, hint) in files {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        for command in ["check", "ls"] {
            let refusal = run([command, path.to_str().unwrap()]).refusal();
            let lines: Vec<&str> = refusal.lines().collect();
            assert!(lines[0].contains(message), "{command} {name}: {refusal}");
            assert!(lines[1].contains(hint), "{command} {name}: {refusal}");
        }
    }
    let folders: &[(&str, &[&str], &str)] = &[
        ("nothing", &[], "it holds no file at all"),
        ("readme", &["readme.txt"], "it holds readme.txt"),
        ("tf", &["saved_model.pb"], "is a TensorFlow SavedModel"),
        (
            "flax",
            &["config.json", "flax_model.msgpack"],
            "for another framework only: flax_model.msgpack",
        ),
    ];
    let root = folder.path().join("folders");
    for (name, inside, message) in folders {
        let path = root.join(name);
        fs::create_dir_all(&path).unwrap();
        for file in *inside {
            fs::write(path.join(file), b"x").unwrap();
        }
        let refusal = run(["check", path.to_str().unwrap()]).refusal();
        assert!(
            refusal.contains(message) && refusal.contains("hint:"),
            "{refusal}"
        );
    }
}

/// A checkpoint whose storages do not lie as it says itself, or that holds one too many: odd, and whole.
#[test]
fn what_costs_nothing_is_a_note() {
    let bytes = fs::read(fixture("checkpoints/state.pth")).unwrap();
    let zip = Zip::open(&ByteSource::from(bytes), &Limits::default()).unwrap();
    let mut records: Vec<(String, Vec<u8>)> = zip
        .records()
        .iter()
        .map(|record| (record.name.clone(), zip.stored(record).to_vec()))
        .collect();
    records.push(("state/data/99".into(), vec![1; 12]));
    let records: Vec<(&str, &[u8])> = records.iter().map(|(n, b)| (n.as_str(), &b[..])).collect();
    let report = check_bytes("again.pth", zip_of(&records), &Limits::default(), false).unwrap();
    assert!(report.is_whole(), "{:?}", report.problems);
    let kinds: Vec<&str> = report.notes.iter().map(|note| note.kind).collect();
    assert!(
        kinds.contains(&"alignment") && kinds.contains(&"surplus-storage"),
        "{:?}",
        report.notes
    );
}

/// A folder of shards of which one is missing: which tensors that costs.
#[test]
fn a_missing_shard_costs_its_tensors() {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture("checkpoints/sharded_safetensors")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    fs::remove_file(folder.path().join("model-00002-of-00002.safetensors")).unwrap();
    let report = pthinspect::check::check(folder.path(), &Limits::default(), false).unwrap();
    assert!(!report.is_whole());
    assert_eq!(report.tensors, 6);
    let expected = "model-00002-of-00002.safetensors is not there";
    assert!(
        !report.lost.is_empty() && report.lost.iter().all(|(_, why)| why.ends_with(expected)),
        "{:?}",
        report.lost
    );
    // of a cut file, how much is missing
    let half = fs::read(fixture("checkpoints/training.pth")).unwrap();
    let report = check_bytes("half.pth", half[..5000].to_vec(), &Limits::default(), false).unwrap();
    assert!(report.missing > 0 && report.missing <= half.len() as u64 - 5000);
}
