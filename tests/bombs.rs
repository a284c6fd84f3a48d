//! Small files that mean to cost memory, time or stack, through every command that reads: each is refused or answered,
//! in less memory than 100 MB.
//!
//! `PTHINSPECT_BOMBS=FOLDER cargo test --test bombs` writes them to a folder and runs nothing: `scripts/measure_bombs.py`
//! measures time and memory.
#![cfg(target_os = "linux")] // it asks the system for the memory of a child
#![allow(clippy::unwrap_used)]

#[path = "support/bombs.rs"]
mod bombs;
#[path = "support/measured.rs"]
mod measured;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bombs::BOMBS;
use measured::{Measured, measure};
use support::{fixture, pthinspect};

/// Bytes of memory at most.
const MEMORY: u64 = 100 << 20;
/// Nothing takes as long, on the slowest machine and without optimisation: the program hangs.
const HANGS: Duration = Duration::from_secs(20);

/// Every command that reads a checkpoint.
fn commands(file: &Path, out: &Path) -> Vec<Vec<String>> {
    let file = file.to_str().unwrap();
    let outs = |end: &str| out.join(format!("out.{end}")).to_str().unwrap().to_owned();
    let input = fixture("questions/cifar_q1_input.npy");
    let input = input.to_str().unwrap();
    let (raw, npy, saved) = (outs("d"), outs("npy"), outs("safetensors"));
    let list: [&[&str]; 13] = [
        &["ls", file],
        &["ls", file, "--sha256", "--json"],
        &["tree", file],
        &["tree", file, "--all", "--json"],
        &["layer", "w", file],
        &["layer", "w", file, "--filter", "0"],
        &["export", "w", file, "--output", &raw],
        &["run", "w", file, "--input", input, "--output", &npy],
        &["scan", file],
        &["check", file],
        &["check", file, "--map", "--json"],
        &["recover", file, "--output", &saved],
        &["verify", file],
    ];
    list.iter()
        .map(|words| words.iter().map(|&word| word.to_owned()).collect())
        .collect()
}

fn bombs(folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for bomb in BOMBS {
        // in a folder of its own: of a damaged index, every file beside it is looked into
        let own = folder.join(format!("{}.d", bomb.name));
        fs::create_dir_all(&own).unwrap();
        let path = own.join(bomb.name);
        if !path.exists() {
            (bomb.make)(&path);
        }
        paths.push(path);
    }
    let fixtures = fs::read_dir(fixture("malformed"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    paths.extend(fixtures.filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.contains("bomb_") && !name.ends_with(".why")
    }));
    paths.sort();
    paths
}

#[test]
fn every_command_survives_every_bomb() {
    if let Some(folder) = std::env::var_os("PTHINSPECT_BOMBS") {
        fs::create_dir_all(&folder).unwrap();
        bombs(Path::new(&folder));
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for path in bombs(temporary.path()) {
        for words in commands(&path, temporary.path()) {
            let mut command = pthinspect();
            // every thread has its own share of memory, and machines differ in how many there are
            command.args(&words).env("RAYON_NUM_THREADS", "2");
            let Measured { code, peak, stderr } = measure(&mut command, HANGS);
            let name = path.file_name().unwrap().to_string_lossy();
            let shown = format!(
                "{name}: {}",
                words
                    .iter()
                    .filter(|w| w.len() < 20)
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(" ")
            );
            if !matches!(code, Some(0..=2)) || stderr.contains("panicked") {
                wrong.push(format!("{shown}: {code:?} {stderr}"));
            }
            if code == Some(2) && !stderr.starts_with("error: ") && !stderr.contains("\nerror: ") {
                wrong.push(format!("{shown}: no error line: {stderr}"));
            }
            if peak > MEMORY {
                wrong.push(format!("{shown}: {} MB", peak >> 20));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
