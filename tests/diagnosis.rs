//! `verify` on outputs that differ: what it says about how that came about, on PyTorch's own outputs that were changed in
//! ways whose effect is known.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use support::fixture;
use support::golden::Tensor;
use support::golden::document;
use support::golden::rewritten;
use support::golden::verify;
use tempfile::TempDir;

/// The one finding about the case that is not identical.
fn finding(path: &Path) -> (Value, Value) {
    let run = verify(path, &[]);
    let document = document(&run);
    let mut different = document["cases"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|case| case["status"] != "identical");
    let case = different.next().expect("nothing differs").clone();
    assert!(different.next().is_none(), "{document:#}");
    let findings = case["diagnosis"]["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{case:#}");
    (case.clone(), findings[0].clone())
}

/// One case of a golden, changed.
fn changed(
    golden: &str,
    name: &str,
    change: impl FnOnce(&mut Value, &mut HashMap<String, Tensor>),
) -> (TempDir, PathBuf) {
    rewritten(&fixture(golden), |document, tensors| {
        let cases = document["cases"].as_array_mut().unwrap();
        cases.retain(|case| case["name"] == name);
        tensors.retain(|tensor, _| tensor.split('.').next() == Some(name));
        change(&mut document["cases"][0], tensors);
    })
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor
        .data
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect()
}

fn put(tensor: &mut Tensor, values: &[f32]) {
    tensor.data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
}

#[test]
fn a_flipped_bit_in_weight_bias_or_input_is_named() {
    const GOLDEN: &str = "goldens/avx2_t1.golden.safetensors";
    for (part, kind, element, bit) in [
        ("weight", "weight_value", 1000, 30),
        ("weight", "weight_value", 4444, 6),
        ("weight", "weight_value", 17, 31),
        ("bias", "bias_value", 5, 20),
        ("input", "input_value", 77, 12),
        ("input", "input_value", 300, 23),
    ] {
        let mut index = Vec::new();
        let (_folder, path) = changed(GOLDEN, "direct", |_, tensors| {
            let tensor = tensors.get_mut(&format!("direct.{part}")).unwrap();
            tensor.data[element * 4 + bit / 8] ^= 1 << (bit % 8);
            let mut flat = element;
            for size in tensor.shape.iter().rev() {
                index.insert(0, flat % size);
                flat /= size;
            }
        });
        let (case, finding) = finding(&path);
        assert_eq!(finding["kind"], kind, "{part} {element} {bit}: {case:#}");
        assert_eq!(finding["details"]["index"], serde_json::json!(index));
        assert_eq!(finding["details"]["bit"], bit);
    }
}

#[test]
fn a_wrong_call_is_put_right() {
    const MKL: &str = "goldens/mkl_t1.golden.safetensors";
    let (_folder, path) = changed(MKL, "circular", |case, _| {
        case["padding_mode"] = "zeros".into()
    });
    let (_, found) = finding(&path);
    assert_eq!(found["details"]["padding_mode"], "circular");
    assert_eq!(found["identical"], 294);

    const AVX2: &str = "goldens/avx2_t1.golden.safetensors";
    let (_folder, path) = changed(AVX2, "direct_dilated", |case, _| {
        case["padding"] = serde_json::json!([1, 1]);
        case["dilation"] = serde_json::json!([1, 1]);
    });
    let (_, found) = finding(&path);
    assert_eq!(found["kind"], "arguments");
    assert_eq!(found["details"]["dilation"], serde_json::json!([2, 2]));

    // another shape: no difference, but a call that cannot be
    let (_folder, path) = changed(AVX2, "direct_rgb", |case, _| {
        case["stride"] = serde_json::json!([1, 1])
    });
    let run = verify(&path, &[]);
    assert_eq!(run.code, Some(2));
    let hint = document(&run)["cases"][0]["hint"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        hint.contains("stride=2") && hint.contains("numbers"),
        "{hint}"
    );
}

#[test]
fn what_was_done_to_tensors_is_named() {
    const AVX2: &str = "goldens/avx2_t1.golden.safetensors";
    type Change = fn(&mut HashMap<String, Tensor>);
    let changes: [(&str, Change); 6] = [
        ("afterwards", |tensors| {
            let output = tensors.get_mut("direct.output").unwrap();
            let relu: Vec<f32> = floats(output).iter().map(|v| v.max(0.0)).collect();
            put(output, &relu);
        }),
        ("weights", |tensors| {
            let weight = tensors.get_mut("direct.weight").unwrap();
            let turned: Vec<f32> = floats(weight)
                .chunks(9)
                .flat_map(|k| k.iter().rev().copied())
                .collect();
            put(weight, &turned);
        }),
        ("bias", |tensors| {
            tensors.remove("direct.bias");
        }),
        ("scale", |tensors| {
            let output = tensors.get_mut("direct.output").unwrap();
            let scaled: Vec<f32> = floats(output).iter().map(|v| v / 255.0).collect();
            put(output, &scaled);
        }),
        ("filter_order", |tensors| {
            let output = tensors.get_mut("direct.output").unwrap();
            let values = floats(output);
            let [_, filters, h, w] = output.shape[..] else {
                panic!("four axes")
            };
            let mut moved = Vec::new();
            for image in values.chunks(filters * h * w) {
                moved.extend_from_slice(&image[h * w..]);
                moved.extend_from_slice(&image[..h * w]);
            }
            put(output, &moved);
        }),
        ("output_stretch", |tensors| {
            let output = tensors.get_mut("direct.output").unwrap();
            let mut values = floats(output);
            values[100..300].fill(0.0);
            put(output, &values);
        }),
    ];
    for (kind, change) in changes {
        let (_folder, path) = changed(AVX2, "direct", |_, tensors| change(tensors));
        let (case, finding) = finding(&path);
        assert_eq!(finding["kind"], kind, "{case:#}");
    }
}

#[test]
fn a_false_origin_is_put_right() {
    // with one thread, PyTorch would have taken another path
    let (_folder, path) = rewritten(
        &fixture("goldens/avx2_t2.golden.safetensors"),
        |document, _| {
            document["origin"]["threads"] = 1.into();
        },
    );
    let run = verify(&path, &[]);
    assert_eq!(run.code, Some(0));
    let document = document(&run);
    let mut named = 0;
    for case in document["cases"].as_array().unwrap() {
        assert_eq!(case["status"], "identical", "{case:#}");
        if case["chosen_by"] == "search" {
            let text = case["diagnosis"]["findings"][0]["text"].as_str().unwrap();
            named += usize::from(text.contains("threads="));
        }
    }
    assert!(named > 0, "{document:#}");
}

#[test]
fn a_difference_is_counted_by_its_size() {
    let golden = fixture("goldens/avx2_t1.golden.safetensors");
    let forced = verify(&golden, &["--order", "sequential/chw-muladd-bias-last"]);
    for case in document(&forced)["cases"].as_array().unwrap() {
        if case["status"] != "different" {
            continue;
        }
        let bins = case["diagnosis"]["ulp_histogram"].as_array().unwrap();
        let counted: u64 = bins.iter().map(|bin| bin["count"].as_u64().unwrap()).sum();
        let differing = case["elements"].as_u64().unwrap() - case["identical"].as_u64().unwrap();
        assert_eq!(counted, differing);
        let worst = case["diagnosis"]["worst"][0]["ulp"].as_u64();
        assert_eq!(worst, case["max_ulp"].as_u64());
    }
}
