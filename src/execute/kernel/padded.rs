//! The input with its padding made real, so that no inner loop asks where the image ends.

use super::vector::Simd;
use crate::execute::Addressing;
use crate::execute::Geometry;
use crate::execute::Real;
use crate::execute::order::Tap;

/// Elements that a reader may take past the last one it needs.
pub(super) const SLACK: usize = 64;

/// Elements that a buffer may have whatever the operands' sizes; few in tests, where images then take turns.
const AFFORDABLE: usize = if cfg!(test) { 1 << 11 } else { 1 << 25 };

/// Columns are sorted by their remainder modulo the stride, so that neighbouring output pixels of a row read
/// neighbouring elements: `[N, C, H + 2*pad, stride, ceil((W + 2*pad)/stride)]`, N being as many images as fit.
/// Of a volume all slices follow each other, padded as well. Of a transposed convolution there are `stride - 1` zeros between
/// neighbouring elements, and what is read from it is read with stride 1 and backwards.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Padded {
    /// Elements of one row: stride * ceil(...).
    pub(super) row: usize,
    /// Elements of one phase of a row: of the columns with one remainder.
    pub(super) phase: usize,
    /// Elements of one channel.
    pub(super) plane: usize,
    /// Rows of one slice of a volume; of an image all of them.
    slice: usize,
    /// Of rows and columns, the remainders modulo the stride that any tap reads, as bits; the others are not filled.
    read: [u64; 2],
}

impl Padded {
    /// `None` where one image's padding would cost far more memory than the image and its output: such layers, which
    /// read next to nothing but zeros, are the interpreter's.
    pub(super) fn new(g: &Geometry) -> Option<Self> {
        let around = |size: usize, padding: usize| padding.checked_mul(2)?.checked_add(size);
        let depth = g.depth();
        let [rows, columns, stride] = match g.addressing {
            Addressing::Images | Addressing::Volumes { .. } => {
                let rows = g.input[0] / depth.input.max(1);
                let columns = around(g.input[1], g.padding[1])?;
                [around(rows, g.padding[0])?, columns, g.stride[1]]
            }
            Addressing::Transposed => {
                let size = |axis: usize| g.output[axis].checked_add(last_tap(g, axis));
                [size(0)?, size(1)?, 1]
            }
        };
        let phase = columns.div_ceil(stride);
        let row = phase.checked_mul(stride)?;
        let slices = around(depth.input, depth.padding)?;
        let plane = row.checked_mul(rows.checked_mul(slices)?)?;
        let elements = plane.checked_mul(g.in_channels)?;
        let input = g.in_channels * g.input[0] * g.input[1];
        let output = g.out_channels * g.pixels();
        let affordable = (input + output).saturating_mul(8).max(AFFORDABLE);
        let read = [0, 1].map(|axis| {
            if axis == 0 && g.addressing != Addressing::Images {
                return u64::MAX;
            }
            let remainders = (0..g.kernel[axis]).map(|k| k * g.dilation[axis] % g.stride[axis]);
            remainders.fold(0, |bits, r| bits | 1u64.checked_shl(r as u32).unwrap_or(0))
        });
        (elements <= affordable).then_some(Self {
            row,
            phase,
            plane,
            slice: rows,
            read,
        })
    }

    /// How many images are padded at a time.
    pub(super) fn images_at_once(&self, g: &Geometry) -> usize {
        (2 * AFFORDABLE / (g.in_channels * self.plane).max(1)).max(1)
    }

    /// First element of a group of the `image`-th image in the buffer.
    pub(super) fn group_start(&self, g: &Geometry, image: usize, group: usize) -> usize {
        (image * g.in_channels + group * g.group_in()) * self.plane
    }

    /// What output row `oh`, column `ow` adds to a tap's offset.
    pub(super) fn pixel(&self, g: &Geometry, oh: usize, ow: usize) -> usize {
        let row = match g.addressing {
            Addressing::Images => oh * g.stride[0],
            Addressing::Transposed => oh,
            Addressing::Volumes { depth, .. } => {
                let [_, rows, _] = g.output_slices();
                oh / rows * depth.stride * self.slice + oh % rows * g.stride[0]
            }
        };
        row * self.row + ow
    }

    /// Whether output pixels that follow each other, from row to row as well, read elements that do.
    pub(super) fn in_line(&self, g: &Geometry) -> bool {
        let last = g.output[0].max(1) - 1;
        [last.min(1), last]
            .into_iter()
            .all(|oh| self.pixel(g, oh, 0) == oh * g.output[1])
    }

    /// Offset of a tap from a pixel's place.
    pub(super) fn tap(&self, g: &Geometry, tap: &Tap) -> usize {
        let (row, column) = (tap.row * g.dilation[0], tap.column * g.dilation[1]);
        let within = match g.addressing {
            Addressing::Images => {
                row * self.row + column % g.stride[1] * self.phase + column / g.stride[1]
            }
            Addressing::Transposed => (last_tap(g, 0) - row) * self.row + last_tap(g, 1) - column,
            Addressing::Volumes { depth, .. } => {
                let rows = g.kernel[0] / depth.kernel;
                let slice = tap.row / rows * depth.dilation;
                let row = slice * self.slice + tap.row % rows * g.dilation[0];
                row * self.row + column % g.stride[1] * self.phase + column / g.stride[1]
            }
        };
        tap.channel * self.plane + within
    }

    /// Whether the input can be read as it is: nothing is put around it, and its columns are in order.
    pub(super) fn is_input(g: &Geometry) -> bool {
        !g.may_miss() && g.stride[1] == 1
    }

    fn reads(&self, axis: usize, remainder: usize) -> bool {
        remainder >= 64 || self.read[axis] >> remainder & 1 == 1
    }

    /// Fills one channel of the buffer, which holds zeros or what was filled in before, from one channel of the input.
    #[inline(always)]
    pub(super) fn fill<R: Real, I: Simd<R>, H: Simd<R>>(
        &self,
        (simd, half): (I, H),
        g: &Geometry,
        from: &[R],
        to: &mut [R],
    ) {
        let width = g.input[1];
        if g.addressing == Addressing::Transposed {
            return self.fill_apart(g, from, to);
        }
        macro_rules! rows {
            (|$row:ident, $out:ident| $put:expr) => {
                for (y, $row) in from.chunks_exact(width).enumerate() {
                    if let Some(y) = self.row_of(g, y) {
                        let $out = &mut to[y * self.row..][..self.row];
                        $put;
                    }
                }
            };
        }
        let padding = g.padding[1];
        match g.stride[1] {
            1 if width >= I::LANES => {
                rows!(|row, out| copy_wide(simd, &mut out[padding..][..width], row))
            }
            1 => rows!(|row, out| copy(&mut out[padding..][..width], row)),
            2 if width / 2 >= <H::Short as Simd<R>>::LANES => {
                let places = self.pair_places(g);
                if width / 2 >= I::LANES {
                    rows!(|row, out| fill_pairs(simd, places, row, out));
                } else if width / 2 >= H::LANES {
                    rows!(|row, out| fill_pairs(half, places, row, out));
                } else {
                    rows!(|row, out| fill_pairs(half.short(), places, row, out));
                }
            }
            _ => rows!(|row, out| self.fill_phases(g, row, out)),
        }
    }

    /// Where a row of the input goes, if any tap reads it.
    #[inline(always)]
    fn row_of(&self, g: &Geometry, y: usize) -> Option<usize> {
        match g.addressing {
            Addressing::Volumes { depth, .. } => {
                let rows = (g.input[0] / depth.input.max(1)).max(1);
                Some((y / rows + depth.padding) * self.slice + y % rows + g.padding[0])
            }
            _ => {
                let y = y + g.padding[0];
                (g.stride[0] == 1 || self.reads(0, y % g.stride[0])).then_some(y)
            }
        }
    }

    /// One channel with zeros between its elements; what no output reads is left out.
    fn fill_apart<R: Real>(&self, g: &Geometry, from: &[R], to: &mut [R]) {
        // where the first element lies
        let first = [0, 1].map(|axis| last_tap(g, axis) - g.padding[axis]);
        for (y, row) in from.chunks_exact(g.input[1]).enumerate() {
            let y = y * g.stride[0] + first[0];
            if y >= self.slice {
                break;
            }
            let out = &mut to[y * self.row..][..self.row];
            let columns = out.iter_mut().skip(first[1]).step_by(g.stride[1]);
            columns.zip(row).for_each(|(to, &from)| *to = from);
        }
    }

    /// One row, its columns sorted by their remainder modulo the stride.
    #[inline(always)]
    fn fill_phases<R: Real>(&self, g: &Geometry, row: &[R], out: &mut [R]) {
        let (stride, padding) = (g.stride[1], g.padding[1]);
        for first in 0..stride.min(row.len()) {
            let at = first + padding;
            if self.reads(1, at % stride) {
                let to = &mut out[at % stride * self.phase + at / stride..];
                let columns = row[first..].iter().step_by(stride);
                to.iter_mut()
                    .zip(columns)
                    .for_each(|(to, &from)| *to = from);
            }
        }
    }

    /// Where the first and the second column of a row go if the stride is 2, where any tap reads them.
    fn pair_places(&self, g: &Geometry) -> [Option<usize>; 2] {
        let padding = g.padding[1];
        [padding, padding + 1].map(|at| {
            let is_read = self.reads(1, at % 2);
            is_read.then_some(at % 2 * self.phase + at / 2)
        })
    }
}

/// One row, its columns sorted for a stride of 2, which is usual; for rows of two vectors or more. The last two go back
/// over the ones before.
#[inline(always)]
fn fill_pairs<R: Real, I: Simd<R>>(
    simd: I,
    [even, odd]: [Option<usize>; 2],
    row: &[R],
    out: &mut [R],
) {
    let pairs = row.len() / 2;
    let mut at = 0;
    while at < pairs {
        let from = at.min(pairs - I::LANES);
        let a = simd.load(&row[2 * from..]);
        let b = simd.load(&row[2 * from + I::LANES..]);
        let (a, b) = simd.pairs(a, b);
        if let Some(even) = even {
            simd.store(a, &mut out[even + from..]);
        }
        if let Some(odd) = odd {
            simd.store(b, &mut out[odd + from..]);
        }
        at = from + I::LANES;
    }
    if row.len() % 2 == 1
        && let Some(even) = even
    {
        out[even + pairs] = row[2 * pairs];
    }
}

/// Of a transposed convolution: how far before an output's own place its last tap may read, in elements and the zeros
/// between them; no less than the padding, so that the first element has a place.
fn last_tap(g: &Geometry, axis: usize) -> usize {
    (g.dilation[axis] * (g.kernel[axis] - 1)).max(g.padding[axis])
}

/// Copies slices of one length, mostly short ones: in eights or fours, the last of which goes back over the one before. A
/// call of memcpy would cost more than the copy.
#[inline(always)]
pub(super) fn copy<R: Copy>(to: &mut [R], from: &[R]) {
    match from.len() {
        8.. => copy_by::<R, 8>(to, from),
        4.. => copy_by::<R, 4>(to, from),
        _ => to.iter_mut().zip(from).for_each(|(to, &from)| *to = from),
    }
}

/// The same for a vector or more.
#[inline(always)]
fn copy_wide<R: Real, I: Simd<R>>(simd: I, to: &mut [R], from: &[R]) {
    let last = from.len() - I::LANES;
    let mut at = 0;
    while at < last {
        simd.store(simd.load(&from[at..]), &mut to[at..]);
        at += I::LANES;
    }
    simd.store(simd.load(&from[last..]), &mut to[last..]);
}

#[inline(always)]
fn copy_by<R: Copy, const N: usize>(to: &mut [R], from: &[R]) {
    let to = &mut to[..from.len()];
    let whole = from.len() / N;
    for (to, from) in to
        .as_chunks_mut::<N>()
        .0
        .iter_mut()
        .zip(from.as_chunks::<N>().0)
    {
        *to = *from;
    }
    if whole * N < from.len()
        && let (Some(to), Some(from)) = (to.last_chunk_mut::<N>(), from.last_chunk::<N>())
    {
        *to = *from;
    }
}
