//! How the gemm convolution cuts a layer: `init_conf` in src/cpu/gemm_convolution_utils.cpp (oneDNN 3.13), for float32
//! in plain layouts, forward.
//!
//! Output channels, output pixels and input channels are cut into blocks whose size is searched for: a few candidates
//! per way of dealing out the threads, each given an efficiency in float32, the first of the best taken. So the
//! search must be followed to the last rounding.

use crate::execute::Addressing;
use crate::execute::Geometry;
use crate::execute::order::gemm::Variant;

/// The layer in the units of the search.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layer {
    batch: i64,
    groups: i64,
    /// Input, output channels of a group.
    pub(super) in_channels: i64,
    pub(super) out_channels: i64,
    /// Output pixels of an image, or of one slice of a volume.
    pub(super) pixels: i64,
    /// Output slices; 1 of an image.
    pub(super) slices: i64,
    /// Whether volumes are convolved.
    pub(super) volumes: bool,
    input_pixels: i64,
    /// Kernel taps: KH*KW.
    pub(super) kernel: i64,
    stride: [i64; 2],
    /// Whether the columns must be gathered; else the input is used as it lies.
    pub(super) gathers: bool,
}

impl Layer {
    /// `None` where there is no output, and where the costs would overflow 64 bits: no such layer has ever run.
    pub(super) fn of(g: &Geometry) -> Option<Self> {
        let size = |value: usize| i64::try_from(value).ok();
        let [sh, sw] = [size(g.stride[0])?, size(g.stride[1])?];
        let [slices, rows, columns] = g.output_slices();
        let layer = Self {
            batch: size(g.batch)?,
            groups: size(g.groups)?,
            in_channels: size(g.group_in())?,
            out_channels: size(g.group_out())?,
            pixels: size(rows.checked_mul(columns)?)?,
            slices: size(slices)?,
            volumes: matches!(g.addressing, Addressing::Volumes { .. }),
            input_pixels: size(g.input[0].checked_mul(g.input[1])?)?,
            kernel: size(g.kernel[0] * g.kernel[1])?,
            stride: [sh, sw],
            gathers: g.kernel != [1, 1]
                || g.stride != [1, 1]
                || g.depth().stride != 1
                || g.output != g.input,
        };
        let product = |factors: &[i64]| {
            let product = factors.iter().try_fold(1i64, |p, &f| p.checked_mul(f));
            product.filter(|&p| p < 1 << 56)
        };
        // the largest costs: a few accesses for each product of the columns' gathering, and of the result
        let outputs = product(&[layer.images(), layer.pixels])?;
        product(&[outputs + 16, layer.kernel, layer.in_channels, sh, sw])?;
        product(&[
            outputs + 16,
            layer.kernel,
            layer.in_channels,
            layer.out_channels,
        ])?;
        product(&[layer.input_pixels, layer.in_channels, layer.out_channels])?;
        (outputs > 0).then_some(layer)
    }

    /// Output pixels of all images and groups: what is dealt out to threads.
    pub(super) fn images_pixels(&self) -> i64 {
        self.images() * self.pixels
    }

    /// Slices of all images and groups.
    pub(super) fn images(&self) -> i64 {
        self.batch * self.groups * self.slices
    }

    /// Products of one output.
    pub(super) fn products(&self) -> i64 {
        self.in_channels * self.kernel
    }
}

/// The cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Blocking {
    pub(super) out_channels: i64,
    pub(super) pixels: i64,
    pub(super) in_channels: i64,
    /// Threads across the output channels.
    pub(super) channel_threads: i64,
    /// Whether the threads take blocks; else all of them work inside each sgemm.
    pub(super) outer: bool,
}

impl Blocking {
    pub(super) fn new(layer: &Layer, variant: &Variant) -> Self {
        let search = Search::new(layer, variant);
        if search.is_applicable() {
            search.run()
        } else {
            Self {
                out_channels: layer.out_channels,
                pixels: layer.pixels,
                in_channels: layer.in_channels,
                channel_threads: 1,
                outer: search.outer_threading(),
            }
        }
    }

    /// Whether the column buffers stay within the limit; else the reference convolution runs.
    pub(super) fn fits(&self, layer: &Layer, g: &Geometry, threads: i64) -> bool {
        const FLOAT: i64 = 4;
        let column = if layer.gathers {
            FLOAT * self.in_channels * layer.kernel * self.pixels
        } else {
            0
        };
        let buffers = if self.outer { threads } else { 1 };
        // a buffer is booked with 128 bytes to align it
        let booked = match column {
            0 => 0,
            _ => column.saturating_mul(buffers).saturating_add(128),
        };
        let images = layer.batch * layer.groups;
        let input = images * layer.in_channels * layer.input_pixels;
        let weights = g.out_channels as i64 * layer.products();
        let output = layer.images() * layer.out_channels * layer.pixels;
        let limit = (15 * threads * FLOAT).saturating_mul(input + weights + output);
        let indexable = |elements: i64| elements * FLOAT <= i64::from(i32::MAX);
        booked <= limit.min(1 << 30)
            && indexable(layer.input_pixels * layer.in_channels)
            && indexable(layer.slices * layer.pixels * layer.out_channels)
    }
}

/// Blocks of output channels and pixels are tried in at least these sizes.
const LEAST_CHANNELS: i64 = 8;
/// ... and in multiples of these, the tile of the sgemm kernels.
const TILE_CHANNELS: i64 = 8;
const TILE_PIXELS: i64 = 48;

struct Search<'a> {
    layer: &'a Layer,
    threads: i64,
    /// float32 numbers in a vector.
    simd: i64,
    /// float32 numbers in the level-2 cache of a core.
    cache: i64,
    /// Stride area: input pixels per output pixel.
    stride: i64,
}

/// Blocks to try, and the best so far.
#[derive(Clone, Copy)]
struct Best {
    blocking: Blocking,
    efficiency: f32,
}

/// What one thread does, at most.
#[derive(Clone, Copy)]
struct Share {
    channels: i64,
    pixels: i64,
}

impl<'a> Search<'a> {
    fn new(layer: &'a Layer, variant: &Variant) -> Self {
        Self {
            layer,
            threads: variant.threads as i64,
            simd: variant.kernels.lanes(),
            // a cache of 2^40 bytes holds everything, as a larger one would
            cache: variant.l2_bytes.min(1 << 40) as i64 / 4,
            stride: layer.stride[0] * layer.stride[1],
        }
    }

    fn is_applicable(&self) -> bool {
        let l = self.layer;
        let spatial = l.images_pixels();
        if l.volumes {
            false
        } else if l.gathers {
            spatial >= self.threads * self.simd
                || l.pixels < l.batch * l.groups
                || (l.stride[1] == 1 && l.products() as f64 <= 0.05 * l.out_channels as f64)
        } else {
            l.in_channels / l.out_channels < 42
                && l.in_channels * l.out_channels * l.input_pixels < 1024
        }
    }

    /// Without blocks: threads across images and groups, or inside each sgemm?
    fn outer_threading(&self) -> bool {
        let l = self.layer;
        let even = |work: i64| work as f32 / round_up(work, self.threads) as f32;
        let outer = even(l.images());
        let inner = even(div_up(l.pixels, self.simd) * div_up(l.out_channels, self.simd));
        let small = l.pixels * l.in_channels * l.out_channels / self.threads < 64 * 1024;
        l.pixels / self.threads < 512
            && (l.slices != 1 || l.batch != 1 || l.groups > 2)
            && (outer / inner >= 1.0 || small)
    }

    fn run(&self) -> Blocking {
        let mut best = Best {
            blocking: Blocking {
                out_channels: 1,
                pixels: 1,
                in_channels: self.layer.in_channels,
                channel_threads: 1,
                outer: true,
            },
            efficiency: 0.0,
        };
        for channel_threads in 1..=self.threads {
            self.try_threads(channel_threads, &mut best);
        }
        best.blocking
    }

    fn share(&self, channel_threads: i64) -> Share {
        Share {
            channels: div_up(self.layer.out_channels, channel_threads),
            pixels: div_up(self.layer.images_pixels(), self.threads / channel_threads),
        }
    }

    /// The candidates for one way of dealing out threads.
    fn try_threads(&self, channel_threads: i64, best: &mut Best) {
        let share = self.share(channel_threads);
        let all = self.layer.in_channels;
        if !self.layer.gathers {
            let free = self.cache - self.layer.kernel * all;
            let pixels = free / (self.stride * all);
            return self.explore(channel_threads, share.channels, pixels, best);
        }
        self.try_blocks(channel_threads, share.channels, share.pixels, best);
        let b = &best.blocking;
        let whole = (b.out_channels, b.pixels, b.in_channels);
        if whole == (share.channels, share.pixels, all) {
            return;
        }
        let memory = Memory::of(self, &share);

        // all input channels at once
        let channels = memory
            .channels_beside(all, self.simd)
            .clamp_to(LEAST_CHANNELS, share.channels);
        let pixels = memory
            .pixels_beside(all, channels)
            .clamp_to(self.simd, share.pixels);
        self.explore(channel_threads, channels, pixels, best);

        // input channels in even blocks that fit
        if let Some((channels, pixels)) = memory.with_channel_blocks(self, &share) {
            self.explore(channel_threads, channels, pixels, best);
        }

        // as many output channels as possible
        let pixels = round_down(memory.pixels_beside(all, share.channels), self.simd);
        self.explore(channel_threads, share.channels, pixels.max(self.simd), best);
    }

    /// These blocks, and rounded to the tiles of sgemm.
    fn explore(&self, channel_threads: i64, channels: i64, pixels: i64, best: &mut Best) {
        let mut try_blocks = |channels, pixels| {
            self.try_blocks(channel_threads, channels, pixels, best);
        };
        let wide = round_up(channels, TILE_CHANNELS);
        try_blocks(channels, pixels);
        try_blocks(
            round_down(channels, TILE_CHANNELS),
            round_down(pixels, TILE_PIXELS),
        );
        try_blocks(wide, round_down(pixels, TILE_PIXELS));
        try_blocks(wide, round_up(pixels, self.simd));
        try_blocks(wide, round_up(pixels, TILE_PIXELS));
    }

    /// One candidate; it replaces the best only where it is strictly better.
    fn try_blocks(&self, channel_threads: i64, channels: i64, pixels: i64, best: &mut Best) {
        let share = self.share(channel_threads);
        let row = self.layer.pixels.min(share.pixels);
        let channels = channels.clamp_to(LEAST_CHANNELS, share.channels);
        let pixels = pixels.clamp_to(self.simd, share.pixels);
        let (channels, pixels) = (channels.min(share.channels), pixels.min(row));
        let fitting = self.in_channels_in_cache(channels, pixels, &share);
        let parts = div_up(self.layer.in_channels, fitting.max(1));
        let candidate = Candidate {
            search: self,
            share,
            channels,
            pixels,
            in_channels: (self.layer.in_channels / parts).max(1),
            // beyond the cache every access costs more
            access: if fitting < 1 { 20 } else { 1 },
        };
        let efficiency = candidate.efficiency(self.thread_balance(channel_threads));
        if efficiency > best.efficiency {
            *best = Best {
                efficiency,
                blocking: Blocking {
                    out_channels: channels,
                    pixels,
                    in_channels: candidate.in_channels,
                    channel_threads,
                    outer: true,
                },
            };
        }
    }

    /// The least work of a thread against the most (as `balance2D` deals it out).
    fn thread_balance(&self, channel_threads: i64) -> f32 {
        let (threads, out) = (self.threads, self.layer.out_channels);
        let spatial = self.layer.images_pixels();
        let most = self.share(channel_threads);
        let least_channels = (out / channel_threads).max(1);
        let [spare_channels, spare_threads] = [out % channel_threads, threads % channel_threads];
        let most_work = if spare_channels > spare_threads {
            most.channels * most.pixels
        } else {
            let least_pixels = div_up(spatial, div_up(threads, channel_threads));
            (most.channels * least_pixels).max(least_channels * most.pixels)
        };
        let least_pixels = (spatial / div_up(threads, channel_threads)).max(1);
        let least_work = if spare_threads > spare_channels {
            least_channels * least_pixels
        } else {
            let pixels = spatial / (threads / channel_threads);
            (most.channels * least_pixels).min(least_channels * pixels)
        };
        least_work as f32 / most_work as f32
    }

    /// Input channels whose operands fit into the cache (`calc_max_icb`); zero or less: not even one.
    fn in_channels_in_cache(&self, channels: i64, pixels: i64, share: &Share) -> i64 {
        let kernel = self.layer.kernel;
        let input = self.stride * pixels;
        let column = kernel * pixels;
        let weights = kernel * share.channels;
        let one_pass = pixels >= share.pixels;
        if !self.layer.gathers {
            return self.cache / if one_pass { input } else { input + weights };
        }
        let free = self.cache - channels * pixels;
        let several_passes = free / (input + column + weights);
        if !one_pass {
            return several_passes;
        }
        let mut fitting = self.cache / (input + column);
        if channels < share.channels {
            fitting = fitting.min(free / (column + kernel * channels));
        }
        if fitting < self.layer.in_channels {
            several_passes
        } else {
            fitting
        }
    }
}

/// The balance a*ic*os + b*ic + oc*os = cache between blocks of input channels (ic), output channels (oc) and output
/// pixels (os), solved for one of them.
struct Memory {
    /// Input and column elements per input channel and pixel.
    a: i64,
    /// Weights per input channel.
    b: i64,
    cache: i64,
}

impl Memory {
    fn of(search: &Search<'_>, share: &Share) -> Self {
        Self {
            a: search.stride + search.layer.kernel,
            b: search.layer.kernel * share.channels,
            cache: search.cache,
        }
    }

    fn pixels_beside(&self, in_channels: i64, channels: i64) -> i64 {
        (self.cache - self.b * in_channels) / (self.a * in_channels + channels)
    }

    fn channels_beside(&self, in_channels: i64, pixels: i64) -> i64 {
        (self.cache - self.a * in_channels * pixels - self.b * in_channels) / pixels
    }

    /// Output channels and pixels where the input channels are cut; `None` where they need not be.
    fn with_channel_blocks(&self, search: &Search<'_>, share: &Share) -> Option<(i64, i64)> {
        let all = search.layer.in_channels;
        let most = (self.cache / (2 * LEAST_CHANNELS * self.a + 2 * self.b)).max(1);
        if most >= all {
            return None;
        }
        let even = all / (all / most).max(1);
        let pixels = ((self.cache - 2 * self.b * even) / (2 * even * self.a)).max(1);
        let channels = self.cache / 2 / pixels;
        Some(if channels > share.channels {
            let pixels = self.pixels_beside(even, share.channels);
            (share.channels, pixels.clamp_to(search.simd, share.pixels))
        } else if pixels > share.pixels {
            let channels = self.channels_beside(even, share.pixels);
            (
                channels.clamp_to(LEAST_CHANNELS, share.channels),
                share.pixels,
            )
        } else {
            (channels, pixels)
        })
    }
}

/// Blocks whose efficiency is asked for.
struct Candidate<'a> {
    search: &'a Search<'a>,
    share: Share,
    channels: i64,
    pixels: i64,
    in_channels: i64,
    /// Cost of an access to memory.
    access: i64,
}

impl Candidate<'_> {
    /// oneDNN's estimate, in its own float32 steps.
    fn efficiency(&self, thread_balance: f32) -> f32 {
        let layer = self.search.layer;
        let filled = |whole: i64, block: i64| whole as f32 / round_up(whole, block) as f32;
        let row = layer.pixels.min(self.share.pixels);
        let product = power(thread_balance, 8.0)
            * filled(self.share.channels, self.channels)
            * filled(row, self.pixels)
            * filled(layer.in_channels, self.in_channels)
            * filled(self.pixels, 3 * self.search.simd)
            * self.products_per_access()
            * self.part_of_share().sqrt()
            * self.products_per_size();
        power(product, 1.0 / 14.5)
    }

    /// Products against accesses to memory.
    fn products_per_access(&self) -> f32 {
        let (search, layer) = (self.search, self.search.layer);
        let simd = search.simd;
        let Share { channels, pixels } = self.share;
        let parts = div_up(layer.in_channels, self.in_channels);
        // read again and written again for every part but the first
        let output = self.access * (channels * round_up(pixels, simd)) * (2 * parts - 1);
        let input_size = layer.in_channels * round_up(pixels * search.stride, simd);
        let input = self.access * layer.kernel * input_size;
        let weights = self.access * (channels * round_up(layer.products(), simd));
        let accesses = input + self.column_accesses(input_size) + weights + output;
        pixels as f32 / simd as f32 * channels as f32 * layer.products() as f32 / accesses as f32
    }

    /// Writing the columns and reading them; eightfold where the input is strided.
    fn column_accesses(&self, input_size: i64) -> i64 {
        let layer = self.search.layer;
        if !layer.gathers {
            return 0;
        }
        let filled = round_up(self.pixels, self.search.simd) as f32 / self.pixels as f32;
        let once = layer.kernel as f32 * input_size as f32 * filled;
        let accesses = (self.access as f32 * (once + once)) as i64;
        match layer.stride[1] {
            1 => accesses,
            _ => (accesses as f32 * 8.0) as i64,
        }
    }

    /// Products of one sgemm against those of the whole share.
    fn part_of_share(&self) -> f32 {
        let layer = self.search.layer;
        let block =
            self.pixels as f32 * self.channels as f32 * (self.in_channels * layer.kernel) as f32;
        let share = self.share.pixels as f32 * self.share.channels as f32 * layer.products() as f32;
        block / share
    }

    /// Products of one sgemm against the size of its operands.
    fn products_per_size(&self) -> f32 {
        let simd = self.search.simd;
        let products = self.in_channels * self.search.layer.kernel;
        let pixels = round_up(self.pixels, simd);
        let size =
            pixels * products + self.channels * round_up(products, simd) + self.channels * pixels;
        self.pixels as f32 / simd as f32 * self.channels as f32 * products as f32 / size as f32
    }
}

/// `powf`: computed in double precision, so that rounding to single hides the last bits in which libraries differ.
fn power(base: f32, exponent: f32) -> f32 {
    f64::from(base).powf(f64::from(exponent)) as f32
}

trait ClampTo {
    /// At most `most`, and then at least `least`, which may be more.
    fn clamp_to(self, least: Self, most: Self) -> Self;
}

impl ClampTo for i64 {
    fn clamp_to(self, least: i64, most: i64) -> i64 {
        self.min(most).max(least)
    }
}

/// `a / b` rounded up for `a`, `b` above zero; 0 for less.
pub(super) fn div_up(a: i64, b: i64) -> i64 {
    if a <= 0 { 0 } else { 1 + (a - 1) / b }
}

/// `a` rounded up to a multiple of `b`.
pub(super) fn round_up(a: i64, b: i64) -> i64 {
    div_up(a, b) * b
}

/// `a` rounded towards zero to a multiple of `b`.
pub(super) fn round_down(a: i64, b: i64) -> i64 {
    a / b * b
}
