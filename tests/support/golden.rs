//! Golden files: replayed by the real binary, and taken apart and changed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde_json::Value;
use tempfile::TempDir;

use super::{Run, fixture, run};

/// Arguments that a golden needs besides its own name.
pub fn extra(golden: &Path) -> Vec<String> {
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

pub fn verify(golden: &Path, more: &[&str]) -> Run {
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
pub fn document(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run:?}"))
}

/// A golden file taken apart, changed, and written to a temporary folder.
pub fn rewritten(
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

pub struct Tensor {
    pub dtype: safetensors::Dtype,
    pub shape: Vec<usize>,
    pub data: Vec<u8>,
}
