//! The fuzz targets without a fuzzer: over every input that once failed (`fuzz/crashes/TARGET/`), and over the fixtures,
//! of which the targets' own claims must be true.
#![allow(clippy::unwrap_used)]

#[path = "../fuzz/src/targets.rs"]
#[allow(unreachable_pub)]
mod targets;

use std::fs;
use std::path::{Path, PathBuf};

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn what_once_failed_does_not_fail_again() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/crashes");
    let mut replayed = 0;
    for (name, target) in targets::ALL {
        for path in files(&root.join(name)) {
            target(&fs::read(path).unwrap());
            replayed += 1;
        }
    }
    // every file there is one that a target replays
    assert_eq!(replayed, files(&root).len());
}

#[test]
fn the_targets_hold_on_the_fixtures() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in [
        "fixtures/checkpoints",
        "fixtures/malformed",
        "fixtures/malicious",
        "fuzz/seeds",
    ] {
        for path in files(&root.join(folder)) {
            let bytes = fs::read(&path).unwrap();
            if bytes.len() > 16_384 {
                continue;
            }
            for (_, target) in targets::ALL {
                target(&bytes);
            }
        }
    }
}
