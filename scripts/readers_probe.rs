//! What other crates read of one file: a JSON line per tensor on stdout, whatever the crate itself says on stderr.
//!
//! `readers_probe READER FILE [KEY...]`, compiled and run by `compare_readers.py`. A line is
//! `{"name": ..., "dtype": ..., "shape": [...], "sha256": ...}`, with `"error"` in place of the hash where the elements
//! could not be had. `list-READER` prints names and shapes alone, for `bench_files.py`. Exit code 1: the crate returned an error, which is the last line of stderr.

use std::collections::BTreeMap;
use std::error::Error;

use serde_json::json;
use sha2::{Digest, Sha256};

type Outcome = Result<(), Box<dyn Error>>;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (reader, path) = (arguments[0].as_str(), arguments[1].as_str());
    let outcome = match reader {
        "pytorch-reader" => pytorch_reader(path),
        "candle" => candle(path, &arguments[2..]),
        "safetensors" => safetensors(path),
        "list-pytorch-reader" => list_pytorch_reader(path),
        "list-candle" => list_candle(path),
        "list-safetensors" => list_safetensors(path),
        other => Err(format!("no reader is called {other}").into()),
    };
    if let Err(error) = outcome {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn show(name: &str, dtype: &str, shape: &[usize], bytes: Result<Vec<u8>, String>) {
    let mut line = json!({"name": name, "dtype": dtype, "shape": shape});
    match bytes {
        Ok(bytes) => {
            let digest = Sha256::digest(&bytes);
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            line["sha256"] = hex.into();
        }
        Err(error) => line["error"] = error.into(),
    }
    println!("{line}");
}

fn pytorch_reader(path: &str) -> Outcome {
    let reader = pytorch_reader::PytorchReader::new(path)?;
    let tensors: BTreeMap<_, _> = reader.tensors().iter().collect();
    for (name, tensor) in tensors {
        let dtype = format!("{:?}", tensor.dtype());
        let bytes = tensor.read().map_err(|error| error.to_string());
        show(name, &dtype, tensor.shape(), bytes);
    }
    Ok(())
}

/// A pickle is read from its root and, as candle's users do for `{"state_dict": ...}`, below each key that is named.
fn candle(path: &str, keys: &[String]) -> Outcome {
    use candle_core::pickle::PthTensors;
    if path.ends_with(".safetensors") {
        let tensors = candle_core::safetensors::load(path, &candle_core::Device::Cpu)?;
        let tensors: BTreeMap<_, _> = tensors.into_iter().collect();
        for (name, tensor) in tensors {
            candle_tensor(&name, &tensor);
        }
        return Ok(());
    }
    let roots = std::iter::once(None).chain(keys.iter().map(|key| Some(key.as_str())));
    for key in roots {
        // the keys are tried, not known to be dicts
        let checkpoint = match (PthTensors::new(path, key), key) {
            (Ok(checkpoint), _) => checkpoint,
            (Err(error), None) => return Err(error.into()),
            (Err(_), Some(_)) => continue,
        };
        let names: BTreeMap<_, _> = checkpoint.tensor_infos().iter().collect();
        for (name, info) in names {
            let full = key.map_or(name.clone(), |key| format!("{key}.{name}"));
            match checkpoint.get(name) {
                Ok(Some(tensor)) => candle_tensor(&full, &tensor),
                Ok(None) => {}
                Err(error) => {
                    let shape = info.layout.shape().dims();
                    show(&full, info.dtype.as_str(), shape, Err(error.to_string()));
                }
            }
        }
    }
    Ok(())
}

fn candle_tensor(name: &str, tensor: &candle_core::Tensor) {
    let mut bytes = Vec::new();
    let outcome = tensor.write_bytes(&mut bytes);
    let bytes = outcome.map(|()| bytes).map_err(|error| error.to_string());
    show(name, tensor.dtype().as_str(), tensor.dims(), bytes);
}

fn safetensors(path: &str) -> Outcome {
    let bytes = std::fs::read(path)?;
    let tensors = safetensors::SafeTensors::deserialize(&bytes)?;
    for (name, view) in tensors.iter() {
        let dtype = view.dtype().to_string();
        show(name, &dtype, view.shape(), Ok(view.data().to_vec()));
    }
    Ok(())
}

fn list_pytorch_reader(path: &str) -> Outcome {
    let reader = pytorch_reader::PytorchReader::new(path)?;
    for (name, tensor) in reader.tensors().iter() {
        println!("{name} {:?}", tensor.shape());
    }
    Ok(())
}

fn list_candle(path: &str) -> Outcome {
    let checkpoint = candle_core::pickle::PthTensors::new(path, None)?;
    for (name, info) in checkpoint.tensor_infos() {
        println!("{name} {:?}", info.layout.shape().dims());
    }
    Ok(())
}

/// As the crate's users do: the file is mapped by candle.
fn list_safetensors(path: &str) -> Outcome {
    // SAFETY: nobody writes to the file meanwhile
    let file = unsafe { candle_core::safetensors::MmapedSafetensors::new(path)? };
    for (name, view) in file.tensors() {
        println!("{name} {:?}", view.shape());
    }
    Ok(())
}
