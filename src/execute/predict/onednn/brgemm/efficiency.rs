//! What a cut costs: `brg_blocking_t::est_eff` in src/cpu/x64/jit_brgemm_conv_utils.cpp, in its own float32 steps.

use crate::execute::predict::onednn::brgemm::search::Cut;
use crate::execute::predict::onednn::brgemm::search::Search;
use crate::execute::predict::onednn::sizes::COLUMNS;
use crate::execute::predict::onednn::sizes::ROWS;
use crate::execute::predict::onednn::sizes::div_up;
use crate::execute::predict::onednn::sizes::round_up;

/// Relative cost of an access to the first two levels of cache, and to what lies behind.
const L1: f32 = 1.0;
const L2: f32 = 2.3;
const MEMORY: f32 = 17.0;

/// One operand in one loop: elements of an iteration, and how often they are used again.
#[derive(Clone, Copy)]
struct Use {
    elements: i64,
    times: f32,
    overlap: f32,
}

impl Use {
    fn once(elements: i64) -> Self {
        Self::times(elements, 1)
    }

    fn times(elements: i64, times: i64) -> Self {
        Self {
            elements,
            times: times as f32,
            overlap: 1.0,
        }
    }

    fn overlapping(elements: i64, overlap: i64) -> Self {
        Self {
            overlap: overlap as f32,
            ..Self::once(elements)
        }
    }
}

/// One loop around the kernel's innermost.
#[derive(Clone, Copy)]
struct Loop {
    input: Use,
    output: Use,
    weights: Use,
}

/// How much of the layer one thread gets, at most.
struct Job {
    /// Blocks.
    blocks: i64,
    /// Vectors of output channels.
    vectors: i64,
    /// Blocks of output channels, of pixels in a row, of rows, images.
    channel_blocks: i64,
    pixel_blocks: i64,
    row_blocks: i64,
    images: i64,
    /// Pixels of a row, rows.
    pixels: i64,
    rows: i64,
}

/// Blocks of one cut.
struct Blocks {
    /// Pixels: of a row, or of an image where blocks span rows.
    pixels: i64,
    pixel_blocks: i64,
    row_blocks: i64,
    channel_blocks: i64,
}

impl Search<'_> {
    /// The estimated efficiency of `cut`; more is better.
    pub(super) fn efficiency(&self, cut: &Cut) -> f32 {
        let layer = self.layer;
        let blocks = self.blocks(cut);
        let job = self.job(cut, &blocks);
        let block = cut.pixels(self);
        let filled = |total: i64, block: i64| total as f32 / round_up(total, block) as f32;

        let (vectors, rows) = (cut.tile.vectors as f32, cut.tile.rows as f32);
        let reuse = (vectors * rows) / ((vectors + rows) * self.simd.registers as f32);
        let tile = rows * (2.0 - f32::min(1.9, rows / block as f32)) / 64.0;
        let work = layer.batch * layer.pixels() * layer.groups * layer.out_channels;
        let most_work = self.most_work(cut, &blocks);
        let balance = match most_work {
            0 => 1.0,
            _ => work as f32 / (most_work * self.threads) as f32,
        };
        let products = layer.batch
            * layer.output[ROWS]
            * blocks.pixels
            * layer.in_channels
            * layer.out_channels;
        let cost = self.access_cost(cut, &blocks, &job) + self.call_cost(cut, &job);
        filled(layer.out_channels, cut.out_channels)
            * reuse
            * filled(blocks.pixels, block)
            * balance
            * filled(block, cut.tile.rows)
            * (products as f32 / (self.threads as f32 * cost))
            * ((1.0 + tile) / 2.0)
    }

    fn blocks(&self, cut: &Cut) -> Blocks {
        let [rows, columns] = self.layer.output;
        let pixels = if self.spans_rows {
            rows * columns
        } else {
            columns
        };
        Blocks {
            pixels,
            pixel_blocks: div_up(pixels, cut.pixels(self)),
            row_blocks: div_up(rows, cut.rows),
            channel_blocks: div_up(self.layer.out_channels, cut.out_channels),
        }
    }

    /// Blocks in all.
    fn all_blocks(&self, blocks: &Blocks) -> i64 {
        let layer = self.layer;
        blocks.row_blocks * blocks.pixel_blocks * layer.batch * layer.groups * blocks.channel_blocks
    }

    fn job(&self, cut: &Cut, blocks: &Blocks) -> Job {
        let layer = self.layer;
        let each = div_up(self.all_blocks(blocks), self.threads);
        let image_blocks = blocks.row_blocks * blocks.pixel_blocks;
        let (per_channel, per_pixel) = match self.channels_inner {
            true => (1, layer.groups * blocks.channel_blocks),
            false => (image_blocks, 1),
        };
        let channel_blocks = blocks.channel_blocks.min(div_up(each, per_channel));
        let channels = layer.out_channels.min(channel_blocks * cut.out_channels);
        let pixel_blocks = blocks.pixel_blocks.min(div_up(each, per_pixel));
        let (mut row_blocks, mut rows) = (1, 1);
        if !self.spans_rows {
            row_blocks = blocks
                .row_blocks
                .min(div_up(each, blocks.pixel_blocks * per_pixel));
            rows = layer.output[ROWS].min(row_blocks * cut.rows);
        }
        let image = image_blocks * layer.groups * blocks.channel_blocks;
        Job {
            blocks: each,
            vectors: div_up(channels, self.simd.lanes),
            channel_blocks,
            pixel_blocks,
            row_blocks,
            images: layer.batch.min(div_up(each, image)),
            pixels: blocks.pixels.min(pixel_blocks * cut.pixels(self)),
            rows,
        }
    }

    /// Outputs of the first thread, which has the most (`grid_coverage`).
    fn most_work(&self, cut: &Cut, blocks: &Blocks) -> i64 {
        let layer = self.layer;
        let each = div_up(self.all_blocks(blocks), self.threads);
        let block = cut.pixels(self);
        let channels = (layer.out_channels, cut.out_channels);
        let pixels = (blocks.pixels, block);
        match self.channels_inner {
            true => covered(each, channels, layer.groups, pixels),
            false => covered(each, pixels, blocks.row_blocks, channels),
        }
    }

    /// Input, output and weights through the caches.
    fn access_cost(&self, cut: &Cut, blocks: &Blocks, job: &Job) -> f32 {
        let layer = self.layer;
        let lanes = self.simd.lanes;
        let [kh, kw] = layer.kernel;
        let loops = self.loops(cut, blocks, job);
        let taps = kh * kw * layer.in_channels;
        let mut input = Cost::of(job.images * job.rows * job.pixels * taps);
        let mut output = Cost::of(job.images * job.rows * job.pixels * job.vectors);
        let mut weights = Cost::of(job.vectors * taps);
        let whole = Loop {
            input: Use::once(input.accesses),
            output: Use::once(output.accesses * lanes),
            weights: Use::once(weights.accesses * lanes),
        };
        for each in std::iter::once(&whole).chain(loops.iter().rev()) {
            input.add(&each.input, self.behind(each, true));
            output.add(&each.output, self.behind(each, false));
            weights.add(&each.weights, self.behind(each, false));
        }
        input.total() + output.total() + weights.total()
    }

    /// Relative cost of an access in this loop after the first.
    fn behind(&self, each: &Loop, is_input: bool) -> f32 {
        let input = each.input.elements * 4;
        let all = input + each.weights.elements * 4 + each.output.elements * 4;
        if is_input && input < self.l1 {
            L1
        } else if all < self.l2 {
            L2
        } else {
            MEMORY
        }
    }

    fn call_cost(&self, cut: &Cut, job: &Job) -> f32 {
        let parts = self.parts(cut);
        1000.0 * job.blocks as f32 * parts[0] as f32 * parts[1] as f32 * parts[2] as f32
    }

    /// Blocks of input channels, kernel rows, kernel columns.
    fn parts(&self, cut: &Cut) -> [i64; 3] {
        let layer = self.layer;
        [
            div_up(layer.in_channels, cut.in_channels),
            div_up(layer.kernel[ROWS], cut.kernel[ROWS]),
            div_up(layer.kernel[COLUMNS], cut.kernel[COLUMNS]),
        ]
    }

    /// Input elements of `outputs` outputs of a row, in whole vectors (`rnd_inp_simd`).
    fn input(&self, outputs: i64, kernel: i64, channels: i64) -> i64 {
        let layer = self.layer;
        let columns = layer.columns_read(outputs, kernel);
        if layer.stride[COLUMNS] == 1 && channels >= layer.in_channels {
            round_up(columns * channels, self.simd.lanes)
        } else {
            columns * round_up(channels, self.simd.lanes)
        }
    }

    /// The loops from the innermost on.
    fn loops(&self, cut: &Cut, blocks: &Blocks, job: &Job) -> Vec<Loop> {
        let mut loops = self.kernel_loops(cut);
        self.add_block_loops(&mut loops, cut, blocks, job);
        loops
    }

    /// Those inside one block of the output.
    fn kernel_loops(&self, cut: &Cut) -> Vec<Loop> {
        let lanes = self.simd.lanes;
        let (layer, tile, block) = (self.layer, &cut.tile, cut.pixels(self));
        let [rows, columns] = cut.kernel;
        let [in_parts, row_parts, column_parts] = self.parts(cut);
        let channels = cut.in_channels;
        let weights = cut.out_channels * channels;
        let read = layer.columns_read(tile.rows, columns);
        let tile_input = self.input(tile.rows, columns, channels);
        let output = block * cut.out_channels;
        let inner = |input, weights| Loop {
            input,
            output: Use::once(0),
            weights: Use::once(weights),
        };
        vec![
            inner(Use::overlapping(read * lanes, lanes), cut.out_channels),
            inner(Use::overlapping(tile_input, columns), weights),
            inner(Use::once(tile_input), columns * weights),
            Loop {
                input: Use::once(rows * tile_input),
                output: Use::once(tile.rows * cut.out_channels),
                weights: Use::times(rows * columns * weights, div_up(block, tile.rows)),
            },
            Loop {
                input: Use::once(rows * self.input(block, columns, channels)),
                output: Use::times(output, row_parts * column_parts),
                weights: Use::once(rows * columns * weights),
            },
            Loop {
                input: Use::once(
                    layer.kernel[ROWS] * self.input(block, layer.kernel[COLUMNS], channels),
                ),
                output: Use::times(output, in_parts),
                weights: Use::once(layer.kernel[ROWS] * layer.kernel[COLUMNS] * weights),
            },
        ]
    }

    /// Those over the blocks of the output.
    fn add_block_loops(&self, loops: &mut Vec<Loop>, cut: &Cut, _: &Blocks, job: &Job) {
        let lanes = self.simd.lanes;
        let (layer, block) = (self.layer, cut.pixels(self));
        let [kh, kw] = layer.kernel;
        let taps = kh * kw * layer.in_channels;
        let block_input = kh * self.input(block, kw, layer.in_channels);
        let vectors = match self.channels_inner {
            true => job.vectors,
            false => cut.tile.vectors,
        };
        if self.channels_inner {
            loops.push(Loop {
                input: Use::times(block_input, job.channel_blocks),
                output: Use::once(block * cut.out_channels),
                weights: Use::once(cut.out_channels * taps),
            });
        }
        let weights = taps * vectors * lanes;
        let channels = vectors * lanes;
        loops.push(Loop {
            input: Use::once(block_input),
            output: Use::once(block * channels),
            weights: Use::times(weights, job.pixel_blocks),
        });
        let row_input = kh * self.input(job.pixels, kw, layer.in_channels);
        loops.push(Loop {
            input: Use::once(cut.rows * row_input),
            output: Use::once(job.pixels * channels),
            weights: Use::times(weights, job.row_blocks),
        });
        // the depth, of which there is one
        loops.push(Loop {
            input: Use::once(job.rows * row_input),
            output: Use::once(job.rows * job.pixels * channels),
            weights: Use::once(weights),
        });
        if !self.channels_inner {
            loops.push(Loop {
                input: Use::times(job.rows * row_input, job.channel_blocks),
                output: Use::once(cut.out_channels * job.rows * job.pixels),
                weights: Use::once(cut.out_channels * taps),
            });
        }
        loops.push(Loop {
            input: Use::once(job.rows * row_input),
            output: Use::once(job.rows * job.pixels * job.vectors * lanes),
            weights: Use::times(taps * job.vectors * lanes, job.images),
        });
    }
}

/// Accesses to one operand, and what one of them costs on average.
struct Cost {
    accesses: i64,
    each: f32,
    repeated: f32,
}

impl Cost {
    fn of(accesses: i64) -> Self {
        Self {
            accesses,
            each: MEMORY,
            repeated: 1.0,
        }
    }

    /// One loop further in (`io_k`).
    fn add(&mut self, by: &Use, behind: f32) {
        let n = by.times * by.overlap;
        if n < 1.0 {
            self.each = 0.0;
        } else if n != 1.0 {
            self.each = (self.each + behind * (n - 1.0)) / n;
        }
        self.repeated *= by.times;
    }

    fn total(&self) -> f32 {
        self.each * (self.accesses as f32 * self.repeated)
    }
}

/// Area covered by the first `count` blocks of a grid, (size, block) along the inner axis x and the outer axis y; the
/// inner axis is repeated `times` times (`grid_coverage`).
fn covered(count: i64, (x, x_block): (i64, i64), times: i64, (y, y_block): (i64, i64)) -> i64 {
    let (x_blocks, y_blocks) = (div_up(x, x_block), div_up(y, y_block));
    let (lines, rest) = (count / (times * x_blocks), count % (times * x_blocks));
    let y_end = lines % y_blocks * y_block;
    let y_next = y.min(y_end + y_block);
    let x_end = rest % x_blocks * x_block;
    let whole = times * (lines / y_blocks) * x * y;
    whole + x * times * y_end + (x * (rest / x_blocks) + x_end) * (y_next - y_end)
}
