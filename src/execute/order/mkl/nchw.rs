//! Contiguous input: y[M = OH*OW pixels, Ng channels] = columns[M, K] * weight[K, Ng], taps in order c, kh, kw.

use std::ops::Range;

use super::Product;
use super::Variant;
use crate::execute::Geometry;
use crate::execute::order::Fold;
use crate::execute::order::Plan;
use crate::execute::order::Step;
use crate::execute::order::Walk;
use crate::execute::order::mkl;

/// Rows and channels below which the big kernels are not used.
const BIG_PIXELS: usize = 12;
const BIG_CHANNELS: usize = 4;

/// The plan for `g`.
pub(super) fn plan(g: &Geometry, variant: &Variant) -> Plan {
    let mut plan = Plan::default();
    let channels = g.group_out();
    for group in 0..g.groups {
        for image in 0..g.batch {
            let product = Product {
                g,
                group,
                image,
                walk: Walk::IM2COL,
            };
            let sgemm = Sgemm { product, variant };
            let big = if g.pixels() >= BIG_PIXELS && channels >= BIG_CHANNELS {
                sgemm.big_channels()
            } else {
                0
            };
            sgemm.add_big(&mut plan, 0..big);
            match g.pixels() {
                1 => sgemm.add_dots(&mut plan, big..channels),
                _ => sgemm.add_small(&mut plan, big..channels),
            }
        }
    }
    plan
}

/// A product on its way to MKL.
struct Sgemm<'a> {
    product: Product<'a>,
    variant: &'a Variant,
}

impl Sgemm<'_> {
    /// Channels (of this group) that the big kernels compute; the rest takes the small path.
    fn big_channels(&self) -> usize {
        let (m, k, n) = (
            self.product.g.pixels(),
            self.product.g.taps(),
            self.product.g.group_out(),
        );
        mkl::big_width(mkl::is_threaded(self.variant, m, k), n, BIG_CHANNELS)
    }

    fn add_big(&self, plan: &mut Plan, channels: Range<usize>) {
        let steps = mkl::big(self.variant.blocks, self.product.g.taps());
        self.product
            .add(plan, channels, 0..self.product.g.pixels(), steps);
    }

    /// Two or more pixels: sequential, but for the first pixels of a channel up to a 16-byte boundary of the output.
    fn add_small(&self, plan: &mut Plan, channels: Range<usize>) {
        let (m, n) = (self.product.g.pixels(), self.product.g.group_out());
        for j in channels {
            let peel = mkl::to_boundary((self.product.image * n + j) * m);
            let peel = if m >= peel + 4 { peel } else { 0 };
            let eights = Step::Fold {
                len: self.product.g.taps(),
                fresh: false,
                fold: Fold::Eights,
            };
            self.product.add(plan, j..j + 1, 0..peel, [eights]);
            self.product.add(
                plan,
                j..j + 1,
                peel..m,
                [Step::chain(self.product.g.taps(), false)],
            );
        }
    }

    /// One pixel: each channel is a dot product of its weight row and the one column.
    fn add_dots(&self, plan: &mut Plan, channels: Range<usize>) {
        let (k, n) = (self.product.g.taps(), self.product.g.group_out());
        let quads = n / 4 * 4;
        for j in channels {
            let (head, lanes, group) = if j < quads {
                // four channels at once; the boundary is that of the fourth one's row, past its first element
                (
                    1 + mkl::to_boundary((self.product.group * n + 3) * k + 1),
                    4,
                    4,
                )
            } else {
                let second_of_more = j % 4 == 1 && n % 4 > 1;
                let lanes = if second_of_more { 4 } else { 8 };
                (1 + mkl::to_boundary(self.column_offset() + 1), lanes, 8)
            };
            let dot = mkl::dot(k, head, lanes, group);
            self.product.add(plan, j..j + 1, 0..1, [dot]);
        }
    }

    /// Elements from a 16-byte boundary to the column that this product reads.
    fn column_offset(&self) -> usize {
        let (g, k) = (self.product.g, self.product.g.taps());
        let pointwise = g.kernel == [1, 1] && g.stride == [1, 1] && g.padding == [0, 0];
        let image = match self.variant.caller.keeps_buffers() {
            true => self.product.image * k,
            false => 0,
        };
        if pointwise && g.batch == 1 {
            image + self.product.group * k // the input itself, narrowed to the group
        } else {
            image
        }
    }
}
