//! Transposed convolutions.
//!
//! Two ways lead to an output element. *Tap by tap*: a matrix product makes for each tap the sum over the input channels,
//! and `col2im` adds up what falls onto the element, taps in the sequence kh, kw (PyTorch's SlowTranspose2d, oneDNN's gemm
//! convolution backwards). Or as the backward pass of a convolution by kernels of their own, which read their input
//! backwards: from +0, partial sums over blocks of channels and kernel columns, the bias last.
//! (aten/src/ATen/native/NaiveConvolutionTranspose2d.cpp; oneDNN 3.13, src/cpu/ref_deconvolution.cpp,
//! gemm_convolution.cpp, x64/jit_brgemm_conv_bwd_strided.cpp)

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use crate::execute::Geometry;
use crate::execute::order::PaddingTaps;
use crate::execute::order::Plan;
use crate::execute::order::Recipe;
use crate::execute::order::Region;
use crate::execute::order::Step;
use crate::execute::order::Walk;
use crate::execute::order::blocks;
use crate::execute::order::brgemm;
use crate::execute::order::gemm;
use crate::execute::order::inverted;
use crate::execute::order::mkl;
use crate::execute::order::name::number;
use crate::execute::order::strided;

/// What the order depends on besides the geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variant {
    /// Tap by tap, by MKL: SlowTranspose2d.
    Mkl(mkl::Library),
    /// The same of channels_last input.
    MklNhwc(mkl::Library),
    /// Tap by tap, by oneDNN's sgemm.
    Gemm {
        /// sgemm kernels.
        kernels: gemm::Kernels,
        /// Threads.
        threads: usize,
        /// Whether the input is channels_last.
        nhwc: bool,
    },
    /// brgemm forwards with the kernel turned round, for stride 1: see [`inverted`].
    Inverted(brgemm::Variant),
    /// A chain from +0 per `channels` input channels, in blocks of `block` of them, in each kh, kw, channel.
    Direct {
        /// Input channels per chain.
        channels: usize,
        /// Input channels per block of the layout.
        block: usize,
        /// AVX2 and AVX-512 fuse, SSE4.1 does not.
        fused: bool,
    },
    /// brgemm for strides: a chain per call, calls added.
    Strided {
        /// Output columns per block, in which kernel columns that do not reach all are called one by one; `None`: a copy
        /// with padding is read, all kernel columns in one call.
        width: Option<usize>,
        /// A call per kernel row.
        rows: bool,
    },
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Variant::Mkl(library) => write!(f, "mkl-transpose2d/{library}"),
            Variant::MklNhwc(library) => write!(f, "mkl-transpose2d-nhwc/{library}"),
            Variant::Gemm {
                kernels,
                threads,
                nhwc,
            } => {
                let layout = if nhwc { "-nhwc" } else { "" };
                let kernels = kernels.name();
                write!(f, "onednn-gemm-backward/{kernels}-t{threads}{layout}")
            }
            Variant::Inverted(variant) => write!(f, "onednn-brgemm-inverted/{variant}"),
            Variant::Direct {
                channels,
                block,
                fused,
            } => {
                let fused = if fused { "" } else { "-muladd" };
                write!(f, "onednn-backward/ic{channels}-block{block}{fused}")
            }
            Variant::Strided { width, rows } => {
                f.write_str("onednn-brgemm-strided/")?;
                match width {
                    Some(width) => write!(f, "edges{width}")?,
                    None => f.write_str("copied")?,
                }
                f.write_str(if rows { "-rows" } else { "" })
            }
        }
    }
}

impl Variant {
    /// Reads what `Display` writes: the family, and the words after its slash.
    pub(super) fn parse(family: &str, words: &[&str]) -> Option<Self> {
        match (family, words) {
            ("mkl-transpose2d", words) => mkl::Library::parse(words).map(Variant::Mkl),
            ("mkl-transpose2d-nhwc", words) => mkl::Library::parse(words).map(Variant::MklNhwc),
            ("onednn-gemm-backward", [kernels, threads, layout @ ..])
                if matches!(layout, [] | ["nhwc"]) =>
            {
                Some(Variant::Gemm {
                    kernels: gemm::Kernels::parse(kernels)?,
                    threads: number(threads, "t").filter(|&t| t <= gemm::MOST_THREADS)?,
                    nhwc: !layout.is_empty(),
                })
            }
            ("onednn-brgemm-inverted", words) => {
                brgemm::Variant::parse(words).map(Variant::Inverted)
            }
            ("onednn-backward", [channels, block, rest @ ..])
                if matches!(rest, [] | ["muladd"]) =>
            {
                Some(Variant::Direct {
                    channels: number(channels, "ic")?,
                    block: number(block, "block")?,
                    fused: rest.is_empty(),
                })
            }
            ("onednn-brgemm-strided", [first, rest @ ..]) if matches!(rest, [] | ["rows"]) => {
                Some(Variant::Strided {
                    width: match *first {
                        "copied" => None,
                        edges => Some(number(edges, "edges")?),
                    },
                    rows: !rest.is_empty(),
                })
            }
            _ => None,
        }
    }
}

/// The plan for `g`.
pub fn plan(g: &Geometry, variant: &Variant) -> Plan {
    match *variant {
        Variant::Mkl(library) => by_mkl(g, &library, false),
        Variant::MklNhwc(library) => by_mkl(g, &library, true),
        Variant::Gemm {
            kernels,
            threads,
            nhwc,
        } => by_gemm(g, kernels, threads, nhwc),
        Variant::Inverted(variant) => inverted::plan(g, &variant),
        Variant::Direct {
            channels,
            block,
            fused,
        } => Plan::uniform(g, direct(g, channels, block, fused)),
        Variant::Strided { width, rows } => strided::plan(g, width, rows),
    }
}

/// What a product gives for input pixels (of one image) and columns (of one group: output channel, kh, kw; of
/// channels_last input kh, kw, output channel).
pub(super) struct Part {
    pub(super) pixels: Range<usize>,
    pub(super) columns: Range<usize>,
    /// Over the input channels.
    pub(super) steps: Vec<Step>,
}

/// Whether every output is one tap's, as it lies: nothing is added up.
fn is_product(g: &Geometry) -> bool {
    g.is_pointwise() && g.output == g.input
}

fn by_mkl(g: &Geometry, library: &mkl::Library, nhwc: bool) -> Plan {
    let mut taps = Taps::new(g, nhwc);
    for group in 0..g.groups {
        for image in 0..g.batch {
            taps.add(image, group, &library.transposed(g, image, group, nhwc));
        }
    }
    taps.finish()
}

fn by_gemm(g: &Geometry, kernels: gemm::Kernels, threads: usize, nhwc: bool) -> Plan {
    let mut taps = Taps::new(g, nhwc);
    let parts = gemm::backward(g, kernels, threads, [is_product(g), nhwc]);
    for group in 0..g.groups {
        for image in 0..g.batch {
            taps.add(image, group, &parts);
        }
    }
    taps.finish()
}

/// Puts the taps of each element together.
struct Taps<'a> {
    g: &'a Geometry,
    /// channels_last: output pixels are added up by the input's, so that their taps come in the opposite sequence.
    nhwc: bool,
    /// The different sums over the channels.
    sums: Vec<Vec<Step>>,
    /// Which recipe has these sums, tap after tap; `None` where a tap is missing.
    recipes: HashMap<Vec<Option<usize>>, usize>,
    plan: Plan,
}

impl<'a> Taps<'a> {
    fn new(g: &'a Geometry, nhwc: bool) -> Self {
        Self {
            g,
            nhwc,
            sums: Vec::new(),
            recipes: HashMap::new(),
            plan: Plan::default(),
        }
    }

    fn sum(&mut self, steps: &[Step]) -> usize {
        let known = self.sums.iter().position(|sum| sum == steps);
        known.unwrap_or_else(|| {
            self.sums.push(steps.to_vec());
            self.sums.len() - 1
        })
    }

    fn recipe(&mut self, sums: Vec<Option<usize>>) -> usize {
        if let Some(&known) = self.recipes.get(&sums) {
            return known;
        }
        let usual = sums.iter().flatten().next().copied().unwrap_or(0);
        let mut steps = vec![Step::Begin { negative: false }];
        let mut taps: Vec<usize> = (0..sums.len()).collect();
        if self.nhwc {
            taps.reverse();
        }
        for tap in taps {
            // a missing tap does not take place, however it would be summed
            let sum = self.sums.get(sums[tap].unwrap_or(usual));
            let sum = sum.map(|sum| shifted(sum, tap * self.g.group_in(), self.nhwc));
            steps.push(Step::Sub(sum.unwrap_or_default()));
        }
        steps.push(Step::Bias);
        let recipe = Recipe {
            walk: Walk::CHANNELS_LAST,
            padding: PaddingTaps::Dropped,
            steps,
        };
        self.plan.recipes.push(recipe);
        let index = self.plan.recipes.len() - 1;
        self.recipes.insert(sums, index);
        index
    }

    fn add(&mut self, image: usize, group: usize, parts: &[Part]) {
        let g = self.g;
        let numbered: Vec<(&Part, usize)> = parts
            .iter()
            .map(|part| (part, self.sum(&part.steps)))
            .collect();
        let first = group * g.group_out();
        let [kernel_rows, kernel_columns] = g.kernel;
        let kernel = kernel_rows * kernel_columns;
        let alike = numbered.first().map_or(0, |part| part.1);
        if numbered.iter().all(|part| part.1 == alike) {
            let recipe = self.recipe(vec![Some(alike); kernel]);
            return self.region(image, first..first + g.group_out(), 0..g.pixels(), recipe);
        }
        for channel in 0..g.group_out() {
            let mut run = 0..0;
            let mut last = None;
            for pixel in 0..g.pixels() {
                let (oh, ow) = (pixel / g.output[1], pixel % g.output[1]);
                let sums = (0..kernel).map(|tap| {
                    let y = g.input_at(0, oh, tap / kernel_columns)?;
                    let x = g.input_at(1, ow, tap % kernel_columns)?;
                    let column = match self.nhwc {
                        true => tap * g.group_out() + channel,
                        false => channel * kernel + tap,
                    };
                    let place = y * g.input[1] + x;
                    let part = numbered.iter().find(|(part, _)| {
                        part.pixels.contains(&place) && part.columns.contains(&column)
                    })?;
                    Some(part.1)
                });
                let recipe = self.recipe_of(sums.collect());
                if last != Some(recipe) {
                    self.close(image, first + channel, &run, last);
                    (run, last) = (pixel..pixel, Some(recipe));
                }
                run.end = pixel + 1;
            }
            self.close(image, first + channel, &run, last);
        }
    }

    fn recipe_of(&mut self, sums: Vec<Option<usize>>) -> usize {
        // taps that are missing need not be told apart from those that are summed as the others
        let mut present = sums.iter().flatten();
        let alike = present.next().copied();
        let sums = match alike {
            Some(first) if present.all(|&sum| sum == first) => vec![Some(first); sums.len()],
            None => vec![Some(0); sums.len()],
            _ => sums,
        };
        self.recipe(sums)
    }

    fn close(&mut self, image: usize, channel: usize, run: &Range<usize>, recipe: Option<usize>) {
        if let Some(recipe) = recipe.filter(|_| !run.is_empty()) {
            self.region(image, channel..channel + 1, run.clone(), recipe);
        }
    }

    fn region(
        &mut self,
        image: usize,
        channels: Range<usize>,
        pixels: Range<usize>,
        recipe: usize,
    ) {
        let region = Region {
            images: image..image + 1,
            channels,
            pixels,
            recipe,
        };
        if !region.is_empty() {
            self.plan.regions.push(region);
        }
    }

    fn finish(mut self) -> Plan {
        self.plan.merge();
        self.plan
    }
}

/// Steps over the channels of one tap, as those of the tap that begins `by` products later, `seek`: whichever came before.
fn shifted(steps: &[Step], by: usize, seek: bool) -> Vec<Step> {
    let seeks = |step: &Step| matches!(step, Step::Seek(_));
    if !seek && !steps.iter().any(seeks) {
        return steps.to_vec();
    }
    let shift = |step: &Step| match step {
        Step::Seek(at) => Step::Seek(at + by),
        step => step.clone(),
    };
    let mut shifted = vec![Step::Seek(by)];
    shifted.extend(steps.iter().map(shift));
    shifted.push(Step::Seek(by + steps.iter().map(Step::taps).sum::<usize>()));
    shifted
}

/// `jit`, `jit_1x1`, `jit_dw` backwards.
fn direct(g: &Geometry, channels: usize, block: usize, fused: bool) -> Recipe {
    let walk = Walk::blocked(block);
    let taps = walk.channels(g) * g.kernel[0] * g.kernel[1];
    let per_chain = channels
        .max(block)
        .saturating_mul(g.kernel[0] * g.kernel[1]);
    let mut steps: Vec<Step> = blocks(taps, per_chain)
        .map(|len| Step::fresh_chain(len, fused))
        .collect();
    steps.push(Step::Bias);
    Recipe {
        walk,
        padding: PaddingTaps::Skipped,
        steps,
    }
}
