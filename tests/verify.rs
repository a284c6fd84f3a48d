//! `verify` on PyTorch's own outputs: every committed golden, with and without what is known of its origin, and with
//! single bits flipped.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;
use support::Run;
use support::fixture;
use support::golden::Tensor;
use support::golden::document;
use support::golden::extra;
use support::golden::rewritten;
use support::golden::verify;
use support::run;
use tempfile::TempDir;

/// The goldens that must be reproduced; those in `goldens/open` are known not to be.
fn goldens() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["goldens", "goldens/knobs", "goldens/narrow", "questions"] {
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

#[test]
fn every_golden_is_identical_and_predicted() {
    for golden in goldens() {
        assert_all(&golden, &verify(&golden, &[]), "origin");
    }
}

/// A golden file without what says where it was made.
fn without_origin(golden: &Path) -> (TempDir, PathBuf) {
    rewritten(golden, |document, _| {
        document.as_object_mut().unwrap().remove("origin");
        for case in document["cases"].as_array_mut().unwrap() {
            case.as_object_mut().unwrap().remove("origin");
        }
    })
}

/// Goldens of other processors, and what such a processor is called.
const PROCESSORS: [(&str, &str); 10] = [
    ("amd-epyc-avx2-real_torch2.15.t1", "AMD with AVX2"),
    (
        "arm-a64fx-sve512_torch2.10.t1",
        "aarch64 with SVE of 512 bits, as A64FX, torch up to 2.10",
    ),
    (
        "arm-neoverse-n1_torch2.10.t1",
        "aarch64 with NEON, as Neoverse N1, torch up to 2.10",
    ),
    (
        "arm-neoverse-n1_torch2.15.t1",
        "aarch64 with NEON, as Neoverse N1, torch from 2.11",
    ),
    (
        "arm-neoverse-v1_torch2.10.t2",
        "aarch64 with SVE of 256 bits, as Neoverse V1, torch up to 2.10",
    ),
    (
        "arm-neoverse-v1_torch2.15.t1cl",
        "aarch64 with SVE of 256 bits, as Neoverse V1, torch from 2.11",
    ),
    ("intel-haswell-avx2_torch2.15.t1", "Intel with AVX2"),
    ("intel-nehalem-sse_torch2.15.t1", "Intel with SSE4.1"),
    ("intel-skylake-x-avx512_torch2.15.t1", "Intel with AVX-512"),
    ("intel-skylake-x-avx512_torch2.15.t2", "Intel with AVX-512"),
];

#[test]
fn other_processors_outputs_are_identical_and_their_processor_is_named() {
    let folder = std::fs::read_dir(fixture("goldens/processors")).unwrap();
    assert_eq!(folder.count(), PROCESSORS.len() + 1, "and the manifest");
    for (name, processor) in PROCESSORS {
        let golden = fixture(&format!("goldens/processors/{name}.golden.safetensors"));
        let document = document(&verify(&golden, &[]));
        assert_eq!(document["summary"]["identical"], 6, "{name}: {document:#}");
        let cases = document["cases"].as_array().unwrap();
        // of an image so small that several libraries add alike, the origin may leave more than one
        let searched = cases.iter().filter(|case| case["chosen_by"] != "origin");
        assert!(searched.count() <= 1, "{name}: {document:#}");

        let (_folder, path) = without_origin(&golden);
        let document = self::document(&verify(&path, &[]));
        assert_eq!(document["summary"]["identical"], 6, "{name}: {document:#}");
        let remaining = document["processors"][0]["remaining"].as_array().unwrap();
        assert!(
            remaining.contains(&processor.into()),
            "{name}: {remaining:?}"
        );
        assert!(remaining.len() <= 3, "{name}: {remaining:?}");
    }
}

#[test]
fn without_an_origin_the_order_is_found() {
    for golden in goldens() {
        let (_folder, path) = without_origin(&golden);
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Any bit of any tensor. A wrong bit of an output is always found. Of an operand it must be found where it changes
    /// a sum by more than rounding can, in whatever order; below that PyTorch's own sums may come out as before
    /// (`live_parity.py --flips` asks PyTorch itself), and the interpreter has the last word. A search is kept out:
    /// where an output has one or two elements, some other order may well come to the wrong bits.
    #[test]
    fn one_flipped_bit_anywhere_is_found(golden in any::<Index>(), case in any::<Index>(), part in any::<Index>(), at in any::<Index>(), bit in 0..32usize) {
        // the bounds below are those of float32, the exact sums those of Conv2d (the others: tests/siblings.rs)
        let others = |path: &PathBuf| ["narrow", "siblings"].iter().any(|name| path.to_str().unwrap().contains(name));
        let float32 = |path: &PathBuf| extra(path).is_empty() && !others(path);
        let goldens: Vec<_> = goldens().into_iter().filter(float32).collect();
        let golden = &goldens[golden.index(goldens.len())];
        let mut flipped = String::new();
        let mut nan_to_nan = false;
        let mut sums = [None, None];
        let (folder, path) = rewritten(golden, |document, tensors| {
            let cases = document["cases"].as_array_mut().unwrap();
            let case = cases.swap_remove(case.index(cases.len()));
            let name = case["name"].as_str().unwrap().to_owned();
            *cases = vec![case];
            tensors.retain(|key, _| key.rsplit_once('.').unwrap().0 == name);
            let mut parts: Vec<_> = tensors.keys().cloned().collect();
            parts.sort();
            flipped = parts[part.index(parts.len())].clone();
            sums[0] = exact_sums(&cases[0], tensors);
            let tensor = tensors.get_mut(&flipped).unwrap();
            let element = at.index(tensor.data.len() / 4) * 4;
            let value = |tensor: &Tensor| f32::from_le_bytes(tensor.data[element..element + 4].try_into().unwrap());
            let before = value(tensor);
            tensor.data[element + bit / 8] ^= 1 << (bit % 8);
            nan_to_nan = before.is_nan() && value(tensor).is_nan();
            sums[1] = exact_sums(&cases[0], tensors);
        });
        let judged = verify(&path, &["--no-search"]);
        let document = document(&judged);
        let case = &document["cases"][0];
        let found = judged.code == Some(1) && case["status"] == "different";
        if flipped.ends_with(".output") {
            prop_assert!(found != nan_to_nan, "{flipped}: {case:#}");
            if found {
                let elements = case["elements"].as_u64().unwrap();
                prop_assert_eq!(case["identical"].as_u64().unwrap(), elements - 1);
            }
        } else if !found {
            prop_assert_eq!(judged.code, Some(0));
            let again = verify(&path, &["--no-search", "--kernel", "reference"]);
            prop_assert_eq!(again.code, Some(0), "{}: the interpreter sees it", flipped);
            if let [Some(before), Some(after)] = &sums {
                for (a, b) in before.iter().zip(after) {
                    prop_assert!((a.sum - b.sum).abs() <= a.error + b.error, "{flipped} bit {bit}: {case:#}");
                }
            }
        }
        drop(folder);
    }
}

/// An output element as real numbers have it, and how far any order of additions in float32 may be from it.
struct ExactSum {
    sum: f64,
    error: f64,
}

/// The outputs of a case, unless it has a padding mode, padding by a word or numbers that are not finite.
fn exact_sums(case: &Value, tensors: &HashMap<String, Tensor>) -> Option<Vec<ExactSum>> {
    let name = case["name"].as_str()?;
    let pair = |key: &str| {
        let pair = case[key].as_array()?;
        Some([pair[0].as_u64()? as usize, pair[1].as_u64()? as usize])
    };
    let (stride, padding, dilation) = (pair("stride")?, pair("padding")?, pair("dilation")?);
    if case["padding_mode"]
        .as_str()
        .is_some_and(|mode| mode != "zeros")
    {
        return None;
    }
    let floats = |part: &str| {
        let tensor = tensors.get(&format!("{name}.{part}"))?;
        let floats = tensor.data.chunks_exact(4);
        let floats: Vec<f64> = floats
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()).into())
            .collect();
        floats
            .iter()
            .all(|v| v.is_finite())
            .then_some((floats, &tensor.shape))
    };
    let ((input, is), (weight, ws), (_, os)) =
        (floats("input")?, floats("weight")?, floats("output")?);
    let bias = match tensors.contains_key(&format!("{name}.bias")) {
        true => floats("bias")?.0,
        false => vec![0.0; ws[0]],
    };
    let per_group = ws[0] * ws[1] / is[1]; // output channels of a group
    let terms = (ws[1] * ws[2] * ws[3] + 2) as f64;
    let mut sums = Vec::new();
    for (n, o) in (0..os[0]).flat_map(|n| (0..os[1]).map(move |o| (n, o))) {
        for (y, x) in (0..os[2]).flat_map(|y| (0..os[3]).map(move |x| (y, x))) {
            let (mut sum, mut size) = (bias[o], bias[o].abs());
            for c in 0..ws[1] {
                for (kh, kw) in (0..ws[2]).flat_map(|kh| (0..ws[3]).map(move |kw| (kh, kw))) {
                    let (row, column) = (
                        y * stride[0] + kh * dilation[0],
                        x * stride[1] + kw * dilation[1],
                    );
                    let inside = |at: usize, axis: usize| {
                        at.checked_sub(padding[axis])
                            .filter(|&at| at < is[2 + axis])
                    };
                    let (Some(row), Some(column)) = (inside(row, 0), inside(column, 1)) else {
                        continue;
                    };
                    let channel = o / per_group * ws[1] + c;
                    let product = input[((n * is[1] + channel) * is[2] + row) * is[3] + column]
                        * weight[((o * ws[1] + c) * ws[2] + kh) * ws[3] + kw];
                    sum += product;
                    size += product.abs();
                }
            }
            // a rounding for each product and each addition: Higham, Accuracy and Stability, section 3.1; the last
            // summand covers what is subnormal
            let error = 2.0 * terms * f64::from(f32::EPSILON) * size + terms * 1e-44;
            sums.push(ExactSum { sum, error });
        }
    }
    // sums beyond float32's range would be infinite in any order
    sums.iter().all(|s| s.sum.abs() < 1e38).then_some(sums)
}

/// Vectors that this processor lacks are refused, so that nobody believes them checked.
fn lacks(vectors: &str) -> bool {
    let run = verify(
        &fixture("goldens/avx2_t1.golden.safetensors"),
        &["--kernel", vectors],
    );
    run.code == Some(2)
}

/// Bits are shown, and units in the last place counted, in the width of the type.
#[test]
fn a_flipped_bit_of_a_narrow_type_is_found() {
    for (golden, digits) in [("bf16_t1", 4), ("f16_t1", 4)] {
        let golden = fixture(&format!("goldens/narrow/{golden}.golden.safetensors"));
        let (_folder, path) = rewritten(&golden, |_, tensors| {
            tensors.get_mut("direct.output").unwrap().data[2 * 9] ^= 1;
        });
        let run = verify(&path, &["--no-search"]);
        assert_eq!(run.code, Some(1));
        let document = document(&run);
        let cases = document["cases"].as_array().unwrap();
        let case = cases.iter().find(|c| c["name"] == "direct").unwrap();
        assert_eq!(
            (&case["status"], &case["max_ulp"]),
            (&"different".into(), &1.into())
        );
        let expected = case["first_difference"]["expected"].as_str().unwrap();
        assert_eq!(expected.len(), 2 + digits, "{expected}");
    }
}

#[test]
fn tensors_of_two_dtypes_are_refused() {
    let golden = fixture("goldens/narrow/bf16_t1.golden.safetensors");
    let (_folder, path) = rewritten(&golden, |_, tensors| {
        tensors.get_mut("direct.input").unwrap().dtype = safetensors::Dtype::F16;
    });
    let run = verify(&path, &[]);
    assert_eq!(run.code, Some(2));
    assert!(
        run.stderr
            .contains("is float16, but \"direct.weight\" is bfloat16"),
        "{run:?}"
    );
}

#[test]
fn threads_and_kernels_never_change_a_bit() {
    let kernels = ["reference", "fast", "portable", "avx2", "avx512"];
    let kernels: Vec<_> = kernels.into_iter().filter(|name| !lacks(name)).collect();
    assert!(kernels.len() >= 3, "{kernels:?}");
    for golden in goldens() {
        for kernel in &kernels {
            assert_all(&golden, &verify(&golden, &["--kernel", kernel]), "origin");
        }
        for threads in ["1", "2", "7"] {
            assert_all(&golden, &verify(&golden, &["--threads", threads]), "origin");
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
