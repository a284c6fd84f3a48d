//! Every file in fixtures/malformed, every prefix of the small fixtures, and random damage: an error that says
//! something, or a checkpoint; never a panic. What each error says is held by the command line's snapshots.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use pthinspect::bytes::Limits;
use pthinspect::checkpoint::Checkpoint;
use pthinspect::npy;

/// Well-formed as checkpoints: damaged, hostile or wrong in ways that other commands report.
const OPENS: &[&str] = &["golden_", "hostile_", "odd_"];
/// Legal, however strange: torch reads them, or fails for want of memory alone.
const LEGAL: &[&str] = &[
    "bomb_huge_memo_index.pth",
    "bomb_list_in_itself.pth",
    "thousands_of_axes.pth",
];

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(folder);
    let entries = std::fs::read_dir(folder).expect("a folder of fixtures");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.retain(|path| path.is_file());
    paths.retain(|path| !path.to_string_lossy().ends_with(".json"));
    paths.retain(|path| path.extension().is_none_or(|extension| extension != "why"));
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned()
}

/// Opens the bytes and, should that succeed, looks at everything that the file holds.
fn exercise(name: &str, bytes: Vec<u8>) -> Result<(), pthinspect::Error> {
    let checkpoint = Checkpoint::from_bytes(name, bytes, &Limits::default())?;
    for tensor in checkpoint.tensors() {
        let _ = checkpoint.file_offset(tensor);
        if tensor.nbytes() > 1 << 20 {
            continue; // an expanded tensor may be of any size
        }
        if let Ok(view) = checkpoint.view(tensor) {
            let mut out = Vec::new();
            view.write_logical(&mut out).expect("a Vec");
            assert_eq!(out.len(), tensor.nbytes(), "{}", tensor.name);
        }
    }
    for node in &checkpoint.tree().nodes {
        assert!(
            node.children
                .iter()
                .all(|child| child.0 < checkpoint.tree().nodes.len())
        );
    }
    let _ = checkpoint.find_layer("conv1");
    Ok(())
}

#[test]
fn each_malformed_file_is_refused_in_one_line() {
    let paths = files("malformed");
    assert!(paths.len() > 80, "only {} files", paths.len());
    for path in paths {
        let name = name(&path);
        let bytes = std::fs::read(&path).expect("a file");
        let result = if name.ends_with(".npy") {
            npy::view(&bytes, &Limits::default()).map(drop)
        } else {
            exercise(&name, bytes)
        };
        match result {
            Ok(()) => {
                let may =
                    OPENS.iter().any(|start| name.starts_with(start)) || LEGAL.contains(&&*name);
                assert!(may, "{name} was read");
            }
            Err(error) => {
                let message = error.to_string();
                assert!(
                    message.len() < 600 && !message.contains('\n'),
                    "{name}: {message}"
                );
                assert!(
                    !error.hint().is_some_and(|hint| hint.contains('\n')),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn every_prefix_of_every_small_fixture_is_survived() {
    for path in files("checkpoints") {
        let bytes = std::fs::read(&path).expect("a file");
        // of the larger ones, those around the interesting ends
        let step = bytes.len() / 400 + 1;
        for end in (0..bytes.len()).step_by(step) {
            let result = exercise(&name(&path), bytes[..end].to_vec());
            let text = path.to_string_lossy().ends_with("safetensors");
            assert!(
                result.is_err() || !text,
                "{}: {end} bytes of it",
                path.display()
            );
        }
    }
}

fn small_fixtures() -> Vec<Vec<u8>> {
    let files = files("checkpoints").into_iter();
    let files = files.map(|path| std::fs::read(path).expect("a file"));
    files.filter(|bytes| bytes.len() < 12_000).collect()
}

/// The zip's own checks refuse most damage to it; so the pickle inside is damaged by itself, in a zip made again.
fn rezipped(file: &[u8], damage: impl Fn(&mut Vec<u8>)) -> Option<Vec<u8>> {
    use std::io::{Read, Write};
    let mut old = zip::ZipArchive::new(std::io::Cursor::new(file)).ok()?;
    let mut new = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for number in 0..old.len() {
        let mut record = old.by_index(number).ok()?;
        let mut bytes = Vec::new();
        record.read_to_end(&mut bytes).ok()?;
        let name = record.name().ok()?.into_owned();
        if name.ends_with("data.pkl") {
            damage(&mut bytes);
        }
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored);
        new.start_file(name, options).ok()?;
        new.write_all(&bytes).ok()?;
    }
    Some(new.finish().ok()?.into_inner())
}

fn damage(bytes: &mut Vec<u8>, changes: &[(usize, u8, u8)]) {
    for &(at, value, how) in changes {
        if bytes.is_empty() {
            return;
        }
        let at = at % bytes.len();
        match how % 4 {
            0 => bytes[at] = value,
            1 => bytes[at] ^= 1 << (value % 8),
            2 => drop(bytes.remove(at)),
            _ => bytes.insert(at, value),
        }
    }
}

fn cases() -> u32 {
    let cases = std::env::var("PTHINSPECT_CASES").ok();
    cases.and_then(|cases| cases.parse().ok()).unwrap_or(300)
}

/// The metadata of a distributed checkpoint, of which `from_bytes` knows nothing: it needs the folder.
fn distributed_metadata() -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/checkpoints");
    std::fs::read(folder.join("dcp_two_ranks/.metadata")).expect("a fixture")
}

#[test]
fn every_prefix_of_distributed_metadata_is_refused() {
    let bytes = distributed_metadata();
    let names = pthinspect::checkpoint::distributed_names(&bytes, &Limits::default());
    assert!(names.expect("names").contains(&"parts.rows".to_owned()));
    for end in (0..bytes.len()).step_by(37) {
        let names = pthinspect::checkpoint::distributed_names(&bytes[..end], &Limits::default());
        assert!(names.is_err(), "{end} bytes");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_are_survived(which: usize, changes in prop::collection::vec(any::<(usize, u8, u8)>(), 1..6)) {
        let files = small_fixtures();
        let mut bytes = files[which % files.len()].clone();
        damage(&mut bytes, &changes);
        let _ = exercise("damaged", bytes);
    }

    #[test]
    fn damaged_pickles_are_survived(which: usize, changes in prop::collection::vec(any::<(usize, u8, u8)>(), 1..6)) {
        let files = small_fixtures();
        if let Some(bytes) = rezipped(&files[which % files.len()], |pickle| damage(pickle, &changes)) {
            let _ = exercise("damaged", bytes);
        }
    }

    #[test]
    fn damaged_distributed_metadata_is_survived(changes in prop::collection::vec(any::<(usize, u8, u8)>(), 1..6)) {
        let mut bytes = distributed_metadata();
        damage(&mut bytes, &changes);
        let _ = pthinspect::checkpoint::distributed_names(&bytes, &Limits::default());
    }

    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>) {
        let _ = exercise("any", bytes);
    }
}
