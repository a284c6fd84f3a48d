//! Into how many tasks a dense layer is cut.
//!
//! Many tasks keep every thread busy to the end, and let the others go on while one is late. But each gathers its inputs
//! anew, and weights that no other task needs are packed in it. So the ways to cut are tried on paper: tasks go to
//! whichever thread is free first, and the way that ends first is taken. Costs are in multiply-adds per tap.

use super::layer::chunks;

/// To gather one pixel's input costs as much as to multiply it by this many channels' weights.
pub(super) const GATHER: usize = 12;

/// To pack one weight costs as much as to multiply it by this many pixels.
pub(super) const PACK: usize = 12;

/// A thread that sleeps is late by about so many multiply-adds.
pub(super) const LATE: usize = 1 << 20;

/// More threads than these are not played through one by one.
const MANY: usize = 8;

/// What is to be cut.
pub(super) struct Cutting {
    /// Output channels of a group, and pixels.
    pub(super) channels: usize,
    pub(super) pixels: usize,
    /// Products per output.
    pub(super) taps: usize,
    /// Channels and pixels of a task at most.
    pub(super) most: [usize; 2],
    /// Channels and pixels of a task are multiples of these.
    pub(super) unit: [usize; 2],
    /// Images by groups: each is cut alike.
    pub(super) copies: usize,
    /// [`GATHER`], if inputs are gathered.
    pub(super) gather: usize,
    /// [`PACK`], or less.
    pub(super) pack: usize,
}

impl Cutting {
    /// Channels and pixels of a task for so many threads.
    pub(super) fn best(&self, threads: usize) -> [usize; 2] {
        let pieces = |of: usize, most: usize, unit: usize, count: usize| {
            most.min(of.div_ceil(count).next_multiple_of(unit)).max(1)
        };
        let channels = |count| pieces(self.channels, self.most[0], self.unit[0], count);
        let pixels = |count| pieces(self.pixels, self.most[1], self.unit[1], count);
        let whole = [channels(1), pixels(1)];
        let tasks = self.channels.div_ceil(whole[0]) * self.pixels.div_ceil(whole[1]) * self.copies;
        let wanted = 4 * threads;
        let work = [self.pixels, self.taps, self.copies]
            .into_iter()
            .fold(self.channels, usize::saturating_mul);
        if threads == 1 || tasks == 0 || tasks >= wanted || work <= LATE {
            return whole;
        }
        let parts = wanted.div_ceil(tasks);
        let mut best = (self.end(whole, threads), whole);
        let mut tried = vec![whole];
        for by_pixels in 1..=parts {
            for by_channels in 1..=parts / by_pixels {
                let cut = [
                    channels(by_channels * self.channels.div_ceil(whole[0])),
                    pixels(by_pixels * self.pixels.div_ceil(whole[1])),
                ];
                if tried.contains(&cut) {
                    continue;
                }
                tried.push(cut);
                let end = self.end(cut, threads);
                // of ways that end at once the one with fewer channels in a task: a thread may be held up
                if end < best.0 || end == best.0 && cut[1] == best.1[1] {
                    best = (end, cut);
                }
            }
        }
        best.1
    }

    /// When the last task ends.
    fn end(&self, [channels, pixels]: [usize; 2], threads: usize) -> usize {
        let late = LATE / self.taps.max(1);
        if threads > MANY {
            // about: who comes when matters less among many
            let count =
                self.channels.div_ceil(channels) * self.pixels.div_ceil(pixels) * self.copies;
            let weights = self.pack * channels;
            return late + count.div_ceil(threads) * (pixels * (channels + self.gather) + weights);
        }
        let mut ends = vec![late; threads];
        ends[0] = 0;
        let shared = self.copies > 1 || pixels < self.pixels;
        for _ in 0..self.copies {
            for channels in chunks(&(0..self.channels), channels) {
                let weights = if shared {
                    0
                } else {
                    self.pack * channels.len()
                };
                for pixels in chunks(&(0..self.pixels), pixels) {
                    // as of some lanes computed together
                    let lanes = pixels.len().next_multiple_of((self.unit[1] / 8).max(1));
                    if let Some(end) = ends.iter_mut().min() {
                        *end += lanes * (channels.len() + self.gather) + weights;
                    }
                }
            }
        }
        let end = ends.iter().max().copied().unwrap_or(0);
        // packed by all threads before all tasks
        end + match shared {
            true => self.channels.div_ceil(threads) * self.pack,
            false => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(
        channels: usize,
        pixels: usize,
        taps: usize,
        copies: usize,
        threads: usize,
    ) -> [usize; 2] {
        let cutting = Cutting {
            channels,
            pixels,
            taps,
            most: [264, 448],
            unit: [8, 32],
            copies,
            gather: GATHER,
            pack: PACK,
        };
        cutting.best(threads)
    }

    #[test]
    fn one_thread_and_many_images_are_not_cut_further() {
        assert_eq!(best(512, 784, 1152, 1, 1), [264, 448]);
        assert_eq!(best(64, 49, 576, 64, 2), [64, 64]);
    }

    #[test]
    fn small_images_are_cut_by_channels_and_large_ones_by_pixels() {
        assert_eq!(best(512, 49, 4608, 1, 2), [256, 64]);
        let [channels, pixels] = best(64, 3136, 576, 1, 2);
        assert_eq!(channels, 64, "gathered twice otherwise");
        assert_eq!(pixels % 32, 0);
        let pieces = 3136usize.div_ceil(pixels);
        assert!(pieces >= 7, "{pieces}");
    }

    #[test]
    fn small_layers_are_not_cut_and_many_threads_get_work() {
        assert_eq!(best(10, 576, 25, 1, 2), [16, 448]);
        let [channels, pixels] = best(256, 3136, 2304, 1, 64);
        let count = 256usize.div_ceil(channels) * 3136usize.div_ceil(pixels);
        assert!((48..=300).contains(&count), "{count}");
    }

    #[test]
    fn nothing_is_cut_where_there_is_nothing() {
        assert_eq!(best(8, 0, 0, 0, 2)[0], 8);
    }
}
