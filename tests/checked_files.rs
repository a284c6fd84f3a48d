//! `check` on checkpoints in several files, index against shards in both directions; and the map of every byte of every
//! fixture.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use pthinspect::bytes::Limits;
use pthinspect::check::{Owner, Report, check, check_bytes};
use serde_json::Value;
use support::{fixture, root, run};

/// A copy of a fixture's folder, changed.
fn changed(name: &str, change: impl FnOnce(&Path)) -> Report {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let from = entry.unwrap().path();
        fs::copy(&from, folder.path().join(from.file_name().unwrap())).unwrap();
    }
    change(folder.path());
    check(folder.path(), &Limits::default(), false).unwrap()
}

fn kinds(report: &Report) -> Vec<&str> {
    report.problems.iter().map(|p| p.kind).collect()
}

fn lost(report: &Report) -> Vec<&str> {
    report.lost.iter().map(|(name, _)| name.as_str()).collect()
}

/// Where the bytes of the first storage of a zip are: behind its local header.
fn first_storage(bytes: &[u8]) -> usize {
    let name = bytes.windows(7).position(|w| w == b"/data/0").unwrap();
    let header = bytes[..name]
        .windows(4)
        .rposition(|w| w == b"PK\x03\x04")
        .unwrap();
    let length = |at: usize| {
        usize::from(u16::from_le_bytes([
            bytes[header + at],
            bytes[header + at + 1],
        ]))
    };
    header + 30 + length(26) + length(28)
}

#[test]
fn whole_folders_are_whole_by_any_path() {
    for name in [
        "sharded_safetensors",
        "sharded_bin",
        "dcp_two_ranks",
        "dcp_one_rank",
        "dcp_safetensors",
        "dcp_consolidated",
    ] {
        let path = format!("fixtures/checkpoints/{name}");
        let relative = run(["check", &path, "--json"]).json();
        assert_eq!(relative["whole"], true, "{name}");
        let tensors = run(["ls", &path, "--json"]).json()["totals"]["tensors"].clone();
        assert_eq!(relative["tensors"], tensors, "{name}");
        let absolute = root().join(&path);
        let absolute = run(["check", absolute.to_str().unwrap(), "--json"]).json();
        assert_eq!(relative["size"], absolute["size"], "{name}");
        let files: Vec<PathBuf> = fs::read_dir(fixture(&format!("checkpoints/{name}")))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                !path.ends_with(".metadata") && path.extension().is_none_or(|e| e != "json")
            })
            .collect();
        let size: u64 = files
            .iter()
            .map(|file| file.metadata().unwrap().len())
            .sum();
        assert_eq!(relative["size"], size, "{name}");
    }
}

#[test]
fn index_and_shards_are_compared_in_both_directions() {
    let run = run(["check", "fixtures/checkpoints/sharded_disagrees", "--json"]);
    assert_eq!(run.code, Some(1));
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let messages: Vec<&str> = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| {
            assert_eq!(problem["kind"], "index");
            problem["message"].as_str().unwrap()
        })
        .collect();
    for (message, says) in messages.iter().zip([
        "in no shard: gone",
        "in another shard than the index says: z",
        "not named by the index: y.weight",
        "counts 12345 bytes",
    ]) {
        assert!(message.contains(says), "{messages:?}");
    }
    assert_eq!(messages.len(), 4);
}

#[test]
fn a_shard_that_is_gone_or_damaged_costs_its_tensors() {
    let second = "model-00002-of-00002.safetensors";
    let inside = ["head.weight", "layer.1.conv.weight", "steps"];
    let report = changed("checkpoints/sharded_safetensors", |folder| {
        fs::remove_file(folder.join(second)).unwrap();
    });
    assert_eq!(kinds(&report), ["missing-shard"]);
    assert_eq!((report.tensors, lost(&report)), (6, inside.to_vec()));
    let report = changed("checkpoints/sharded_safetensors", |folder| {
        let bytes = fs::read(folder.join(second)).unwrap();
        fs::write(folder.join(second), &bytes[..bytes.len() - 1]).unwrap();
    });
    assert!(
        kinds(&report).iter().all(|kind| *kind == "cut-off"),
        "{:?}",
        report.problems
    );
    assert_eq!(report.lost.len(), 1);
    assert_eq!(report.tensors, 6);
    let report = changed("checkpoints/sharded_bin", |folder| {
        let path = folder.join("pytorch_model-00001-of-00002.bin");
        let mut bytes = fs::read(&path).unwrap();
        let at = first_storage(&bytes);
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
    });
    assert_eq!(kinds(&report), ["crc"], "{:?}", report.problems);
    assert_eq!(lost(&report), ["a.weight", "a.tied", "a.part"]);
}

#[test]
fn pieces_of_distributed_checkpoints_are_checked_each() {
    let file = "__1_0.distcp";
    let whole = fs::read(fixture("checkpoints/dcp_two_ranks").join(file)).unwrap();
    let cut = changed("checkpoints/dcp_two_ranks", |folder| {
        fs::write(folder.join(file), &whole[..whole.len() - 10]).unwrap();
    });
    assert_eq!(kinds(&cut), ["cut-off"]);
    assert_eq!(cut.lost.len(), 1);
    let flipped = changed("checkpoints/dcp_two_ranks", |folder| {
        let mut bytes = whole.clone();
        let at = first_storage(&bytes);
        bytes[at] ^= 1;
        fs::write(folder.join(file), bytes).unwrap();
    });
    assert_eq!(kinds(&flipped), ["crc"], "{:?}", flipped.problems);
    assert_eq!(flipped.lost.len(), 1);
    let gone = changed("checkpoints/dcp_two_ranks", |folder| {
        fs::remove_file(folder.join(file)).unwrap();
    });
    assert_eq!(kinds(&gone), ["missing-shard"]);
    assert!(!gone.lost.is_empty());
    let longer = changed("checkpoints/dcp_two_ranks", |folder| {
        fs::write(folder.join(file), [&whole[..], b"more"].concat()).unwrap();
    });
    assert!(longer.is_whole());
    assert_eq!(longer.notes.last().unwrap().kind, "surplus");
}

#[test]
fn bytes_behind_a_legacy_stream_are_told() {
    let path = fixture("checkpoints/legacy_trailing.pth");
    let report = check(&path, &Limits::default(), true).unwrap();
    assert!(report.is_whole());
    assert_eq!(report.notes.len(), 1, "{:?}", report.notes);
    assert!(
        report.notes[0]
            .message
            .contains("374 bytes follow the last storage, from byte 584")
    );
    let last = report.map.unwrap().pop().unwrap();
    assert_eq!((last.owner, last.from, last.to), (Owner::Gap, 584, 958));
}

fn every_file(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => every_file(&path, found),
            false => found.push(path),
        }
    }
}

/// Each byte has one owner, whatever the file is and whatever was done to it.
fn mapped(name: &str, bytes: &[u8]) -> Option<Vec<(Owner, u64, u64)>> {
    let report = check_bytes(name, bytes.to_vec(), &Limits::default(), true).ok()?;
    let map = report.map.unwrap();
    let mut at = 0;
    for span in &map {
        assert!(span.from == at && span.to > at, "{name}: {span:?} at {at}");
        assert!(span.slack <= span.to - span.from, "{name}: {span:?}");
        at = span.to;
    }
    assert_eq!(at, bytes.len() as u64, "{name}");
    Some(
        map.iter()
            .map(|span| (span.owner, span.from, span.to))
            .collect(),
    )
}

#[test]
fn every_byte_of_every_fixture_has_one_owner() {
    let mut files = Vec::new();
    for folder in [
        "checkpoints",
        "malformed",
        "malicious",
        "questions",
        "goldens/knobs",
    ] {
        every_file(&fixture(folder), &mut files);
    }
    files.sort();
    let (mut whole, mut cuts) = (0, 0);
    for path in files
        .iter()
        .filter(|path| path.metadata().unwrap().len() < 1 << 18)
    {
        let name = path.file_name().unwrap().to_str().unwrap();
        let bytes = fs::read(path).unwrap();
        let Some(map) = mapped(name, &bytes) else {
            continue;
        };
        whole += 1;
        let in_checkpoints = path.starts_with(fixture("checkpoints"));
        if in_checkpoints && name != "legacy_trailing.pth" && !name.ends_with(".distcp") {
            let gaps: Vec<_> = map
                .iter()
                .filter(|(owner, ..)| *owner == Owner::Gap)
                .collect();
            assert!(gaps.is_empty(), "{name}: {gaps:?}");
        }
        // the same of what is left after a cut, and with a byte changed
        for part in 1..4 {
            let at = bytes.len() * part / 4;
            cuts += usize::from(mapped(name, &bytes[..at]).is_some());
            let mut other = bytes.clone();
            other[at] ^= 0x55;
            mapped(name, &other);
        }
    }
    assert!(whole > 250 && cuts > 300, "{whole} whole, {cuts} cut");
}
