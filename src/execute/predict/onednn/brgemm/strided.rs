//! How `brgconv_strided`, the backward pass by which transposed convolutions with a stride are computed, cuts a layer:
//! `calc_blocks` and `est_eff` in src/cpu/x64/jit_brgemm_conv_bwd_utils.cpp (oneDNN 3.13).
//!
//! Input channels are never cut. Each block of output channels, of kernel rows and of output columns is tried, an
//! efficiency is estimated, and the first best wins; of all that only the kernel rows and columns show in the sums.

use crate::execute::predict::Machine;
use crate::execute::predict::onednn::brgemm::cost::Accesses;
use crate::execute::predict::onednn::brgemm::cost::Levels;
use crate::execute::predict::onednn::brgemm::cost::Loop;
use crate::execute::predict::onednn::brgemm::cost::Use;
use crate::execute::predict::onednn::brgemm::tile::Product;
use crate::execute::predict::onednn::brgemm::tile::Simd;
use crate::execute::predict::onednn::brgemm::tile::Tile;
use crate::execute::predict::onednn::sizes::COLUMNS;
use crate::execute::predict::onednn::sizes::ROWS;
use crate::execute::predict::onednn::sizes::Sizes;
use crate::execute::predict::onednn::sizes::div_up;
use crate::execute::predict::onednn::sizes::round_up;

/// One way to cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::execute::predict::onednn) struct Cut {
    /// Output columns of a block.
    pub(in crate::execute::predict::onednn) columns: i64,
    /// Kernel rows in one call.
    pub(in crate::execute::predict::onednn) kernel_rows: i64,
    out_channels: i64,
    rows: i64,
    /// Output pixels that are computed at a time.
    unroll: i64,
}

/// Cuts worth less than this are not taken.
const LEAST_EFFICIENCY: f32 = 0.00001;

/// The best cut of a transposed convolution, its input and output named as such; `None` where none is worth it.
pub(in crate::execute::predict::onednn) fn best(
    s: &Sizes,
    simd: Simd,
    machine: &Machine,
) -> Option<Cut> {
    let search = Search::new(s, simd, machine);
    let mut best: Option<(Cut, f32)> = None;
    let most = div_up(s.group_out, simd.lanes).min(4);
    for vectors in (1..=most).rev() {
        let out_channels = vectors * simd.lanes;
        if !search.is_worth_trying(out_channels) {
            continue;
        }
        let mut heights = vec![s.kernel[ROWS]];
        if s.kernel[ROWS] != 1 {
            heights.push(s.stride[ROWS]);
        }
        for kernel_rows in heights {
            for columns in search.widths(out_channels) {
                let Some(cut) = search.cut(out_channels, kernel_rows, columns) else {
                    continue;
                };
                let efficiency = search.efficiency(&cut);
                if efficiency >= LEAST_EFFICIENCY && best.is_none_or(|(_, than)| efficiency > than)
                {
                    best = Some((cut, efficiency));
                }
            }
        }
    }
    best.map(|(cut, _)| cut)
}

struct Search<'a> {
    s: &'a Sizes,
    simd: Simd,
    threads: i64,
    levels: Levels,
    /// Output columns, made a multiple of the stride.
    columns: i64,
    /// Whether that made them more.
    uneven: bool,
    /// Output channels outside of the pixels (`loop_ngcdhw`).
    channels_outside: bool,
}

impl<'a> Search<'a> {
    fn new(s: &'a Sizes, simd: Simd, machine: &Machine) -> Self {
        let [l1, l2] = machine.caches.map(|bytes| bytes.min(1 << 40) as i64);
        let columns = round_up(s.output[COLUMNS], s.stride[COLUMNS]);
        let uneven = columns != s.output[COLUMNS];
        let input = s.input[ROWS] * s.input[COLUMNS];
        let weights = s.group_out * s.kernel[ROWS] * s.kernel[COLUMNS];
        Self {
            s,
            simd,
            threads: machine.threads as i64,
            levels: Levels {
                l1,
                l2,
                second: 3.0,
                memory: 15.0,
            },
            columns,
            uneven,
            channels_outside: input < weights && !uneven,
        }
    }

    /// `fast_check_ic_block`
    fn is_worth_trying(&self, out_channels: i64) -> bool {
        let s = self.s;
        let all = round_up(s.group_out, self.simd.lanes);
        let strides = s.stride[ROWS] * s.stride[COLUMNS];
        let large = s.input[ROWS] * s.input[COLUMNS] > 81 * strides;
        match out_channels {
            64 => all % 64 == 0 && all * 4 < 192 * 4,
            48 => all % 48 == 0 && all * 4 <= 384 * 4 && large,
            _ => true,
        }
    }

    /// Output columns of a block, the most first.
    fn widths(&self, out_channels: i64) -> Vec<i64> {
        let (s, stride) = (self.s, self.s.stride[COLUMNS]);
        let blocks = div_up(s.group_out, out_channels);
        let work = (s.batch * s.groups * blocks * s.pixels()) as f32;
        let share = (work / (0.9 * self.threads as f32)).ceil() as i64;
        let most = share.clamp(1, self.columns).min(s.output[COLUMNS]);
        let most = if self.uneven {
            round_up(most, stride)
        } else {
            most
        };
        let mut widths: Vec<i64> = (1..=self.columns)
            .map(|parts| div_up(self.columns, parts))
            .filter(|&width| width <= most && width % stride == 0)
            .filter(|&width| self.uneven || self.columns % width == 0)
            .collect();
        widths.dedup();
        widths
    }

    /// `estimate_brgemm_ur`, and `update_blocks` with its exception.
    fn cut(&self, out_channels: i64, kernel_rows: i64, columns: i64) -> Option<Cut> {
        let s = self.s;
        let product = Product {
            rows: div_up(columns, s.stride[COLUMNS]),
            columns: match s.group_out >= out_channels {
                true => out_channels,
                false => s.group_out,
            },
            products: s.group_in,
        };
        let tile = Tile::new(self.simd, &product, 0, self.levels.l1)?;
        let cut = Cut {
            columns,
            kernel_rows,
            out_channels,
            rows: self.rows(out_channels),
            unroll: tile.rows,
        };
        let channels = [s.group_in, s.group_out] == [256; 2];
        let sizes = s.input == [14; 2] && s.output == [28; 2];
        let exception = self.simd.lanes == 16 && channels && sizes;
        Some(
            match exception && s.kernel == [2; 2] && s.stride == [2; 2] {
                true => Cut {
                    columns: 28,
                    rows: 14,
                    out_channels: 64,
                    ..cut
                },
                false => cut,
            },
        )
    }

    /// Output rows of a block (`ih_block`).
    fn rows(&self, out_channels: i64) -> i64 {
        let s = self.s;
        let overflow = |axis: usize| {
            let (stride, reach) = (s.stride[axis], s.extent[axis] - 1);
            let far =
                (s.input[axis] - 1) * stride + s.extent[axis] - s.output[axis] - s.padding[axis];
            let beyond = |padding: i64| (reach - padding).max(0) / stride;
            beyond(s.padding[axis]) + beyond(far)
        };
        let width = s.input[COLUMNS] + overflow(COLUMNS);
        let height = s.input[ROWS] + overflow(ROWS);
        let row = 2 * 4 * s.group_in * width + 4 * s.output[COLUMNS] * out_channels;
        let taps = s.kernel[ROWS] * s.kernel[COLUMNS];
        let other = 4 * taps * s.group_in * out_channels + 4 * 2 * 16 * out_channels;
        let l2 = self.levels.l2;
        let available = div_up(l2, 2).min((l2 - other).max(0));
        let all = s.output[ROWS];
        let mut rows = match height * row > available {
            true => (available / row).clamp(1, all),
            false => all,
        };
        let groups = if s.group_out > 32 { s.groups } else { 1 };
        let work = s.batch * div_up(groups * s.group_out, out_channels);
        rows = rows.min(div_up(all, div_up(self.threads, work)));
        let stride = s.stride[ROWS];
        let fits = |rows: i64| rows % stride == 0 && (all % stride != 0 || all % rows == 0);
        while rows < all && !fits(rows) {
            rows += 1;
        }
        rows
    }

    fn efficiency(&self, cut: &Cut) -> f32 {
        let s = self.s;
        let vectors = cut.out_channels / self.simd.lanes;
        let filled = |total: i64, block: i64| total as f32 / round_up(total, block) as f32;
        let reuse = (vectors as f32 * cut.unroll as f32)
            / ((cut.unroll + vectors) * self.simd.registers) as f32;
        let ratio = cut.unroll as f32 / cut.columns as f32;
        let tile = cut.unroll as f32 * (2.0 - f32::min(1.9, ratio)) / 64.0;
        let blocks = self.blocks(cut);
        let cost = self.cost(cut, &blocks);
        let products = s.batch * s.output[ROWS] * self.columns * s.group_in * s.group_out;
        filled(s.group_out, cut.out_channels)
            * reuse
            * filled(self.columns, cut.columns)
            * self.balance(cut, &blocks)
            * filled(cut.columns, cut.unroll)
            * (products as f32 / (self.threads as f32 * cost))
            * ((1.0 + tile) / 2.0)
    }

    fn blocks(&self, cut: &Cut) -> Blocks {
        Blocks {
            columns: div_up(self.columns, cut.columns)
                .min(div_up(self.s.output[COLUMNS], cut.columns)),
            rows: div_up(self.s.output[ROWS], cut.rows),
            channels: div_up(self.s.group_out, cut.out_channels),
        }
    }

    /// How evenly the work falls on the threads.
    fn balance(&self, cut: &Cut, blocks: &Blocks) -> f32 {
        let s = self.s;
        let work = s.batch * s.groups * blocks.channels * blocks.rows * blocks.columns;
        if div_up(work, self.threads) >= self.threads {
            return work as f32 / round_up(work, self.threads) as f32;
        }
        let jobs: Vec<i64> = (0..self.threads)
            .map(|thread| self.job(cut, blocks, work, thread))
            .collect();
        let most = jobs.iter().copied().max().unwrap_or(0);
        match most {
            0 => 1.0,
            _ => jobs.iter().sum::<i64>() as f32 / (most * self.threads) as f32,
        }
    }

    /// Outputs that a thread is taken to compute; oneDNN counts rows instead of their blocks here, and goes on by two
    /// blocks each time.
    fn job(&self, cut: &Cut, blocks: &Blocks, work: i64, thread: i64) -> i64 {
        if thread >= work {
            return 0;
        }
        let s = self.s;
        let (least, more) = (work / self.threads, work % self.threads);
        let start = thread * least + thread.min(more);
        let end = start + least + i64::from(thread < more);
        // image, row, block of columns, group, block of channels
        let sizes = [
            s.batch,
            s.output[ROWS],
            blocks.columns,
            s.groups,
            blocks.channels,
        ];
        const PIXELS_OUTSIDE: [usize; 5] = [0, 1, 2, 3, 4];
        let order = match self.channels_outside {
            true => [0, 3, 4, 1, 2],
            false => PIXELS_OUTSIDE,
        };
        let mut place = [0; 5];
        let mut rest = start;
        for axis in order.into_iter().rev() {
            place[axis] = rest % sizes[axis];
            rest /= sizes[axis];
        }
        let step = |place: &mut [i64; 5], order: [usize; 5]| {
            for axis in order.into_iter().rev() {
                place[axis] = (place[axis] + 1) % sizes[axis];
                if place[axis] != 0 {
                    break;
                }
            }
        };
        let mut job = 0;
        for _ in start..end {
            let channels = (s.group_out - place[4] * cut.out_channels).min(cut.out_channels);
            job += (self.columns - place[2] * cut.columns).min(cut.columns) * channels;
            step(&mut place, PIXELS_OUTSIDE);
            step(&mut place, order);
        }
        job
    }

    /// Input columns of `outputs` outputs with the whole kernel.
    fn columns_read(&self, outputs: i64) -> i64 {
        let s = self.s;
        let stride = s.kernel[COLUMNS].min(s.stride[COLUMNS]);
        s.input[COLUMNS].min((outputs - 1) * stride + s.extent[COLUMNS])
    }

    /// Elements of them, in whole vectors.
    fn input(&self, outputs: i64) -> i64 {
        let (columns, lanes) = (self.columns_read(outputs), self.simd.lanes);
        match self.s.stride[COLUMNS] {
            1 => round_up(columns * self.s.group_in, lanes),
            _ => columns * round_up(self.s.group_in, lanes),
        }
    }

    /// Accesses to the operands, and calls.
    fn cost(&self, cut: &Cut, blocks: &Blocks) -> f32 {
        let s = self.s;
        let lanes = self.simd.lanes;
        let [kernel_rows, kernel_columns] = s.kernel;
        let (products, taps) = (s.group_in, kernel_rows * kernel_columns);
        let of_image = blocks.rows * blocks.columns;
        let job = div_up(
            s.batch * s.groups * blocks.channels * of_image,
            self.threads,
        );
        let per_channel = if self.channels_outside { of_image } else { 1 };
        let channel_blocks = blocks.channels.min(div_up(job, per_channel));
        let channels = s.group_out.min(channel_blocks * cut.out_channels);
        let vectors = div_up(channels, lanes);
        let per_column = match self.channels_outside {
            true => 1,
            false => s.groups * blocks.channels,
        };
        let column_blocks = blocks.columns.min(div_up(job, per_column));
        let columns = self.columns.min(column_blocks * cut.columns);
        let per_row = blocks.columns * per_column;
        let row_blocks = blocks.rows.min(div_up(job, per_row));
        let rows = s.output[ROWS].min(row_blocks * cut.rows);
        let images = s
            .batch
            .min(div_up(job, of_image * s.groups * blocks.channels));

        let parts = div_up(kernel_rows, cut.kernel_rows);
        let weights = cut.out_channels * products;
        let output = cut.columns * cut.out_channels;
        let tile_input = self.input(cut.unroll);
        let called = cut.kernel_rows * kernel_columns * weights;
        let inner = |input, weights| Loop {
            input,
            output: Use::once(0),
            weights: Use::once(weights),
        };
        let mut loops = vec![
            inner(
                Use::overlapping(self.columns_read(cut.unroll) * lanes, lanes),
                cut.out_channels,
            ),
            inner(Use::overlapping(tile_input, kernel_columns), weights),
            inner(Use::once(tile_input), kernel_columns * weights),
            Loop {
                input: Use::once(cut.kernel_rows * tile_input),
                output: Use::once(cut.unroll * cut.out_channels),
                weights: Use::times(called, div_up(cut.columns, cut.unroll)),
            },
            Loop {
                input: Use::once(cut.kernel_rows * self.input(cut.columns)),
                output: Use::times(output, parts),
                weights: Use::once(called),
            },
            Loop {
                input: Use::once(kernel_rows * self.input(cut.columns)),
                output: Use::once(output),
                weights: Use::once(taps * weights),
            },
        ];
        let block_input = kernel_rows * self.input(cut.columns);
        let together = match self.channels_outside {
            true => cut.out_channels / lanes,
            false => vectors,
        };
        if !self.channels_outside {
            loops.push(Loop {
                input: Use::times(block_input, channel_blocks),
                output: Use::once(output),
                weights: Use::once(taps * weights),
            });
        }
        let weights_together = taps * together * products * lanes;
        loops.push(Loop {
            input: Use::once(block_input),
            output: Use::once(cut.columns * lanes * together),
            weights: Use::times(weights_together, column_blocks),
        });
        let row_input = kernel_rows * self.input(columns);
        loops.push(Loop {
            input: Use::once(cut.rows * row_input),
            output: Use::once(columns * lanes * together),
            weights: Use::times(weights_together, row_blocks),
        });
        loops.push(Loop {
            input: Use::once(rows * row_input),
            output: Use::once(rows * columns * lanes * together),
            weights: Use::once(weights_together),
        });
        if self.channels_outside {
            loops.push(Loop {
                input: Use::times(rows * row_input, channel_blocks),
                output: Use::once(cut.out_channels * rows * columns),
                weights: Use::once(taps * weights),
            });
        }
        loops.push(Loop {
            input: Use::once(rows * row_input),
            output: Use::once(rows * columns * vectors * lanes),
            weights: Use::times(taps * vectors * lanes * products, images),
        });
        let area = images * rows * columns;
        let all = Accesses {
            input: area * taps * products,
            output: area * vectors,
            weights: taps * vectors * products,
        };
        self.levels.cost(&loops, all, lanes) + (job * parts) as f32
    }
}

/// Blocks of one cut.
struct Blocks {
    columns: i64,
    rows: i64,
    channels: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::predict::Origin;
    use crate::execute::predict::onednn::brgemm::tile;

    /// A layer with kernels of `kernel` squared, a stride of 2 and a padding of 1, as generators of images have them.
    fn upsampling(channels: [i64; 2], size: i64, kernel: i64) -> Sizes {
        Sizes {
            batch: 1,
            groups: 1,
            in_channels: channels[0],
            out_channels: channels[1],
            group_in: channels[0],
            group_out: channels[1],
            input: [size; 2],
            output: [(size - 1) * 2 - 2 + kernel; 2],
            kernel: [kernel; 2],
            stride: [2; 2],
            dilation: [1; 2],
            padding: [1; 2],
            extent: [kernel; 2],
            depth: None,
        }
    }

    /// Read off live torch 2.15 (AMD, caches of 32 KiB and 1 MiB).
    #[test]
    fn kernel_rows_are_called_one_by_one_where_their_weights_are_many() {
        let origin = Origin {
            threads: Some(1),
            cpu_capability: Some("AVX512".to_owned()),
            l1_bytes: Some(32 << 10),
            l2_bytes: Some(1 << 20),
            ..Origin::default()
        };
        let machine = origin.machines()[0];
        let rows = |s: &Sizes| best(s, tile::AVX512, &machine).unwrap().kernel_rows;
        assert_eq!(rows(&upsampling([256, 128], 32, 4)), 2);
        assert_eq!(rows(&upsampling([18, 6], 3, 4)), 4);
    }
}
