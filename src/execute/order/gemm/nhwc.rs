//! The gemm convolution on channels_last input (`execute_forward_thr_nspc` in src/cpu/gemm_convolution.cpp, oneDNN 3.13).
//!
//! Rows of the output, or pieces of one row, are one matrix product each: output channels by pixels, products in the
//! sequence kh, kw, c, padding multiplied as +0, all input channels at once; the bias last. How many rows is decided
//! by a rule of its own (`init_conf` in src/cpu/gemm_convolution_utils.cpp, `is_nspc`).

use std::collections::HashMap;
use std::ops::Range;

use crate::execute::Addressing;
use crate::execute::Geometry;
use crate::execute::order::PaddingTaps;
use crate::execute::order::Plan;
use crate::execute::order::Recipe;
use crate::execute::order::Step;
use crate::execute::order::Walk;
use crate::execute::order::gemm::Variant;
use crate::execute::order::gemm::blocking::div_up;
use crate::execute::order::gemm::blocking::round_down;
use crate::execute::order::gemm::blocking::round_up;
use crate::execute::order::gemm::sgemm::Call;
use crate::execute::order::gemm::sgemm::Cell;
use crate::execute::order::gemm::threads::Size;

/// The layer in the units of the rule.
#[derive(Clone, Copy, Debug)]
struct Layer {
    batch: i64,
    groups: i64,
    /// Input, output channels of a group.
    in_channels: i64,
    out_channels: i64,
    /// Rows of all slices, columns.
    input: [i64; 2],
    /// Rows of one slice, columns.
    output: [i64; 2],
    /// Output slices.
    slices: i64,
    /// Whether volumes are convolved: slice by slice, none of which is cut.
    volumes: bool,
    /// Kernel taps: KH*KW.
    kernel: i64,
    dilated: bool,
    /// Whether the columns must be gathered; else the input is used as it lies.
    gathers: bool,
}

impl Layer {
    /// `None` where there is no output, and where sizes would overflow 64 bits.
    fn of(g: &Geometry) -> Option<Self> {
        let size = |value: usize| i64::try_from(value).ok();
        let pair = |[a, b]: [usize; 2]| Some([size(a)?, size(b)?]);
        let [slices, rows, columns] = g.output_slices();
        let depth = g.depth();
        let layer = Self {
            batch: size(g.batch)?,
            groups: size(g.groups)?,
            in_channels: size(g.group_in())?,
            out_channels: size(g.group_out())?,
            input: pair(g.input)?,
            output: pair([rows, columns])?,
            slices: size(slices)?,
            volumes: matches!(g.addressing, Addressing::Volumes { .. }),
            kernel: size(g.kernel[0].checked_mul(g.kernel[1])?)?,
            dilated: g.dilation != [1, 1],
            gathers: g.kernel != [1, 1]
                || g.stride != [1, 1]
                || depth.stride != 1
                || g.output != g.input,
        };
        let channels = layer.groups * (layer.in_channels + layer.out_channels);
        let factors = [
            layer.batch,
            channels,
            layer.kernel,
            layer.input[0] + layer.output[0] * layer.slices,
            layer.input[1] + layer.output[1],
            layer.in_channels,
        ];
        let product = factors.iter().try_fold(1i64, |p, &f| p.checked_mul(f));
        let countable = product.is_some_and(|p| p < 1 << 56);
        (countable && g.pixels() > 0 && g.batch > 0).then_some(layer)
    }

    fn input_pixels(&self) -> i64 {
        self.input[0] * self.input[1]
    }

    fn pixels(&self) -> i64 {
        self.output[0] * self.output[1]
    }

    fn products(&self) -> i64 {
        self.in_channels * self.kernel
    }
}

/// Output rows and columns of one matrix product.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Blocking {
    rows: i64,
    columns: i64,
    /// Whether the threads take blocks; else all of them work inside each product.
    outer: bool,
}

impl Blocking {
    fn new(layer: &Layer, variant: &Variant) -> Self {
        let whole = Self {
            rows: layer.output[0],
            columns: layer.output[1],
            outer: false,
        };
        let cache = (variant.l2_bytes / 4) as i64;
        let depthwise = layer.in_channels == 1 && layer.out_channels == 1 && layer.groups != 1;
        let weights = layer.out_channels * layer.products();
        let images = !layer.volumes && !layer.dilated;
        let cut = images && layer.gathers && !depthwise && weights < cache / 2;
        let blocking = match cut {
            true => whole.cut(layer, variant, cache),
            false => whole,
        };
        Self {
            outer: blocking.outer || !layer.volumes && pays_outside(layer, variant, depthwise),
            ..blocking
        }
    }

    /// Blocks that fit into the cache and keep the threads busy.
    fn cut(self, layer: &Layer, variant: &Variant, cache: i64) -> Self {
        let [height, width] = layer.output;
        let (simd, threads) = (variant.kernels.lanes(), variant.threads as i64);
        let (c_in, c_out) = (layer.in_channels, layer.out_channels);
        let lines = c_in * layer.input[1] + c_out * width;
        let row = 5 * 4 * (layer.products() * width + 2 * lines) + 4 * lines;
        let mut rows = div_up(cache, row).min(height).max(1);
        let mut columns = width;
        if rows == 1 {
            let column = 4 * (layer.products() + 2 * (c_in + c_out));
            columns = div_up(cache, column).min(width).max(1);
        }
        if rows != height {
            rows = round_down(rows, 4).max(1);
        }
        if columns != width {
            columns = round_down(columns, simd).max(1);
        }

        let images = layer.groups * layer.batch;
        let efficiency = |size: i64, block: i64, work: i64| {
            let busy = work as f32 / round_up(work, threads) as f32;
            (busy + size as f32 / round_up(size, block) as f32) / 2.0
        };
        let mut best = 0.0f32;
        if columns == width {
            while rows > 0 {
                best = efficiency(height, rows, images * div_up(height, rows));
                if best >= 0.9 {
                    break;
                }
                rows = if rows < 4 { 0 } else { round_down(rows - 4, 4) };
            }
        }
        if best < 0.9 {
            rows = 1;
            while columns > 0 {
                best = efficiency(width, columns, images * height * div_up(width, columns));
                if best > 0.9 {
                    break;
                }
                columns = if columns < simd {
                    0
                } else {
                    round_down(columns - simd, simd)
                };
            }
        }
        let inner = div_up(layer.pixels(), simd) * div_up(c_out, simd);
        let inner = inner as f32 / round_up(inner, threads) as f32;
        if best >= inner / 2.0 {
            let rows = rows.max(1);
            Self {
                rows,
                columns: if rows == 1 { columns.max(1) } else { width },
                outer: true,
            }
        } else {
            self
        }
    }

    /// Whether the buffers stay within the limit; else the reference convolution runs.
    fn fits(&self, layer: &Layer, threads: i64) -> bool {
        let copies = if self.outer { threads } else { 1 };
        let column = match layer.gathers {
            true => layer.products() * self.rows * self.columns,
            false => 0,
        };
        let image = layer.input_pixels() * layer.in_channels;
        // a buffer is booked with 128 bytes to align it
        let booked = [column, image].map(|elements| match elements {
            0 => 0,
            _ => elements.saturating_mul(4 * copies).saturating_add(128),
        });
        let images = layer.batch * layer.groups;
        let weights = layer.groups * layer.out_channels * layer.products();
        let made = layer.out_channels * layer.slices * layer.pixels();
        let tensors = images * (image + made) + weights;
        let limit = (15 * threads * 4).saturating_mul(tensors).min(1 << 30);
        let indexable = |elements: i64| elements * 4 <= i64::from(i32::MAX);
        booked[0].saturating_add(booked[1]) <= limit && indexable(image) && indexable(made)
    }
}

/// Whether whole images are dealt out to the threads.
fn pays_outside(layer: &Layer, variant: &Variant, depthwise: bool) -> bool {
    let (simd, threads) = (variant.kernels.lanes(), variant.threads as i64);
    let efficiency = |work: i64| work as f32 / round_up(work, threads) as f32;
    let outer = efficiency(layer.groups * layer.batch);
    let inner = efficiency(div_up(layer.input_pixels(), simd) * div_up(layer.in_channels, simd));
    let products = layer.pixels() * layer.in_channels * layer.out_channels;
    (depthwise || (layer.input_pixels() / threads < 64 && layer.batch != 1))
        && (outer / inner >= 1.0 || products / threads < 64 * 1024)
}

/// Whether the gemm convolution takes `g`; else the reference convolution has to.
pub(super) fn accepts(g: &Geometry, variant: &Variant) -> bool {
    Layer::of(g)
        .is_some_and(|layer| Blocking::new(&layer, variant).fits(&layer, variant.threads as i64))
}

/// The plan for `g`; `None` for a layer that no machine computes.
pub(super) fn plan(g: &Geometry, variant: &Variant) -> Option<Plan> {
    let layer = Layer::of(g)?;
    let blocking = Blocking::new(&layer, variant);
    let mut cells: HashMap<i64, Vec<Cell>> = HashMap::new();
    let mut plan = Plan::default();
    for pixels in blocks(&layer, &blocking) {
        let count = pixels.end - pixels.start;
        let cells = cells
            .entry(count)
            .or_insert_with(|| call(&layer, &blocking, variant, count).cells());
        for cell in cells.iter() {
            let pixels = at(&cell.columns, pixels.start);
            for image in 0..g.batch {
                for group in 0..g.groups {
                    let channels = at(&cell.rows, (group * g.group_out()) as i64);
                    let recipe = recipe(&cell.steps);
                    plan.add(image..image + 1, channels, pixels.clone(), recipe);
                }
            }
        }
    }
    plan.merge();
    Some(plan)
}

fn at(range: &Range<i64>, first: i64) -> Range<usize> {
    (first + range.start) as usize..(first + range.end) as usize
}

/// Output pixels of the products of one image.
fn blocks(layer: &Layer, blocking: &Blocking) -> Vec<Range<i64>> {
    let [height, width] = layer.output;
    let mut blocks = Vec::new();
    for slice in 0..layer.slices {
        let first = slice * layer.pixels();
        for top in (0..height).step_by(blocking.rows as usize) {
            let bottom = height.min(top + blocking.rows);
            for left in (0..width).step_by(blocking.columns as usize) {
                let right = width.min(left + blocking.columns);
                // pieces of a row are of one row
                blocks.push(first + top * width + left..first + (bottom - 1) * width + right);
            }
        }
    }
    blocks
}

/// The product for `pixels` of them: rows are output channels, columns pixels.
fn call(layer: &Layer, blocking: &Blocking, variant: &Variant, pixels: i64) -> Call {
    Call {
        kernels: variant.kernels,
        threads: match blocking.outer {
            true => 1,
            false => variant.threads as i64,
        },
        size: Size {
            m: layer.out_channels,
            n: pixels,
            k: layer.products(),
        },
        left_transposed: false,
        transposed: layer.gathers,
        lda: layer.groups * layer.out_channels,
        ldb: match layer.gathers {
            true => pixels,
            false => layer.groups * layer.products(),
        },
        ldc: layer.groups * layer.out_channels,
        first_tap: 0,
    }
}

fn recipe(steps: &[Step]) -> Recipe {
    let mut steps = steps.to_vec();
    steps.push(Step::Bias);
    Recipe {
        walk: Walk::CHANNELS_LAST,
        padding: PaddingTaps::Zero,
        steps,
    }
}
