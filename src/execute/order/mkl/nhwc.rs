//! channels_last input: y[Ng channels, M = OH*OW pixels] = weight[Ng, K] * rows[K, M], taps in order kh, kw, c. This
//! is the product of a linear layer with M rows, and MKL treats it as such.

use super::Product;
use super::Variant;
use crate::execute::Geometry;
use crate::execute::order::Plan;
use crate::execute::order::Walk;
use crate::execute::order::mkl;

/// Channels and pixels below which the big kernels are not used.
const BIG_CHANNELS: usize = 12;
const BIG_PIXELS: usize = 4;

/// The plan for `g`.
pub(super) fn plan(g: &Geometry, variant: &Variant) -> Plan {
    let mut plan = Plan::default();
    let (k, m, n) = (g.taps(), g.pixels(), g.group_out());
    let big = if n >= BIG_CHANNELS && m >= BIG_PIXELS {
        mkl::big_width(mkl::is_threaded(variant, n, k), m, BIG_PIXELS)
    } else {
        0
    };
    for group in 0..g.groups {
        for image in 0..g.batch {
            let product = Product {
                g,
                group,
                image,
                walk: Walk::CHANNELS_LAST,
            };
            product.add(&mut plan, 0..n, 0..big, mkl::big(variant.blocks, k));
            // alignment is that of the image's rows, where every image has its own
            let first = if variant.caller.keeps_buffers() {
                image * m
            } else {
                0
            };
            for pixel in big..m {
                product.add_small(&mut plan, pixel, first + pixel);
            }
        }
    }
    plan
}

impl Product<'_> {
    /// One pixel by dot products; `row` is its row in the buffer.
    fn add_small(&self, plan: &mut Plan, pixel: usize, row: usize) {
        let (k, n) = (self.g.taps(), self.g.group_out());
        let quads = n / 4 * 4;
        let at = pixel..pixel + 1;
        if self.g.pixels() == 1 {
            let head = 1 + mkl::to_boundary(3 * k + 1);
            self.add(plan, 0..quads, at.clone(), [mkl::dot(k, head, 4, 4)]);
            for j in quads..n {
                let lanes = if j % 4 == 1 && n % 4 > 1 { 4 } else { 8 };
                let head = 1 + mkl::to_boundary(row * k + 1);
                self.add(plan, j..j + 1, at.clone(), [mkl::dot(k, head, lanes, 8)]);
            }
        } else if n == 1 {
            // the roles of channels and pixels swap
            let quad = pixel < self.g.pixels() / 4 * 4;
            let (lanes, group) = if quad { (4, 4) } else { (8, 8) };
            self.add(plan, 0..1, at, [mkl::dot(k, 0, lanes, group)]);
        } else {
            let head = mkl::to_boundary(row * k);
            self.add(plan, 0..quads, at.clone(), [mkl::dot(k, head, 4, 4)]);
            self.add(plan, quads..n, at, [mkl::dot(k, head, 8, 8)]);
        }
    }
}
