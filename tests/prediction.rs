//! The predicted backend and implementation against what torch and oneDNN reported (fixtures/predict).
#![allow(clippy::unwrap_used)]

mod support;

use pthinspect::execute::Addressing;
use pthinspect::execute::Call;
use pthinspect::execute::FloatType;
use pthinspect::execute::Geometry;
use pthinspect::execute::MemoryFormat;
use pthinspect::execute::Op;
use pthinspect::execute::order::mkl::KBlocks;
use pthinspect::execute::predict::Backend;
use pthinspect::execute::predict::Isa;
use pthinspect::execute::predict::Machine;
use pthinspect::execute::predict::Narrow;
use pthinspect::execute::predict::Onednn;
use pthinspect::execute::predict::backend;
use pthinspect::execute::predict::predict_on;
use serde_json::Value;

/// A call that torch made, and the implementation that oneDNN reported: none where it was not asked.
struct Recorded {
    call: Call,
    machine: Machine,
    implementation: Option<String>,
}

fn machine(origin: &Value, threads: usize) -> Machine {
    let size = |key: &str| origin[key].as_u64().unwrap() as usize;
    Machine {
        isa: match origin["isa"].as_str().unwrap() {
            "SSE41" => Isa::Sse41,
            "AVX" => Isa::Avx,
            "AVX2" => Isa::Avx2,
            "AVX512_CORE" => Isa::Avx512,
            other => panic!("no ISA is called {other}"),
        },
        onednn: Onednn::NEWEST,
        rounds_operands: false,
        threads,
        mkldnn: true,
        sve: None,
        mkl_blocks: KBlocks::Even(192),
        mkl_cnr: false,
        caches: [size("l1_bytes"), size("l2_bytes")],
        narrow: Narrow::default(),
        nnpack_l1: Some(size("l1_bytes")),
    }
}

fn recorded(file: &str) -> Vec<Recorded> {
    let text = std::fs::read_to_string(support::fixture(file)).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let columns = file["columns"].as_array().unwrap();
    let read = |row: &Value| {
        let cell = |name: &str| &row[columns.iter().position(|c| c == name).unwrap()];
        let size = |name: &str| cell(name).as_u64().unwrap() as usize;
        let pair = |name: &str| ["h", "w"].map(|axis| size(&format!("{name}_{axis}")));
        let input = [size("height"), size("width")];
        let (kernel, stride) = (pair("kernel"), pair("stride"));
        let (padding, dilation) = (pair("padding"), pair("dilation"));
        let output = [0, 1].map(|a| {
            let extent = dilation[a] * (kernel[a] - 1) + 1;
            (input[a] + 2 * padding[a] - extent) / stride[a] + 1
        });
        let geometry = Geometry {
            batch: size("batch"),
            in_channels: size("in_channels"),
            input,
            out_channels: size("out_channels"),
            kernel,
            stride,
            padding,
            dilation,
            groups: size("groups"),
            output,
            addressing: Addressing::Images,
        };
        let memory_format = match cell("memory_format").as_str().unwrap() {
            "contiguous" => MemoryFormat::Contiguous,
            _ => MemoryFormat::ChannelsLast,
        };
        Recorded {
            call: Call {
                op: Op::Conv2d,
                dtype: FloatType::Float32,
                geometry,
                memory_format,
                matmul: false,
            },
            machine: machine(&file["origin"], size("threads")),
            implementation: cell("implementation").as_str().map(str::to_owned),
        }
    };
    file["calls"].as_array().unwrap().iter().map(read).collect()
}

/// Every call's implementation is the predicted one, and at most `unknown` calls are not predicted.
fn check(file: &str, unknown: usize) {
    let mut not_predicted = Vec::new();
    for recorded in recorded(file) {
        let (call, machine) = (&recorded.call, &recorded.machine);
        let chosen = backend::select(&call.geometry, machine.threads, true, true);
        let asked_onednn = recorded.implementation.is_some();
        assert_eq!(chosen == Backend::Mkldnn, asked_onednn, "{call:?}");
        if !asked_onednn {
            continue;
        }
        match predict_on(call, machine) {
            Some(prediction) => assert_eq!(
                Some(prediction.implementation),
                recorded.implementation.as_deref(),
                "{call:?} on {machine:?}"
            ),
            None => not_predicted.push(recorded.implementation.unwrap()),
        }
    }
    assert!(
        not_predicted.len() <= unknown,
        "{file}: {} calls are not predicted: {not_predicted:?}",
        not_predicted.len()
    );
}

#[test]
fn sse41() {
    check("predict/sse41.json", 0);
}

#[test]
fn avx() {
    check("predict/avx.json", 0);
}

#[test]
fn avx2() {
    check("predict/avx2.json", 1);
}

#[test]
fn avx512() {
    check("predict/avx512_core.json", 1);
}
