//! Layers beside Conv2d: `run` gives PyTorch's bits, and what is wrong is found and named.
#![allow(clippy::unwrap_used)]

mod support;

use safetensors::SafeTensors;
use serde_json::Value;
use serde_json::json;
use support::fixture;
use support::golden::document;
use support::golden::rewritten;
use support::golden::verify;
use support::run;
use tempfile::TempDir;

const GOLDEN: &str = "goldens/siblings_avx512_t1.golden.safetensors";
const ORIGIN: &str = "threads=1,cpu_capability=AVX512,l2_bytes=1048576";

/// The golden's cases.
fn cases(bytes: &[u8]) -> Vec<Value> {
    let metadata = SafeTensors::read_metadata(bytes).unwrap().1;
    let text = &metadata.metadata().as_ref().unwrap()["pthinspect.golden"];
    let document: Value = serde_json::from_str(text).unwrap();
    document["cases"].as_array().unwrap().clone()
}

/// The flags that say what a state dict does not.
fn flags(case: &Value) -> Vec<String> {
    let mut flags = Vec::new();
    for (key, flag) in [
        ("stride", "--stride"),
        ("padding", "--padding"),
        ("dilation", "--dilation"),
        ("output_padding", "--output-padding"),
    ] {
        let text = match &case[key] {
            Value::Array(sizes) => {
                let sizes: Vec<String> = sizes.iter().map(Value::to_string).collect();
                sizes.join(",")
            }
            Value::String(word) => word.clone(),
            _ => continue,
        };
        flags.extend([flag.to_owned(), text]);
    }
    if let Some(groups) = case["groups"].as_u64() {
        flags.extend(["--groups".to_owned(), groups.to_string()]);
    }
    if let Some(mode) = case["padding_mode"].as_str() {
        flags.extend(["--padding-mode".to_owned(), mode.to_owned()]);
    }
    if case["op"] == "conv_transpose2d" {
        flags.push("--transposed".to_owned());
    }
    flags
}

/// The golden is a checkpoint too: its weights, run on its inputs.
#[test]
fn every_layer_is_executed_as_torch_did() {
    let path = fixture(GOLDEN);
    let bytes = std::fs::read(&path).unwrap();
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    let folder = TempDir::new().unwrap();
    let output = folder.path().join("y.safetensors");
    let mut ops = std::collections::BTreeSet::new();
    for case in cases(&bytes) {
        let name = case["name"].as_str().unwrap();
        let mut words = vec!["run".to_owned(), name.to_owned()];
        words.push(path.to_str().unwrap().to_owned());
        words.extend([
            "--input".to_owned(),
            format!("{}:{name}.input", path.display()),
        ]);
        words.extend(["--output".to_owned(), output.to_str().unwrap().to_owned()]);
        words.extend(["--origin".to_owned(), ORIGIN.to_owned()]);
        words.extend(flags(&case));
        let done = run(words);
        assert_eq!(done.code, Some(0), "{name}: {done:?}");
        let written = std::fs::read(&output).unwrap();
        let written = SafeTensors::deserialize(&written).unwrap();
        let computed = written.tensor("output").unwrap();
        let saved = golden.tensor(&format!("{name}.output")).unwrap();
        assert_eq!(computed.shape(), saved.shape(), "{name}");
        assert_eq!(computed.data(), saved.data(), "{name}");
        ops.insert(case["op"].as_str().unwrap().to_owned());
    }
    assert_eq!(ops.len(), 4, "{ops:?}");
}

/// The last step of an explained sum is the output, for every kind of layer.
#[test]
fn an_explained_element_is_the_saved_one() {
    let path = fixture(GOLDEN);
    let bytes = std::fs::read(&path).unwrap();
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    for case in cases(&bytes) {
        let name = case["name"].as_str().unwrap();
        let saved = golden.tensor(&format!("{name}.output")).unwrap();
        let index: Vec<usize> = saved.shape().iter().map(|size| size - 1).collect();
        let index: Vec<String> = index.iter().map(usize::to_string).collect();
        let mut words = vec!["run".to_owned(), name.to_owned()];
        words.push(path.to_str().unwrap().to_owned());
        words.extend([
            "--input".to_owned(),
            format!("{}:{name}.input", path.display()),
        ]);
        words.extend(["--explain-output".to_owned(), index.join(",")]);
        words.extend([
            "--origin".to_owned(),
            ORIGIN.to_owned(),
            "--json".to_owned(),
        ]);
        words.extend(flags(&case));
        let document = run(words).json();
        let last = saved.data().last_chunk::<4>().unwrap();
        let bits = format!("{:#010x}", u32::from_le_bytes(*last));
        assert_eq!(document["explain"]["bits"], bits, "{name}");
    }
}

/// One wrong bit in a weight or an output: found, and said where.
#[test]
fn a_flipped_bit_is_found_in_every_kind_of_layer() {
    for part in ["weight", "output"] {
        let (_folder, path) = rewritten(&fixture(GOLDEN), |_, tensors| {
            for (name, tensor) in tensors.iter_mut() {
                if name.ends_with(&format!(".{part}")) {
                    let middle = tensor.data.len() / 8 * 4;
                    tensor.data[middle + 2] ^= 0x40;
                }
            }
        });
        let document = document(&verify(&path, &[]));
        for case in document["cases"].as_array().unwrap() {
            assert_eq!(case["status"], "different", "{part}: {case:#}");
            let findings = case["diagnosis"]["findings"].as_array().unwrap();
            assert!(!findings.is_empty(), "{part}: {case:#}");
        }
    }
}

#[test]
fn wrong_arguments_are_refused_in_one_line() {
    let (_folder, path) = rewritten(&fixture(GOLDEN), |document, _| {
        for case in document["cases"].as_array_mut().unwrap() {
            match case["op"].as_str().unwrap() {
                "conv3d" => case["stride"] = json!([2, 2]),
                "conv_transpose2d" => case["output_padding"] = json!([9, 9]),
                "conv1d" => case["stride"] = json!([1, 1]),
                _ => {}
            }
        }
    });
    let document = document(&verify(&path, &[]));
    for case in document["cases"].as_array().unwrap() {
        let wanted = if case["name"].as_str().unwrap().starts_with("linear") {
            "identical"
        } else {
            "error"
        };
        assert_eq!(case["status"], wanted, "{case:#}");
    }
}
