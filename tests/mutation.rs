//! Every prefix of every small fixture and random damage to them, through `scan`, `check`, `recover` and the reader: a
//! report or an error, never a panic; and the program itself on a sample.
//!
//! `PTHINSPECT_CASES=100000 cargo test --release --test mutation` is the long run; it prints the slowest case and the most
//! memory.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pthinspect::bytes::Limits;
use pthinspect::check::check_bytes;
use pthinspect::checkpoint::{Checkpoint, Salvage};
use pthinspect::scan::{Options, scan_bytes};
use support::{fixture, pthinspect};

/// Larger fixtures are left to the damage that hits them by chance.
const SMALL: usize = 6000;

fn fixtures() -> Vec<(String, Vec<u8>)> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for folder in ["checkpoints", "malformed", "malicious"] {
        let entries = fs::read_dir(fixture(folder)).unwrap();
        paths.extend(entries.map(|entry| entry.unwrap().path()));
    }
    paths.retain(|path| {
        path.is_file() && path.extension().is_none_or(|e| e != "json" && e != "why")
    });
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, fs::read(&path).unwrap())
    };
    paths
        .into_iter()
        .map(read)
        .filter(|(_, bytes)| bytes.len() < 40_000)
        .collect()
}

/// Runs everything over the bytes; whatever comes out is right, as long as it comes out.
fn exercise(name: &str, bytes: &[u8], limits: &Limits) {
    let options = Options {
        limits: limits.clone(),
        ..Options::default()
    };
    if let Ok(report) = scan_bytes(name, bytes.to_vec(), &options) {
        assert_eq!(
            report.verdict,
            report
                .findings
                .iter()
                .map(|f| f.level)
                .max()
                .unwrap_or(pthinspect::scan::Level::Inert)
        );
    }
    if let Ok(report) = check_bytes(name, bytes.to_vec(), limits, true) {
        let covered: u64 = report
            .map
            .unwrap()
            .iter()
            .map(|span| span.to - span.from)
            .sum();
        assert_eq!(covered, bytes.len() as u64, "{name}");
    }
    if let Ok(salvage) = Salvage::from_bytes(name, bytes.to_vec(), limits) {
        for tensor in salvage.checkpoint.tensors() {
            let lost = salvage.lost(tensor);
            if tensor.nbytes() <= 1 << 20 && lost.is_none() && tensor.parts.is_empty() {
                let _ = salvage
                    .checkpoint
                    .view(tensor)
                    .map(|view| view.to_bytes().map(drop));
            }
        }
    }
    let _ = Checkpoint::from_bytes(name, bytes.to_vec(), limits);
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.pickle_memory = 256 << 20;
    limits.tensor_bytes = 64 << 20;
    limits
}

/// xorshift64*: the same damage on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n.max(1) as u64).unwrap()
    }
}

fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(6) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        match random.below(8) {
            0..=2 => bytes[at] ^= 1 << random.below(8),
            3 => bytes[at] = random.next() as u8,
            4 => drop(bytes.remove(at)),
            5 => bytes.insert(at, random.next() as u8),
            6 => bytes.truncate(at),
            // a length or an offset
            _ => {
                let wild = [0, 1, 0xff, 0x7fff_ffff, u64::MAX, random.next()][random.below(6)];
                let end = bytes.len().min(at + [2, 4, 8][random.below(3)]);
                let wild = wild.to_le_bytes();
                let len = end - at;
                bytes[at..end].copy_from_slice(&wild[..len]);
            }
        }
    }
}

fn cases() -> usize {
    let cases = std::env::var("PTHINSPECT_CASES").ok();
    cases.and_then(|cases| cases.parse().ok()).unwrap_or(2000)
}

#[test]
fn every_prefix_of_every_small_fixture_is_survived() {
    let limits = limits();
    for (name, bytes) in fixtures() {
        // of the larger ones, and where cases are few, not every byte
        let few = std::env::var_os("PTHINSPECT_CASES").is_none();
        let step = if bytes.len() > SMALL {
            bytes.len() / 200
        } else if few {
            bytes.len() / 60 + 1
        } else {
            1
        };
        for end in (0..bytes.len()).step_by(step.max(1)) {
            exercise(&name, &bytes[..end], &limits);
        }
    }
}

#[test]
fn random_damage_is_survived() {
    let limits = limits();
    let files = fixtures();
    let mut random = Random(0x5eed_0001);
    let mut slowest = (Duration::ZERO, String::new());
    for case in 0..cases() {
        let (name, bytes) = &files[random.below(files.len())];
        let mut bytes = bytes.clone();
        damage(&mut bytes, &mut random);
        let start = Instant::now();
        exercise(name, &bytes, &limits);
        let took = start.elapsed();
        if took > slowest.0 {
            slowest = (took, format!("case {case}, {name}"));
        }
    }
    println!("slowest: {:?}, {}", slowest.0, slowest.1);
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        let peak = status.lines().find(|line| line.starts_with("VmHWM"));
        println!("memory: {}", peak.unwrap_or_default());
    }
}

/// The program itself, with an address space of a gigabyte.
#[test]
fn the_program_survives_a_sample() {
    let folder = tempfile::tempdir().unwrap();
    let files = fixtures();
    let mut random = Random(0x5eed_0002);
    let out = folder.path().join("out.safetensors");
    for _ in 0..(cases() / 40).clamp(40, 400) {
        let (name, bytes) = &files[random.below(files.len())];
        let mut bytes = bytes.clone();
        damage(&mut bytes, &mut random);
        let path = folder.path().join(name);
        fs::write(&path, &bytes).unwrap();
        for command in ["scan", "check", "recover", "ls"] {
            run_limited(command, &path, &out, name);
        }
        fs::remove_file(&path).unwrap();
    }
}

fn run_limited(command: &str, path: &Path, out: &Path, name: &str) {
    let binary = pthinspect().get_program().to_owned();
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", "ulimit -v 1048576; exec \"$0\" \"$@\""])
        .arg(binary)
        .arg(command)
        .arg(path)
        .env("RUST_BACKTRACE", "0");
    if command == "recover" {
        shell.arg("--output").arg(out);
    }
    let output = shell.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        matches!(output.status.code(), Some(0..=2)) && !stderr.contains("panicked"),
        "{command} {name}: {:?}\n{stderr}",
        output.status
    );
}
