//! im2col + oneDNN's own sgemm (`x64:gemm:jit`): what its direct kernels do not take.
//!
//! The layer is cut into blocks of output pixels, output channels and input channels ([`blocking`]); each block is one
//! matrix product ([`sgemm`]), taps in im2col order c, kh, kw, padding taps multiplied as +0; the products of later
//! blocks of input channels are added to the output; the bias is added last (oneDNN 3.13,
//! `execute_forward_thr_ncsp` in src/cpu/gemm_convolution.cpp).

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use crate::execute::Geometry;
use crate::execute::order::PaddingTaps;
use crate::execute::order::Plan;
use crate::execute::order::Recipe;
use crate::execute::order::Step;
use crate::execute::order::Walk;
use crate::execute::order::name::number;
use crate::execute::order::transposed;

mod blocking;
mod nhwc;
mod sgemm;
mod threads;

use blocking::Blocking;
use blocking::Layer;
use sgemm::Call;
use sgemm::Cell;
use threads::Size;

/// Which sgemm kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernels {
    /// For SSE4.1.
    Sse41,
    /// For AVX.
    Avx,
    /// For AVX2 and FMA.
    Avx2,
    /// For AVX-512.
    Avx512,
    /// Written in C++ (`gemm:ref`): those of processors for which there are no others.
    Reference,
}

impl Kernels {
    /// All of them, poorest first.
    pub const ALL: [Kernels; 5] = [
        Kernels::Sse41,
        Kernels::Avx,
        Kernels::Avx2,
        Kernels::Avx512,
        Kernels::Reference,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Kernels::Sse41 => "sse41",
            Kernels::Avx => "avx",
            Kernels::Avx2 => "avx2",
            Kernels::Avx512 => "avx512",
            Kernels::Reference => "ref",
        }
    }

    /// float32 numbers in a vector; on aarch64 oneDNN counts NEON's, whatever there is.
    fn lanes(self) -> i64 {
        match self {
            Kernels::Sse41 | Kernels::Reference => 4,
            Kernels::Avx | Kernels::Avx2 => 8,
            Kernels::Avx512 => 16,
        }
    }

    /// Reads what [`Kernels::name`] gives.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Kernels::ALL.into_iter().find(|k| k.name() == name)
    }

    /// Whether they have fused multiply-add.
    fn fuse(self) -> bool {
        matches!(self, Kernels::Avx2 | Kernels::Avx512 | Kernels::Reference)
    }
}

/// What the order depends on besides the geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// sgemm kernels.
    pub kernels: Kernels,
    /// Threads.
    pub threads: usize,
    /// Level-2 cache of one core, bytes.
    pub l2_bytes: usize,
    /// Whether the input is channels_last.
    pub nhwc: bool,
}

/// More threads than any machine measured, few enough to try them all.
pub const MOST_THREADS: usize = 1024;

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-t{}-l2_", self.kernels.name(), self.threads)?;
        match self.l2_bytes % 1024 {
            0 => write!(f, "{}k", self.l2_bytes / 1024)?,
            _ => write!(f, "{}", self.l2_bytes)?,
        }
        f.write_str(if self.nhwc { "-nhwc" } else { "" })
    }
}

impl Variant {
    /// Reads what `Display` writes: the words after the slash.
    pub(super) fn parse(words: &[&str]) -> Option<Self> {
        let [kernels, threads, l2, layout @ ..] = words else {
            return None;
        };
        if !matches!(layout, [] | ["nhwc"]) {
            return None;
        }
        let l2_bytes = match l2.strip_suffix('k') {
            Some(kib) => number(kib, "l2_")? * 1024,
            None => number(l2, "l2_").filter(|bytes| bytes % 1024 != 0)?,
        };
        Some(Self {
            kernels: Kernels::parse(kernels)?,
            threads: number(threads, "t").filter(|&threads| threads <= MOST_THREADS)?,
            l2_bytes,
            nhwc: !layout.is_empty(),
        })
    }
}

/// What its backward pass gives for each tap of a transposed convolution `g`: `direct` where that is the output itself;
/// `nhwc`: of channels_last input, columns being kh, kw, output channel. (`execute_backward_data_ncsp` and
/// `execute_backward_data_thr_nspc` in src/cpu/gemm_convolution.cpp; where its threads work, in
/// gemm_convolution_utils.cpp.)
pub(super) fn backward(
    g: &Geometry,
    kernels: Kernels,
    threads: usize,
    [direct, nhwc]: [bool; 2],
) -> Vec<transposed::Part> {
    const SMALL: i64 = 64 * 1024;
    let threads = threads as i64;
    let kernel = (g.kernel[0] * g.kernel[1]) as i64;
    let [from, to] = [g.input[0] * g.input[1], g.pixels()].map(|pixels| pixels as i64);
    let [read, made] = [g.group_in(), g.group_out()].map(|channels| channels as i64);
    let lanes = kernels.lanes();
    let blocks = |size: i64| (size + lanes - 1) / lanes;
    let balance = |work: i64| work as f32 / ((work + threads - 1) / threads * threads) as f32;
    let outer = balance((g.groups * g.batch) as i64) / balance(blocks(to) * blocks(made));
    let depthwise = read == 1 && made == 1 && g.groups != 1;
    let may_be_outside = match nhwc {
        true => depthwise || (to / threads < 64 && g.batch != 1),
        false => (from / threads < 512 || kernel < 64) && (g.batch != 1 || g.groups > 2),
    };
    let outside = may_be_outside
        && (outer >= 1.0 || to.saturating_mul(read).saturating_mul(made) / threads < SMALL);
    let columns = made * kernel;
    let [m, n] = if nhwc {
        [columns, from]
    } else {
        [from, columns]
    };
    let [lda, ldb, ldc] = match (nhwc, direct) {
        (true, _) => [read * g.groups as i64, read * g.groups as i64, columns],
        (false, true) => [from, columns, to],
        (false, false) => [from, columns, from],
    };
    let call = Call {
        kernels,
        threads: if outside { 1 } else { threads },
        size: Size { m, n, k: read },
        left_transposed: nhwc,
        transposed: !nhwc,
        lda,
        ldb,
        ldc,
        first_tap: 0,
    };
    let range = |range: &Range<i64>| range.start as usize..range.end as usize;
    let part = |cell: Cell| {
        let [rows, columns] = [range(&cell.rows), range(&cell.columns)];
        let [pixels, columns] = if nhwc {
            [columns, rows]
        } else {
            [rows, columns]
        };
        let steps = cell.steps;
        transposed::Part {
            pixels,
            columns,
            steps,
        }
    };
    call.cells().into_iter().map(part).collect()
}

/// Whether the gemm convolution takes `g`; else the reference convolution has to.
pub fn accepts(g: &Geometry, variant: &Variant) -> bool {
    if variant.nhwc {
        return nhwc::accepts(g, variant);
    }
    Layer::of(g)
        .is_some_and(|layer| Blocking::new(&layer, variant).fits(&layer, g, variant.threads as i64))
}

/// The plan for `g`.
pub fn plan(g: &Geometry, variant: &Variant) -> Plan {
    let unheard_of = || Plan::uniform(g, recipe(vec![Step::chain(g.taps(), true)]));
    if variant.nhwc {
        return nhwc::plan(g, variant).unwrap_or_else(unheard_of);
    }
    let Some(layer) = Layer::of(g) else {
        return unheard_of();
    };
    let mut planner = Planner {
        g,
        layer: &layer,
        variant,
        blocking: Blocking::new(&layer, variant),
        cells: HashMap::new(),
        plan: Plan::default(),
    };
    for thread in 0..planner.outer_threads() {
        planner.add_thread(thread);
    }
    let mut plan = planner.plan;
    plan.merge();
    plan
}

/// The kernels for AVX2 that copy no operands, on one product of `rows` pixels and `columns` channels: MKL has the same
/// for Intel's AVX2.
pub(super) fn tiles_avx2(
    rows: usize,
    columns: usize,
    products: usize,
) -> Vec<(Range<usize>, Range<usize>, Vec<Step>)> {
    let call = Call {
        kernels: Kernels::Avx2,
        threads: 1,
        size: Size {
            m: rows as i64,
            n: columns as i64,
            k: products as i64,
        },
        left_transposed: false,
        transposed: false,
        lda: rows as i64,
        ldb: products as i64,
        ldc: rows as i64,
        first_tap: 0,
    };
    let range = |range: Range<i64>| range.start as usize..range.end as usize;
    call.cells_in_place()
        .into_iter()
        .map(|cell| (range(cell.rows), range(cell.columns), cell.steps))
        .collect()
}

/// The steps of a sum, with what is the same for all of them.
fn recipe(mut steps: Vec<Step>) -> Recipe {
    steps.push(Step::Bias);
    Recipe {
        walk: Walk::IM2COL,
        padding: PaddingTaps::Zero,
        steps,
    }
}

/// Puts the blocks of all threads together.
struct Planner<'a> {
    g: &'a Geometry,
    layer: &'a Layer,
    variant: &'a Variant,
    blocking: Blocking,
    /// The cells of one block, by its pixels and channels.
    cells: HashMap<(i64, i64), Vec<Cell>>,
    plan: Plan,
}

impl Planner<'_> {
    /// Threads that take blocks.
    fn outer_threads(&self) -> i64 {
        if self.blocking.outer {
            self.variant.threads as i64
        } else {
            1
        }
    }

    /// The blocks of one thread.
    fn add_thread(&mut self, thread: i64) {
        let (pixels, channels) = self.share(thread);
        let row = self.layer.pixels;
        let mut at = pixels.start;
        while at < pixels.end {
            let first = at % row;
            let size = self.blocking.pixels.min(row - first).min(pixels.end - at);
            for start in channels
                .clone()
                .step_by(self.blocking.out_channels as usize)
            {
                let end = channels.end.min(start + self.blocking.out_channels);
                self.add_block(at / row, first..first + size, start..end);
            }
            at += size;
        }
    }

    /// Pixels (of all images and groups) and channels of one thread: threads are put into as many teams as there are
    /// shares of channels, and each team deals out the pixels (`balance2D`).
    fn share(&self, thread: i64) -> (Range<i64>, Range<i64>) {
        let threads = self.outer_threads();
        let teams = self.blocking.channel_threads.min(threads);
        let (small, larger_teams) = (threads / teams, threads % teams);
        let in_larger = larger_teams * (small + 1);
        let (team, member, members) = if thread < in_larger {
            (thread / (small + 1), thread % (small + 1), small + 1)
        } else {
            let rest = thread - in_larger;
            (larger_teams + rest / small, rest % small, small)
        };
        // volumes are dealt out by whole slices
        let pixels = match self.layer.volumes {
            false => even_share(self.layer.images_pixels(), members, member),
            true => {
                let slices = even_share(self.layer.images(), members, member);
                slices.start * self.layer.pixels..slices.end * self.layer.pixels
            }
        };
        (pixels, even_share(self.layer.out_channels, teams, team))
    }

    /// One block; `image_group` counts the slices of the groups of all images.
    fn add_block(&mut self, image_group: i64, pixels: Range<i64>, channels: Range<i64>) {
        let size = (pixels.end - pixels.start, channels.end - channels.start);
        let cells = match self.cells.remove(&size) {
            Some(cells) => cells,
            None => self.block_cells(size.0, size.1),
        };
        let slices = self.layer.slices as usize;
        let (image_group, slice) = (image_group as usize / slices, image_group as usize % slices);
        let image = image_group / self.g.groups;
        let group = image_group % self.g.groups;
        let first_channel = group * self.g.group_out() + channels.start as usize;
        let first_pixel = slice * self.layer.pixels as usize + pixels.start as usize;
        let shifted =
            |range: &Range<i64>, by: usize| range.start as usize + by..range.end as usize + by;
        for cell in &cells {
            self.plan.add(
                image..image + 1,
                shifted(&cell.columns, first_channel),
                shifted(&cell.rows, first_pixel),
                recipe(cell.steps.clone()),
            );
        }
        self.cells.insert(size, cells);
    }

    /// The products of all blocks of input channels, one after the other onto the output.
    fn block_cells(&self, m: i64, n: i64) -> Vec<Cell> {
        let layer = self.layer;
        let outer = self.outer_threads() > 1;
        let block = self.blocking.in_channels;
        let calls = (0..layer.in_channels).step_by(block as usize).map(|first| {
            let in_channels = block.min(layer.in_channels - first);
            Call {
                kernels: self.variant.kernels,
                threads: if outer {
                    1
                } else {
                    self.variant.threads as i64
                },
                size: Size {
                    m,
                    n,
                    k: in_channels * layer.kernel,
                },
                left_transposed: false,
                transposed: false,
                lda: if layer.gathers {
                    m
                } else {
                    layer.slices * layer.pixels
                },
                ldb: layer.products(),
                ldc: layer.slices * layer.pixels,
                first_tap: first * layer.kernel,
            }
        });
        calls
            .map(|call| call.cells())
            .reduce(one_after_the_other)
            .unwrap_or_default()
    }
}

/// Two results on the same elements: where their cells intersect, the steps of both.
fn one_after_the_other(first: Vec<Cell>, second: Vec<Cell>) -> Vec<Cell> {
    let mut cells = Vec::new();
    for a in &first {
        for b in &second {
            let common = |a: &Range<i64>, b: &Range<i64>| a.start.max(b.start)..a.end.min(b.end);
            let cell = Cell {
                rows: common(&a.rows, &b.rows),
                columns: common(&a.columns, &b.columns),
                steps: [a.steps.as_slice(), &b.steps].concat(),
            };
            if !cell.rows.is_empty() && !cell.columns.is_empty() {
                cells.push(cell);
            }
        }
    }
    cells
}

/// What `member` of `members` gets of `total`, larger shares first (`balance211`).
fn even_share(total: i64, members: i64, member: i64) -> Range<i64> {
    let (least, more) = (total / members, total % members);
    let start = member * least + member.min(more);
    start..start + least + i64::from(member < more)
}
