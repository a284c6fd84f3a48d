//! `verify` on PyTorch's own outputs: every committed golden, with and without what is known of its origin, and with
//! single bits flipped.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;

use safetensors::SafeTensors;
use serde_json::Value;
use support::Run;
use support::fixture;
use support::run;
use tempfile::TempDir;

/// The goldens that must be reproduced; those in `goldens/open` are known not to be.
fn goldens() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["goldens", "goldens/knobs", "questions"] {
        for entry in std::fs::read_dir(fixture(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.ends_with(".golden.safetensors") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() >= 15, "the goldens are missing: {found:?}");
    found
}

/// Arguments that a golden needs besides its own name.
fn extra(golden: &Path) -> Vec<String> {
    let name = golden.to_str().unwrap();
    match name.strip_suffix("_without_weights.golden.safetensors") {
        Some(_) => vec![
            "--checkpoint".into(),
            fixture("questions/signature_q5_state.pth")
                .to_str()
                .unwrap()
                .into(),
        ],
        None => Vec::new(),
    }
}

fn verify(golden: &Path, more: &[&str]) -> Run {
    let mut arguments = vec![
        "verify".to_owned(),
        golden.to_str().unwrap().to_owned(),
        "--json".to_owned(),
    ];
    arguments.extend(extra(golden));
    arguments.extend(more.iter().map(|&m| m.to_owned()));
    run(arguments)
}

/// The document, whatever the verdict.
fn document(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run:?}"))
}

#[track_caller]
fn assert_all(golden: &Path, run: &Run, chosen_by: &str) {
    let document = document(run);
    let cases = document["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        assert_eq!(
            (&case["status"], &case["chosen_by"]),
            (&"identical".into(), &chosen_by.into()),
            "{}: {case:#}",
            golden.display()
        );
    }
    assert_eq!(document["summary"]["identical"], cases.len());
    assert_eq!(run.code, Some(0));
}

/// A golden file taken apart, changed, and written to a temporary folder.
fn rewritten(
    golden: &Path,
    change: impl FnOnce(&mut Value, &mut HashMap<String, Tensor>),
) -> (TempDir, PathBuf) {
    let bytes = std::fs::read(golden).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let metadata = SafeTensors::read_metadata(&bytes).unwrap().1;
    let text = &metadata.metadata().as_ref().unwrap()["pthinspect.golden"];
    let mut golden: Value = serde_json::from_str(text).unwrap();
    let mut tensors: HashMap<String, Tensor> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            (
                name,
                Tensor {
                    dtype: view.dtype(),
                    shape: view.shape().to_vec(),
                    data: view.data().to_vec(),
                },
            )
        })
        .collect();
    change(&mut golden, &mut tensors);
    let metadata = HashMap::from([("pthinspect.golden".to_owned(), golden.to_string())]);
    let views = tensors.iter().map(|(name, t)| {
        (
            name,
            safetensors::tensor::TensorView::new(t.dtype, t.shape.clone(), &t.data).unwrap(),
        )
    });
    let bytes = safetensors::serialize(views, Some(metadata)).unwrap();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("changed.golden.safetensors");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

struct Tensor {
    dtype: safetensors::Dtype,
    shape: Vec<usize>,
    data: Vec<u8>,
}

#[test]
fn every_golden_is_identical_and_predicted() {
    for golden in goldens() {
        assert_all(&golden, &verify(&golden, &[]), "origin");
    }
}

#[test]
fn without_an_origin_the_order_is_found() {
    for golden in goldens() {
        let (_folder, path) = rewritten(&golden, |document, _| {
            document.as_object_mut().unwrap().remove("origin");
            for case in document["cases"].as_array_mut().unwrap() {
                case.as_object_mut().unwrap().remove("origin");
            }
        });
        let more = extra(&golden);
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        let run = verify(&path, &more);
        let document = document(&run);
        for case in document["cases"].as_array().unwrap() {
            assert_eq!(
                case["status"],
                "identical",
                "{}: {case:#}",
                golden.display()
            );
            // small layers whose every order comes to the same sum need no search
            assert!(["search", "origin"].contains(&case["chosen_by"].as_str().unwrap()));
        }
        assert_eq!(run.code, Some(0));
    }
}

#[test]
fn one_flipped_bit_is_found_where_it_is() {
    let golden = fixture("goldens/avx2_t1.golden.safetensors");
    for (element, bit) in [(0, 0), (7, 31), (100, 12)] {
        let mut wanted = (String::new(), Vec::new());
        let (_folder, path) = rewritten(&golden, |document, tensors| {
            let name = document["cases"][1]["name"].as_str().unwrap().to_owned();
            let output = tensors.get_mut(&format!("{name}.output")).unwrap();
            output.data[element * 4 + bit / 8] ^= 1 << (bit % 8);
            let [_, o, h, w] = output.shape[..] else {
                panic!("the output has four axes")
            };
            wanted = (
                name,
                vec![
                    element / (o * h * w),
                    element / (h * w) % o,
                    element / w % h,
                    element % w,
                ],
            );
        });
        let run = verify(&path, &[]);
        assert_eq!(run.code, Some(1));
        let document = document(&run);
        let different: Vec<&Value> = document["cases"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|case| case["status"] != "identical")
            .collect();
        assert_eq!(different.len(), 1);
        let case = different[0];
        assert_eq!(case["name"], wanted.0.as_str());
        assert_eq!(case["status"], "different");
        assert_eq!(case["chosen_by"], "none");
        assert_eq!(
            case["first_difference"]["index"],
            serde_json::json!(wanted.1)
        );
        let elements = case["elements"].as_u64().unwrap();
        assert_eq!(case["identical"].as_u64().unwrap(), elements - 1);
        let hex = |key: &str| {
            let text = case["first_difference"][key].as_str().unwrap();
            u32::from_str_radix(text.strip_prefix("0x").unwrap(), 16).unwrap()
        };
        assert_eq!(hex("expected") ^ hex("actual"), 1 << bit);
    }
}

#[test]
fn threads_and_kernels_never_change_a_bit() {
    for golden in [
        fixture("goldens/avx2_t1.golden.safetensors"),
        fixture("goldens/avx512_t2.golden.safetensors"),
        fixture("goldens/mkl_t1.golden.safetensors"),
    ] {
        for how in [
            &["--threads", "1"][..],
            &["--threads", "2"],
            &["--threads", "7"],
            &["--kernel", "reference"],
        ] {
            assert_all(&golden, &verify(&golden, how), "origin");
        }
    }
}

#[test]
fn what_nobody_has_derived_differs_and_says_so() {
    for entry in std::fs::read_dir(fixture("goldens/open")).unwrap() {
        let run = verify(&entry.unwrap().path(), &[]);
        assert_eq!(run.code, Some(1));
        for case in document(&run)["cases"].as_array().unwrap() {
            assert_eq!(
                case["status"], "different",
                "now derived? then it belongs to goldens: {case:#}"
            );
            assert_eq!(case["chosen_by"], "none");
            // other sums of the same convolution
            assert!(case["max_abs"].as_f64().unwrap() < 1e-4);
        }
    }
}

#[test]
fn a_tolerance_makes_it_close_and_an_order_can_be_forced() {
    let golden = fixture("goldens/avx2_t1.golden.safetensors");
    let forced = verify(&golden, &["--order", "sequential/chw-muladd-bias-last"]);
    assert_eq!(forced.code, Some(1));
    let document_ = document(&forced);
    assert_eq!(document_["cases"][0]["chosen_by"], "flag");
    assert_eq!(
        document_["cases"][0]["order"],
        "sequential/chw-muladd-bias-last"
    );
    let loose = verify(
        &golden,
        &[
            "--order",
            "sequential/chw-muladd-bias-last",
            "--max-ulp",
            "4000000000",
        ],
    );
    assert_eq!(loose.code, Some(0));
    assert!(document(&loose)["summary"]["close"].as_u64().unwrap() > 0);
}

#[test]
fn unusable_goldens_are_refused_by_name() {
    let mut refused = 0;
    for entry in std::fs::read_dir(fixture("malformed")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("golden_") || name.ends_with(".why") {
            continue;
        }
        refused += 1;
        let run = run(["verify", path.to_str().unwrap()]);
        assert_eq!(run.code, Some(2), "{name}: {run:?}");
        let first = run.stderr.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("error: ") && first.contains(&name),
            "{name}: {run:?}"
        );
        assert!(!run.stderr.contains("panicked"), "{name}: {run:?}");
    }
    assert!(refused > 15);
}

#[test]
fn junit_has_a_test_for_each_case() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("report.xml");
    let golden = fixture("goldens/avx2_t1.golden.safetensors");
    let run = verify(&golden, &["--junit", out.to_str().unwrap()]);
    let cases = document(&run)["cases"].as_array().unwrap().len();
    let xml = std::fs::read_to_string(out).unwrap();
    assert_eq!(xml.matches("<testcase ").count(), cases);
    assert!(xml.contains("failures=\"0\""));
}
