//! Every file in fixtures/checkpoints against torch's own reading of it: names in order, dtype, shape, stride, storage
//! offset and the sha256 of the logical elements. Only `scripts/make_fixtures.py` writes the expectations.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use pthinspect::bytes::Limits;
use pthinspect::checkpoint::{Checkpoint, TensorEntry};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Formats that are not read yet: each must be refused by name.
const NOT_YET: &[(&str, &str)] = &[("torchscript", "TorchScript")];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/checkpoints")
}

fn fixtures() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).expect("fixtures/checkpoints");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| !path.to_string_lossy().ends_with(".expected.json"))
        .collect();
    paths.sort();
    assert!(paths.len() > 30, "only {} fixtures", paths.len());
    paths
}

fn sha256(checkpoint: &Checkpoint, tensor: &TensorEntry) -> String {
    let mut bytes = Vec::new();
    let view = checkpoint.view(tensor).expect("a view");
    view.write_logical(&mut bytes).expect("a Vec");
    let mut text = String::new();
    for byte in Sha256::digest(&bytes) {
        write!(text, "{byte:02x}").expect("a String");
    }
    text
}

/// What differs between torch's answer and ours.
fn differences(checkpoint: &Checkpoint, expected: &Value, tensor: &TensorEntry) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |what: &str, ours: Value| {
        if expected[what] != ours {
            found.push(format!(
                "{} {what}: torch {}, ours {ours}",
                tensor.name, expected[what]
            ));
        }
    };
    check("name", tensor.name.as_str().into());
    check("dtype", tensor.dtype.name().into());
    let strided = expected["layout"].is_null();
    if !expected["shape"].is_null() {
        check("shape", tensor.layout.shape().to_vec().into());
    }
    if strided {
        check("stride", tensor.layout.stride().to_vec().into());
        check("storage_offset", tensor.layout.storage_offset().into());
    }
    for key in [
        "layout",
        "device",
        "qscheme",
        "scale",
        "zero_point",
        "scales",
        "zero_points",
        "axis",
    ] {
        if !expected[key].is_null() {
            check(key, tensor.extra.get(key).cloned().unwrap_or_default());
        }
    }
    for (key, ours) in [("conj", tensor.conj), ("neg", tensor.neg)] {
        assert_eq!(
            expected[key] == Value::Bool(true),
            ours,
            "{} {key}",
            tensor.name
        );
    }
    for key in ["sha256", "packed_sha256"] {
        if !expected[key].is_null() {
            check(key, sha256(checkpoint, tensor).into());
        }
    }
    if let Some(parts) = expected["parts"].as_array() {
        let ours: Vec<&str> = tensor.parts.iter().map(|p| p.name.as_str()).collect();
        let theirs: Vec<&str> = parts
            .iter()
            .map(|p| p["name"].as_str().expect("a name"))
            .collect();
        if ours != theirs {
            found.push(format!(
                "{} parts: torch {theirs:?}, ours {ours:?}",
                tensor.name
            ));
            return found;
        }
        for (expected, part) in parts.iter().zip(&tensor.parts) {
            found.extend(differences(checkpoint, expected, part));
        }
    }
    found
}

#[test]
fn every_fixture_is_read_as_torch_reads_it() {
    let mut found = Vec::new();
    let mut tensors = 0;
    for path in fixtures() {
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let opened = Checkpoint::open(&path, &Limits::default());
        if let Some((_, format)) = NOT_YET.iter().find(|(start, _)| name.starts_with(start)) {
            let error = opened.expect_err("not read yet").to_string();
            assert!(error.contains(format), "{error}");
            continue;
        }
        let checkpoint = match opened {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                found.push(error.to_string());
                continue;
            }
        };
        let expected = std::fs::read(path.with_file_name(format!("{name}.expected.json")));
        let expected: Vec<Value> =
            serde_json::from_slice(&expected.expect("torch's answer")).expect("JSON");
        let mut ours: Vec<&TensorEntry> = checkpoint.tensors().iter().collect();
        let mut theirs: Vec<&Value> = expected.iter().collect();
        if name.ends_with(".safetensors") {
            // the library hands them out in an order of its own; ours is the header's
            ours.sort_by(|a, b| a.name.cmp(&b.name));
            theirs.sort_by_key(|tensor| tensor["name"].as_str());
        }
        if ours.len() != theirs.len() {
            let names: Vec<&str> = ours.iter().map(|t| t.name.as_str()).collect();
            found.push(format!("{name}: {} tensors, ours {names:?}", theirs.len()));
            continue;
        }
        for (expected, tensor) in theirs.into_iter().zip(ours) {
            tensors += 1;
            let differences = differences(&checkpoint, expected, tensor);
            found.extend(differences.into_iter().map(|d| format!("{name}: {d}")));
        }
    }
    assert!(
        found.is_empty(),
        "{} differences:\n{}",
        found.len(),
        found.join("\n")
    );
    assert!(tensors > 300, "only {tensors} tensors");
}

#[test]
fn a_state_dict_and_its_module_have_the_same_names() {
    let open = |name| Checkpoint::open(&folder().join(name), &Limits::default()).expect(name);
    let names = |c: &Checkpoint| {
        c.tensors()
            .iter()
            .map(|t| t.name.clone())
            .collect::<Vec<_>>()
    };
    let (module, state) = (open("module_zoo.pth"), open("module_zoo_state.pth"));
    assert_eq!(names(&module), names(&state));
    assert!(
        module
            .notes()
            .iter()
            .any(|note| note.contains("plain_tensor")),
        "{:?}",
        module.notes()
    );
    let conv = module.module("stem.conv").expect("stem.conv");
    assert_eq!(conv.class, "torch.nn.modules.conv.Conv2d");
    assert_eq!(conv.attributes["stride"], serde_json::json!([2, 1]));
    assert_eq!(conv.attributes["padding_mode"], "reflect");
    assert!(state.modules().is_empty());
}
