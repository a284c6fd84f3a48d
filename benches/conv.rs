//! Speed of the kernels on layers of well-known models: `cargo bench --bench conv`.
//!
//! Throughput counts multiply-adds as one element each: "Gelem/s" times two is GFLOP/s. One thread, so that runs on
//! different machines compare.

use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use ndarray::Array4;
use pthinspect::execute::Kernel;
use pthinspect::execute::Order;
use pthinspect::execute::conv2d::Arguments;
use pthinspect::execute::conv2d::Padding;
use pthinspect::execute::conv2d::prepare;
use pthinspect::execute::kernel::Memory;
use pthinspect::execute::kernel::Operands;
use pthinspect::execute::kernel::run_with;

struct Layer {
    name: &'static str,
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
    padding: usize,
    image: usize,
    groups: usize,
    order: &'static str,
}

#[rustfmt::skip]
const LAYERS: &[Layer] = &[
    Layer { name: "3x3 64-64 56x56", channels: [64, 64], kernel: 3, stride: 1, padding: 1, image: 56, groups: 1, order: "onednn-direct/ic8" },
    Layer { name: "3x3 64-64 56x56 AVX-512 order", channels: [64, 64], kernel: 3, stride: 1, padding: 1, image: 56, groups: 1, order: "onednn-direct-blocks/ic16" },
    Layer { name: "3x3 256-256 14x14", channels: [256, 256], kernel: 3, stride: 1, padding: 1, image: 14, groups: 1, order: "onednn-direct/ic8" },
    Layer { name: "3x3 512-512 7x7", channels: [512, 512], kernel: 3, stride: 1, padding: 1, image: 7, groups: 1, order: "onednn-direct/ic8" },
    Layer { name: "1x1 256-128 56x56", channels: [256, 128], kernel: 1, stride: 1, padding: 0, image: 56, groups: 1, order: "onednn-1x1/rb128-simd8" },
    Layer { name: "7x7 s2 3-64 224x224", channels: [3, 64], kernel: 7, stride: 2, padding: 3, image: 224, groups: 1, order: "onednn-direct/ic8" },
    Layer { name: "5x5 3-192 32x32", channels: [3, 192], kernel: 5, stride: 1, padding: 2, image: 32, groups: 1, order: "onednn-direct/ic8" },
    Layer { name: "depthwise 3x3 384 14x14", channels: [384, 384], kernel: 3, stride: 1, padding: 1, image: 14, groups: 384, order: "onednn-depthwise/fma" },
    Layer { name: "depthwise 3x3 s2 96 112x112", channels: [96, 96], kernel: 3, stride: 2, padding: 1, image: 112, groups: 96, order: "onednn-depthwise/fma" },
    Layer { name: "grouped 3x3 128 g32 56x56", channels: [128, 128], kernel: 3, stride: 1, padding: 1, image: 56, groups: 32, order: "onednn-direct/ic8" },
];

/// Numbers from -1 to 1 whose sums are no zeros, as a network's are not: xorshift64*.
fn random() -> impl FnMut() -> f32 {
    let mut state = 0x5eed_u64;
    move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let bits = (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32;
        bits / 8_388_608.0 - 1.0
    }
}

fn conv(criterion: &mut Criterion) {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("one thread can be started");
    let mut group = criterion.benchmark_group("conv2d");
    for layer in LAYERS {
        let [c, o] = layer.channels;
        let k = layer.kernel;
        let mut random = random();
        let image = [1, c, layer.image, layer.image];
        let input = Array4::from_shape_simple_fn(image, &mut random);
        let weights = o * (c / layer.groups) * k * k;
        let weight: Vec<f32> = (0..weights).map(|_| random()).collect();
        let arguments = Arguments {
            stride: [layer.stride; 2],
            padding: Padding::Sizes([layer.padding; 2]),
            groups: layer.groups,
            ..Arguments::default()
        };
        let prepared = prepare(input.view(), [o, c / layer.groups, k, k], None, &arguments)
            .expect("the layers above are well formed");
        let g = prepared.geometry;
        let order: Order = layer.order.parse().expect("the orders above exist");
        let plan = order.plan(&g);
        let operands = Operands {
            input: &prepared.input,
            weight: &weight,
            bias: None,
        };
        group.throughput(Throughput::Elements((g.output_len() * g.taps()) as u64));
        group.bench_function(layer.name, |bencher| {
            let mut memory = Memory::default();
            pool.install(|| {
                bencher.iter(|| {
                    let output = run_with(&operands, &g, &plan, Kernel::Fast, &mut memory);
                    memory.output = output;
                });
            });
        });
    }
    group.finish();
}

criterion_group!(benches, conv);
criterion_main!(benches);
