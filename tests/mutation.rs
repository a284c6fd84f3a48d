//! Every prefix of every small fixture and random damage to them, through `scan`, `check`, `recover` and the reader: a
//! report or an error, never a panic; and the program itself on a sample.
//!
//! The long run, every prefix and 100,000 damages, in an address space of a gigabyte, where an abort, a panic or a lack of
//! memory ends it; it prints the slowest case and the most memory:
//!
//! `(ulimit -v 1048576; PTHINSPECT_CASES=100000 cargo test --release --test mutation -- --nocapture)`
#![allow(clippy::unwrap_used)]

#[path = "../fuzz/src/targets.rs"]
#[allow(unreachable_pub)]
mod targets;

mod support;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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

/// Runs everything over the bytes, as the fuzz targets do, reports as text and JSON included: whatever comes out is right,
/// as long as it comes out.
fn exercise(bytes: &[u8]) {
    for (name, target) in targets::ALL {
        if ["open_and_explain", "scan", "check", "recover", "shapes"].contains(name) {
            target(bytes);
        }
    }
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

    /// A run of bytes, short more often than long.
    fn run(&mut self, len: usize) -> Range<usize> {
        let from = self.below(len);
        let most = [4, 64, len][self.below(3)];
        from..len.min(from + 1 + self.below(most))
    }
}

/// Bits, bytes, ranges, lengths, and the fields of a zip's directory; `other` is what is spliced in.
fn damage(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.below(6) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        match random.below(12) {
            0..=2 => bytes[at] ^= 1 << random.below(8),
            3 => bytes[at] = random.next() as u8,
            4 => drop(bytes.remove(at)),
            5 => bytes.insert(at, random.next() as u8),
            6 => bytes.truncate(at),
            7 => drop(bytes.drain(random.run(bytes.len()))),
            // a piece of it again, somewhere else
            8 => {
                let piece = bytes[random.run(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            // a piece of another file over it
            9 if !other.is_empty() => {
                let piece = &other[random.run(other.len())];
                let end = bytes.len().min(at + piece.len());
                bytes[at..end].copy_from_slice(&piece[..end - at]);
            }
            10 => swap_fields(bytes, random),
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

/// Two entries of the directory change one of their fields: method, CRC, sizes, place.
fn swap_fields(bytes: &mut [u8], random: &mut Random) {
    let entries: Vec<usize> = memchr::memmem::find_iter(bytes, b"PK\x01\x02").collect();
    if entries.len() < 2 {
        return;
    }
    let (a, b) = (
        entries[random.below(entries.len())],
        entries[random.below(entries.len())],
    );
    let (field, len) =
        [(8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (42, 4)][random.below(7)];
    for i in field..field + len {
        if a.max(b) + i < bytes.len() {
            bytes.swap(a + i, b + i);
        }
    }
}

fn cases() -> usize {
    let cases = std::env::var("PTHINSPECT_CASES").ok();
    cases.and_then(|cases| cases.parse().ok()).unwrap_or(2000)
}

#[test]
fn every_prefix_of_every_small_fixture_is_survived() {
    let few = std::env::var_os("PTHINSPECT_CASES").is_none();
    let mut run = Slowest::default();
    for (name, bytes) in fixtures() {
        // of the larger ones, and where cases are few, not every byte
        let step = match bytes.len() {
            len if len > SMALL => len / 200,
            len if few => len / 60 + 1,
            _ => 1,
        };
        for end in (0..bytes.len()).step_by(step) {
            run.case(
                || format!("{name}, {end} bytes of it"),
                || exercise(&bytes[..end]),
            );
        }
    }
    run.tell("prefixes");
}

#[test]
fn random_damage_is_survived() {
    let files = fixtures();
    let mut random = Random(0x5eed_0001);
    let mut run = Slowest::default();
    for case in 0..cases() {
        let (name, bytes) = &files[random.below(files.len())];
        let other = &files[random.below(files.len())].1;
        let mut bytes = bytes.clone();
        damage(&mut bytes, other, &mut random);
        run.case(|| format!("case {case}, {name}"), || exercise(&bytes));
    }
    run.tell("random damages");
}

/// How many cases there were, and which took longest.
#[derive(Default)]
struct Slowest {
    cases: usize,
    took: Duration,
    which: String,
}

impl Slowest {
    fn case(&mut self, name: impl Fn() -> String, run: impl FnOnce()) {
        let start = Instant::now();
        run();
        self.cases += 1;
        if start.elapsed() > self.took {
            (self.took, self.which) = (start.elapsed(), name());
        }
    }

    fn tell(&self, what: &str) {
        println!(
            "{} {what}; slowest: {:?}, {}",
            self.cases, self.took, self.which
        );
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            let peak = status.lines().find(|line| line.starts_with("VmHWM"));
            println!("memory of the whole run: {}", peak.unwrap_or_default());
        }
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
        let other = &files[random.below(files.len())].1;
        let mut bytes = bytes.clone();
        damage(&mut bytes, other, &mut random);
        let path = folder.path().join(name);
        fs::write(&path, &bytes).unwrap();
        for command in ["scan", "check", "recover", "ls", "tree", "layer"] {
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
        .args((command == "layer").then_some("weight"))
        .arg(path)
        .env("RUST_BACKTRACE", "0");
    match command {
        "recover" => drop(shell.arg("--output").arg(out)),
        "check" => drop(shell.arg("--map")),
        "ls" => drop(shell.arg("--sha256")),
        _ => {}
    }
    let output = shell.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        matches!(output.status.code(), Some(0..=2)) && !stderr.contains("panicked"),
        "{command} {name}: {:?}\n{stderr}",
        output.status
    );
}
