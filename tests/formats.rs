//! A convolution in a file of every format: found with its arguments, run to torch's bits, exported byte for byte.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use safetensors::SafeTensors;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::{fixture, run};

/// File, layer, golden that torch made of it, and the arguments that the file itself has (of a state dict none).
fn layers() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let stem = json!({"stride": [2, 2], "padding": [1, 1], "dilation": [1, 1], "groups": 1});
    let reflect =
        json!({"stride": [1, 1], "padding": [1, 2], "dilation": [1, 2], "padding_mode": "reflect"});
    let mut all = Vec::new();
    for program in [
        "torchscript_scripted.pt",
        "torchscript_traced.pt",
        "torchscript_lite.ptl",
        "torchscript_scripted_torch_2_0.pt",
        "torchscript_traced_torch_2_0.pt",
        "torchscript_lite_torch_2_0.ptl",
        "exported.pt2",
        "exported_whole_weights.pt2",
        "exported_torch_2_4.pt2",
        "exported_torch_2_8.pt2",
    ] {
        all.push((program, "stem.0", "programs", stem.clone()));
        all.push((
            program,
            "same",
            "programs",
            json!({"padding": "same", "groups": 2}),
        ));
        all.push((program, "reflect", "programs", reflect.clone()));
    }
    for state in [
        "state.pth",
        "deflated.pth",
        "as_torch_1_6.pth",
        "protocol_5.pth",
        "legacy_state.pth",
    ] {
        all.push((state, "conv1", "state", json!({})));
    }
    all.extend([
        (
            "legacy_checkpoint.pth",
            "net.conv",
            "legacy",
            json!({"stride": [2, 2], "padding": [1, 1], "groups": 2}),
        ),
        ("raw_module.pkl", "0", "pickle", json!({"padding": "same"})),
        (
            "tar_module.pth",
            "0",
            "tar",
            json!({"stride": [2, 2], "padding": [1, 1]}),
        ),
        ("sharded_safetensors", "layer.0.conv", "sharded", json!({})),
        ("dcp_two_ranks", "model.conv", "distributed", json!({})),
    ]);
    all
}

#[test]
fn the_layer_is_found_with_what_the_file_knows_of_it() {
    for (file, name, _, arguments) in layers() {
        let path = format!("fixtures/checkpoints/{file}");
        let layer = run(["layer", name, &path, "--json"]).json();
        assert_eq!(layer["kind"], "Conv2d", "{file} {name}");
        assert_eq!(layer["name"], name, "{file}");
        for (key, value) in arguments.as_object().unwrap() {
            assert_eq!(&layer["attributes"][key], value, "{file} {name} {key}");
        }
    }
}

#[test]
fn torchs_outputs_are_verified_with_the_weights_of_every_format() {
    let mut files: Vec<_> = layers()
        .into_iter()
        .map(|(file, _, golden, _)| (file, golden))
        .collect();
    files.dedup();
    for (file, golden) in files {
        let golden = format!("fixtures/goldens/formats/{golden}.golden.safetensors");
        let path = format!("fixtures/checkpoints/{file}");
        let report = run(["verify", &golden, "--checkpoint", &path, "--json"]).json();
        let summary = &report["summary"];
        assert_eq!(summary["identical"], summary["cases"], "{file}: {report}");
        for case in report["cases"].as_array().unwrap() {
            assert_eq!(case["chosen_by"], "origin", "{file}: {case}");
        }
    }
}

/// The arguments come from the file where it has them, from flags where it has not.
#[test]
fn the_layer_is_run_from_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("y.npy");
    for (file, name, golden, _) in layers() {
        let golden_path = format!("fixtures/goldens/formats/{golden}.golden.safetensors");
        let path = format!("fixtures/checkpoints/{file}");
        let order = run(["verify", &golden_path, "--checkpoint", &path, "--json"]).json()["cases"]
            .as_array()
            .unwrap()
            .iter()
            .find(|case| case["name"] == name)
            .unwrap()["order"]
            .clone();
        let input = format!("{golden_path}:{name}.input");
        let mut words = vec![
            "run",
            name,
            &path,
            "--input",
            &input,
            "--output",
            output.to_str().unwrap(),
        ];
        words.extend(["--order", order.as_str().unwrap()]);
        words.extend(match golden {
            "state" => &["--padding", "2"][..],
            "sharded" => &["--stride", "2"],
            "distributed" => &["--dilation", "2"],
            _ => &[],
        });
        run(words).ok();
        let bytes = fs::read(fixture(&format!(
            "goldens/formats/{golden}.golden.safetensors"
        )))
        .unwrap();
        let expected = SafeTensors::deserialize(&bytes).unwrap();
        let expected = expected.tensor(&format!("{name}.output")).unwrap();
        let written = fs::read(&output).unwrap();
        assert!(written.ends_with(expected.data()), "{file} {name}");
    }
}

#[test]
fn exported_bytes_are_torchs() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("weight.bin");
    for (file, name, _, _) in layers() {
        let path = format!("fixtures/checkpoints/{file}");
        let tensor = format!("{name}.weight");
        run([
            "export",
            &tensor,
            &path,
            "--output",
            output.to_str().unwrap(),
        ])
        .ok();
        let expected = fs::read(fixture(&format!("checkpoints/{file}.expected.json"))).unwrap();
        let expected: Vec<Value> = serde_json::from_slice(&expected).unwrap();
        let expected = expected
            .iter()
            .find(|t| t["name"] == tensor.as_str())
            .unwrap();
        let digest = Sha256::digest(fs::read(&output).unwrap());
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(expected["sha256"], digest, "{file} {tensor}");
    }
}
