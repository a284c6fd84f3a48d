//! One convolution with another crate: `bench_probe CRATE FOLDER SECONDS THREADS` prints the best time of a call, in seconds.
//! `bench_probe peak - SECONDS THREADS` prints the peak of fused multiply-adds, in GFLOP/s.
//! Compiled and run by `bench_conv.py`, which writes the operands to FOLDER.

use std::time::{Duration, Instant};

struct Layer {
    input: Vec<usize>,
    weight: Vec<usize>,
    stride: usize,
    padding: usize,
    dilation: usize,
    groups: usize,
    x: Vec<f32>,
    w: Vec<f32>,
    b: Option<Vec<f32>>,
}

fn floats(path: String) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

fn layer(folder: &str) -> Layer {
    let text = std::fs::read_to_string(format!("{folder}/sizes.txt")).unwrap();
    let sizes: Vec<usize> = text.split(' ').map(|n| n.parse().unwrap()).collect();
    Layer {
        input: sizes[..4].to_vec(),
        weight: sizes[4..8].to_vec(),
        stride: sizes[8],
        padding: sizes[9],
        dilation: sizes[10],
        groups: sizes[11],
        x: floats(format!("{folder}/x.raw")),
        w: floats(format!("{folder}/w.raw")),
        b: (sizes[12] == 1).then(|| floats(format!("{folder}/b.raw"))),
    }
}

fn best(seconds: f64, mut run: impl FnMut()) -> f64 {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut best = f64::INFINITY;
    loop {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
        if Instant::now() > end {
            return best;
        }
    }
}

#[cfg(feature = "candle")]
fn candle(layer: &Layer, seconds: f64) -> f64 {
    use candle_core::{Device, Tensor};
    let x = Tensor::from_slice(&layer.x, layer.input.clone(), &Device::Cpu).unwrap();
    let w = Tensor::from_slice(&layer.w, layer.weight.clone(), &Device::Cpu).unwrap();
    let b = layer.b.as_ref().map(|b| Tensor::from_slice(b, (1, b.len(), 1, 1), &Device::Cpu).unwrap());
    best(seconds, || {
        let y = x.conv2d(&w, layer.padding, layer.stride, layer.dilation, layer.groups).unwrap();
        let y = match &b {
            Some(b) => y.broadcast_add(b).unwrap(),
            None => y,
        };
        std::hint::black_box(y);
    })
}

#[cfg(feature = "tract")]
fn tract(layer: &Layer, folder: &str, seconds: f64) -> f64 {
    use tract_onnx::prelude::*;
    let model = tract_onnx::onnx().model_for_path(format!("{folder}/layer.onnx")).unwrap();
    let model = model.into_optimized().unwrap().into_runnable().unwrap();
    let x = Tensor::from_shape(&layer.input, &layer.x).unwrap();
    best(seconds, || {
        std::hint::black_box(model.run(tvec!(x.clone().into())).unwrap());
    })
}

/// Fused multiply-adds from registers to registers: as many independent chains as hide their latency. In GFLOP/s.
fn peak(seconds: f64) -> f64 {
    const CHAINS: usize = 96;
    const STEPS: usize = 20_000;
    let (x, w) = (std::hint::black_box(0.5f32), std::hint::black_box(0.25f32));
    let time = best(seconds, || {
        let mut acc = [0.0f32; CHAINS];
        for _ in 0..STEPS {
            for sum in &mut acc {
                *sum = x.mul_add(w, *sum);
            }
        }
        std::hint::black_box(acc);
    });
    (2 * CHAINS * STEPS) as f64 / 1e9 / time
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (folder, seconds) = (arguments[2].as_str(), arguments[3].parse().unwrap());
    let threads = arguments[4].parse().unwrap();
    if arguments[1] == "peak" {
        let runs: Vec<_> = (0..threads).map(|_| std::thread::spawn(move || peak(seconds))).collect();
        println!("{}", runs.into_iter().map(|run| run.join().unwrap()).sum::<f64>());
        return;
    }
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().unwrap();
    let layer = layer(folder);
    let time: f64 = match arguments[1].as_str() {
        #[cfg(feature = "candle")]
        "candle" => candle(&layer, seconds),
        #[cfg(feature = "tract")]
        "tract" => tract(&layer, folder, seconds),
        other => panic!("{other} was not compiled in"),
    };
    println!("{time}");
}
