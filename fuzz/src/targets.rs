//! What each target does with the fuzzer's bytes, and what must be true of the outcome, whatever they are.
//!
//! Plain functions, so that `tests/crashes.rs` can run them too, on every input that once failed.

use std::path::Path;

use pthinspect::ErrorKind;
use pthinspect::bytes::{ByteSource, Limits};
use pthinspect::check::check_bytes;
use pthinspect::checkpoint::{Checkpoint, Salvage, StorageId, TensorEntry, distributed_names};
use pthinspect::container::zip::Survey;
use pthinspect::container::{FileKind, Zip};
use pthinspect::explain::{Layer, LayerOptions, Listing};
use pthinspect::npy;
use pthinspect::render::shapes::ShapesStyle;
use pthinspect::render::tree::TreeOptions;
use pthinspect::render::{self, Paint};
use pthinspect::safetensors::Header;
use pthinspect::scan::{Level, Options, scan_bytes};
use pthinspect::shapes::{Walk, WalkOptions};

/// What is done to an input; it panics where something does not hold.
pub type Target = fn(&[u8]);

/// Every target and its name.
pub const ALL: &[(&str, Target)] = &[
    ("pickle", pickle),
    ("container", container),
    ("safetensors", safetensors),
    ("open_and_explain", open_and_explain),
    ("scan", scan),
    ("legacy", legacy),
    ("check", check),
    ("recover", recover),
    ("dcp_metadata", dcp_metadata),
    ("npy", npy),
    ("shapes", shapes),
];

/// Limits small enough that what they allow fits 1 GB, the sanitizer's part included.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.pickle_memory = 32 << 20;
    limits.pickle_steps = 1 << 20;
    limits.pickle_bytes = 8 << 20;
    limits.tensor_bytes = 4 << 20;
    limits.tree_bytes = 8 << 20;
    limits
}

/// The language: what is run to its end can be listed, and the tolerant reader never knows less than the strict one.
pub fn pickle(bytes: &[u8]) {
    let limits = limits();
    let trace = pthinspect::pickle::trace(bytes, &limits);
    match pthinspect::pickle::read(bytes, &limits) {
        Ok(graph) => {
            assert_eq!(graph.values.len(), graph.offsets.len());
            assert!(graph.consumed <= bytes.len());
            assert!(pthinspect::pickle::Listing::new(bytes, &limits).all(|line| line.is_ok()));
            assert!(trace.ended());
            assert_eq!(trace.graph.values.len(), graph.values.len());
            assert_eq!(trace.graph.consumed, graph.consumed);
        }
        Err(_) => pthinspect::pickle::Listing::new(bytes, &limits).for_each(drop),
    }
}

/// Zips: the strict reader, and the one that refuses nothing, which must know at least as much.
pub fn container(bytes: &[u8]) {
    let limits = Limits::default();
    let _ = FileKind::detect(bytes, Path::new("model.pth")).known();
    let survey = Survey::of(bytes, &limits).expect("fewer records than the limit");
    for member in &survey.members {
        assert!(member.kept(bytes).len() as u64 <= member.available);
        let _ = member.content(bytes, 1 << 20);
    }
    let Ok(zip) = Zip::open(&ByteSource::from(bytes.to_vec()), &limits) else {
        return;
    };
    assert!(survey.members.len() >= zip.records().len());
    for record in zip.records() {
        assert_eq!(zip.stored(record).len() as u64, record.stored_len);
        if let Ok(data) = zip.read(record, 1 << 20) {
            assert_eq!(data.len() as u64, record.len);
        }
        assert_eq!(zip.find(&record.name), Some(record));
    }
}

/// The header: it describes every byte once, and each name is the text at its place.
pub fn safetensors(bytes: &[u8]) {
    let Ok(header) = Header::read(bytes, &Limits::default()) else {
        return;
    };
    let described: usize = header.entries.iter().map(|entry| entry.data.len()).sum();
    assert_eq!(header.data_at + described, bytes.len());
    for entry in &header.entries {
        let name: String = serde_json::from_slice(&bytes[entry.key_span.clone()]).expect("a name");
        assert_eq!(name, entry.name);
    }
}

/// A file of any kind, opened, and everything that `ls --sha256`, `tree` and `layer` say of it.
pub fn open_and_explain(bytes: &[u8]) {
    let limits = limits();
    let Ok(checkpoint) = Checkpoint::from_bytes("model.pth", bytes.to_vec(), &limits) else {
        return;
    };
    let nodes = &checkpoint.tree().nodes;
    assert!(
        nodes
            .iter()
            .flat_map(|node| &node.children)
            .all(|child| child.0 < nodes.len())
    );
    let (out, paint) = (&mut Vec::new(), Paint::new(false));
    let options = TreeOptions {
        depth: None,
        all: true,
    };
    render::tree::text(out, &checkpoint, options, paint).expect("a Vec");
    render::tree::json(out, &checkpoint).expect("a Vec");
    let chosen: Vec<&TensorEntry> = checkpoint.tensors().iter().take(64).collect();
    let mut listing = Listing::of(&checkpoint, &chosen);
    render::ls::text(out, &listing, paint, Some(80)).expect("a Vec");
    // one at a time: a tensor that cannot be read is no reason to leave out the others
    for &tensor in &chosen {
        if let Some(offset) = checkpoint.file_offset(tensor) {
            assert!(offset < bytes.len() as u64);
        }
        if let Ok(view) = checkpoint.view(tensor) {
            let mut elements = Vec::new();
            view.write_logical(&mut elements).expect("a Vec");
            assert_eq!(elements.len(), tensor.nbytes());
        }
        let _ = checkpoint.find_layer(&tensor.name);
    }
    if chosen.iter().all(|tensor| tensor.nbytes() < 1 << 16) {
        let _ = listing.add_digests(&checkpoint, &chosen, &limits);
    }
    drop(render::ls::json(&listing));
    for tensor in chosen.iter().take(8) {
        let options = LayerOptions {
            filter: Some(0),
            flat: Some(1),
            ..LayerOptions::default()
        };
        if let Ok(layer) = Layer::of(&checkpoint, &tensor.name, &options) {
            render::layer::text(out, &layer, paint).expect("a Vec");
            drop(render::layer::json(&layer));
        }
    }
}

/// `scan`: the verdict is that of the worst finding, and no name that nobody vouches for is passed over.
pub fn scan(bytes: &[u8]) {
    let options = Options {
        limits: limits(),
        ..Options::default()
    };
    let Ok(report) = scan_bytes("model.pth", bytes.to_vec(), &options) else {
        return;
    };
    let worst = report.findings.iter().map(|finding| finding.level).max();
    assert_eq!(report.verdict, worst.unwrap_or(Level::Inert));
    assert!(
        report.verdict > Level::Inert || report.names.iter().all(|name| name.level == Level::Inert)
    );
    render::scan::text(&mut Vec::new(), &report, Paint::new(false), true).expect("a Vec");
    drop(render::scan::json(&report));
    drop(render::sarif::document(std::slice::from_ref(&report)));
}

/// The beginning of a legacy stream: magic number, protocol, an empty dict about the machine.
const LEGACY: &[u8] = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.";

/// Legacy streams, tars and plain pickles. A stream's magic number is put in front of what begins with no known kind, so
/// that the fuzzer need not find those bytes itself.
pub fn legacy(bytes: &[u8]) {
    let limits = limits();
    let known = bytes.starts_with(b"\x80") || bytes.get(257..262) == Some(b"ustar");
    let file = if known {
        bytes.to_vec()
    } else {
        [LEGACY, bytes].concat()
    };
    let length = file.len() as u64;
    let Ok(checkpoint) = Checkpoint::from_bytes("model.pth", file, &limits) else {
        return;
    };
    for (number, storage) in checkpoint.storages().iter().enumerate() {
        if let Some(offset) = storage.file_offset {
            assert!(offset + storage.nbytes as u64 <= length);
        }
        if let Some((root, start)) = storage.view_of {
            assert!(start + storage.nbytes <= checkpoint.storages()[root.0].nbytes);
        }
        let id = StorageId(number);
        assert_eq!(
            checkpoint.storage_bytes(id).map(|b| b.len()).ok(),
            Some(storage.nbytes)
        );
    }
    for tensor in checkpoint.tensors().iter().take(64) {
        if let Ok(view) = checkpoint.view(tensor) {
            let mut out = Vec::new();
            view.write_logical(&mut out).expect("a Vec");
            assert_eq!(out.len(), tensor.nbytes());
        }
    }
}

/// `check --map`: every byte has one owner, whatever the file is; and the report can be written.
pub fn check(bytes: &[u8]) {
    let Ok(report) = check_bytes("model.pth", bytes.to_vec(), &limits(), true) else {
        return;
    };
    let mut at = 0;
    for span in report.map.as_ref().expect("it was asked for") {
        assert!(span.from == at && span.to > at);
        at = span.to;
    }
    assert_eq!(at, bytes.len() as u64);
    render::check::text(&mut Vec::new(), &report, Paint::new(false)).expect("a Vec");
    drop(render::check::json(&report));
}

/// What is left of a damaged file: every tensor that is not called lost can be read.
pub fn recover(bytes: &[u8]) {
    let limits = limits();
    let Ok(salvage) = Salvage::from_bytes("model.pth", bytes.to_vec(), &limits) else {
        return;
    };
    assert_eq!(salvage.damage.len(), salvage.checkpoint.storages().len());
    for tensor in salvage.checkpoint.tensors().iter().take(64) {
        let strided = tensor.storage.is_some() && tensor.nbytes() <= limits.tensor_bytes;
        if salvage.lost(tensor).is_none() && strided {
            // its storage may be larger than it
            let view = match salvage.checkpoint.view(tensor) {
                Err(error) if error.kind() == ErrorKind::Limit => continue,
                view => view.expect("its bytes are there"),
            };
            assert_eq!(view.to_bytes().expect("memory").len(), tensor.nbytes());
        }
    }
}

/// The `.metadata` of a distributed checkpoint: dataclasses in a pickle.
pub fn dcp_metadata(bytes: &[u8]) {
    if let Ok(names) = distributed_names(bytes, &limits()) {
        assert!(names.len() <= bytes.len());
    }
}

/// `.npy` files: the header is a Python literal, the rest must be what it says.
pub fn npy(bytes: &[u8]) {
    let Ok(view) = npy::view(bytes, &limits()) else {
        return;
    };
    let mut out = Vec::new();
    view.write_logical(&mut out).expect("a Vec");
    assert!(out.len() <= bytes.len());
    let mut again = Vec::new();
    if npy::write(&view, &mut again).is_ok() {
        let same = npy::view(&again, &limits()).expect("what was written can be read");
        let mut logical = Vec::new();
        same.write_logical(&mut logical).expect("a Vec");
        assert!(out == logical);
    }
}

/// A model's program, TorchScript or graph or tree of modules, walked with inputs that it was not made for.
pub fn shapes(bytes: &[u8]) {
    let mut limits = limits();
    limits.program_steps = 1 << 16;
    let Ok(checkpoint) = Checkpoint::from_bytes("model.pt", bytes.to_vec(), &limits) else {
        return;
    };
    for shape in [
        vec![1, 1, 28, 28],
        vec![2, 3, 32, 32],
        vec![0, 7],
        vec![usize::MAX, 3],
    ] {
        let options = WalkOptions {
            inputs: vec![(None, shape)],
            ..WalkOptions::default()
        };
        if let Ok(walk) = Walk::of(&checkpoint, &options, &limits) {
            let out = &mut Vec::new();
            render::shapes::text(out, &walk, ShapesStyle::default(), Paint::new(false))
                .expect("a Vec");
            drop(render::shapes::json(&walk));
        }
    }
}
