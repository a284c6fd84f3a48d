//! What a cut costs: `brg_blocking_t::est_eff` in src/cpu/x64/jit_brgemm_conv_utils.cpp, in its own float32 steps.

use crate::execute::predict::onednn::brgemm::cost::Accesses;
use crate::execute::predict::onednn::brgemm::cost::Levels;
use crate::execute::predict::onednn::brgemm::cost::Loop;
use crate::execute::predict::onednn::brgemm::cost::Use;
use crate::execute::predict::onednn::brgemm::search::Cut;
use crate::execute::predict::onednn::brgemm::search::Search;
use crate::execute::predict::onednn::sizes::COLUMNS;
use crate::execute::predict::onednn::sizes::ROWS;
use crate::execute::predict::onednn::sizes::div_up;
use crate::execute::predict::onednn::sizes::round_up;

/// Relative cost of an access to the second level of cache, and to what lies behind.
const L2: f32 = 2.3;
const MEMORY: f32 = 17.0;

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
    /// Pixels of a row, rows, slices.
    pixels: i64,
    rows: i64,
    slices: i64,
    /// Blocks of slices.
    slice_blocks: i64,
}

impl Job {
    /// Output pixels of one image.
    fn area(&self) -> i64 {
        self.slices * self.rows * self.pixels
    }
}

/// Blocks of one cut.
struct Blocks {
    /// Pixels: of a row, or of an image where blocks span rows.
    pixels: i64,
    pixel_blocks: i64,
    row_blocks: i64,
    slice_blocks: i64,
    channel_blocks: i64,
}

impl Blocks {
    /// Of one image.
    fn of_image(&self) -> i64 {
        self.slice_blocks * self.row_blocks * self.pixel_blocks
    }
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
            * layer.depth.output
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
            self.layer.pixels()
        } else {
            columns
        };
        Blocks {
            pixels,
            pixel_blocks: div_up(pixels, cut.pixels(self)),
            row_blocks: div_up(rows, cut.rows),
            slice_blocks: div_up(self.layer.depth.output, cut.slices),
            channel_blocks: div_up(self.layer.out_channels, cut.out_channels),
        }
    }

    /// Blocks in all.
    fn all_blocks(&self, blocks: &Blocks) -> i64 {
        let layer = self.layer;
        blocks.of_image() * layer.batch * layer.groups * blocks.channel_blocks
    }

    fn job(&self, cut: &Cut, blocks: &Blocks) -> Job {
        let layer = self.layer;
        let each = div_up(self.all_blocks(blocks), self.threads);
        let image_blocks = blocks.of_image();
        let (per_channel, per_pixel) = match self.channels_inner {
            true => (1, layer.groups * blocks.channel_blocks),
            false => (image_blocks, 1),
        };
        let channel_blocks = blocks.channel_blocks.min(div_up(each, per_channel));
        let channels = layer.out_channels.min(channel_blocks * cut.out_channels);
        let pixel_blocks = blocks.pixel_blocks.min(div_up(each, per_pixel));
        let [mut row_blocks, mut rows, mut slice_blocks, mut slices] = [1; 4];
        if !self.spans_rows {
            let per_row = blocks.pixel_blocks * per_pixel;
            row_blocks = blocks.row_blocks.min(div_up(each, per_row));
            rows = layer.output[ROWS].min(row_blocks * cut.rows);
            let per_slice = blocks.row_blocks * per_row;
            slice_blocks = blocks.slice_blocks.min(div_up(each, per_slice));
            slices = layer.depth.output.min(slice_blocks * cut.slices);
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
            slices,
            slice_blocks,
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
            false => {
                let lines = blocks.slice_blocks * blocks.row_blocks;
                covered(each, pixels, lines, channels)
            }
        }
    }

    /// Input, output and weights through the caches.
    fn access_cost(&self, cut: &Cut, blocks: &Blocks, job: &Job) -> f32 {
        let layer = self.layer;
        let loops = self.loops(cut, blocks, job);
        let taps = layer.kernel_taps() * layer.in_channels;
        let all = Accesses {
            input: job.images * job.area() * taps,
            output: job.images * job.area() * job.vectors,
            weights: job.vectors * taps,
        };
        let levels = Levels {
            l1: self.l1,
            l2: self.l2,
            second: L2,
            memory: MEMORY,
        };
        levels.cost(&loops, all, self.simd.lanes)
    }

    fn call_cost(&self, cut: &Cut, job: &Job) -> f32 {
        let parts = self.parts(cut);
        let calls = parts.map(|parts| parts as f32);
        1000.0 * job.blocks as f32 * calls[0] * calls[1] * calls[2] * calls[3]
    }

    /// Blocks of input channels, kernel slices, kernel rows, kernel columns.
    fn parts(&self, cut: &Cut) -> [i64; 4] {
        let layer = self.layer;
        [
            div_up(layer.in_channels, cut.in_channels),
            div_up(layer.depth.kernel, cut.kernel_slices),
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
        let columns = cut.kernel[COLUMNS];
        let rows = cut.kernel_slices * cut.kernel[ROWS];
        let all_rows = layer.depth.kernel * layer.kernel[ROWS];
        let [in_parts, slice_parts, row_parts, column_parts] = self.parts(cut);
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
                output: Use::times(output, slice_parts * row_parts * column_parts),
                weights: Use::once(rows * columns * weights),
            },
            Loop {
                input: Use::once(all_rows * self.input(block, layer.kernel[COLUMNS], channels)),
                output: Use::times(output, in_parts),
                weights: Use::once(all_rows * layer.kernel[COLUMNS] * weights),
            },
        ]
    }

    /// Those over the blocks of the output.
    fn add_block_loops(&self, loops: &mut Vec<Loop>, cut: &Cut, _: &Blocks, job: &Job) {
        let lanes = self.simd.lanes;
        let (layer, block) = (self.layer, cut.pixels(self));
        let kw = layer.kernel[COLUMNS];
        let kernel_rows = layer.depth.kernel * layer.kernel[ROWS];
        let taps = layer.kernel_taps() * layer.in_channels;
        let block_input = kernel_rows * self.input(block, kw, layer.in_channels);
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
        let row_input = kernel_rows * self.input(job.pixels, kw, layer.in_channels);
        loops.push(Loop {
            input: Use::once(cut.rows * row_input),
            output: Use::once(job.pixels * channels),
            weights: Use::times(weights, job.row_blocks),
        });
        loops.push(Loop {
            input: Use::once(cut.slices * job.rows * row_input),
            output: Use::once(job.rows * job.pixels * channels),
            weights: Use::times(weights, job.slice_blocks),
        });
        let all_input = job.slices * job.rows * row_input;
        if !self.channels_inner {
            loops.push(Loop {
                input: Use::times(all_input, job.channel_blocks),
                output: Use::once(cut.out_channels * job.area()),
                weights: Use::once(cut.out_channels * taps),
            });
        }
        loops.push(Loop {
            input: Use::once(all_input),
            output: Use::once(job.area() * job.vectors * lanes),
            weights: Use::times(taps * job.vectors * lanes, job.images),
        });
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
