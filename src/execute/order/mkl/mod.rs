//! im2col + MKL's gemm: PyTorch's Slow2d and SlowDilated2d backends.
//!
//! A layer is one matrix product per image and group, over K = (C/G)*KH*KW products with the total starting as the
//! bias (beta = 1) and padding taps multiplied as +0. Contiguous input is handed over as columns, channels_last input
//! as rows. What MKL does with a product is told in three places:
//!
//! * [`threads`]: several threads cut the product into a grid of shares, by rules of its sizes alone;
//! * [`product`]: a share is computed by *big* kernels, K cut into blocks and each block one chain, where it is large
//!   enough; what is left at the edges, and small products as a whole, by *small* ones;
//! * [`edges`]: those are plain SSE code, product and sum rounded separately. Which of its loops an element falls into
//!   depends on 16-byte alignment, which PyTorch's 64-byte aligned buffers make predictable.
//!
//! Where `MKL_CBWR` is set, to whatever, MKL looks at no alignment and deals out rows or columns evenly ("conditional
//! numerical reproducibility"); only the value COMPATIBLE chooses other kernels.
//!
//! MKL's source is closed. All of this was measured on AMD processors, with and without AVX-512, by calling the
//! library with values that tell one summation tree from another, and then held against random products: 2,500 of
//! float32 and 1,500 of float64, with up to 24 threads and any alignment, all of them identical in every element.

use std::fmt;

use crate::execute::Geometry;
use crate::execute::order::PaddingTaps;
use crate::execute::order::Plan;
use crate::execute::order::Recipe;
use crate::execute::order::Step;
use crate::execute::order::Walk;
use crate::execute::order::name::number;
use crate::execute::order::transposed;

mod blocks;
mod edges;
mod product;
mod threads;

pub use blocks::KBlocks;
use product::Form;
use product::Part;
use product::Product;

/// Which of PyTorch's callers, with which input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// Slow2d: images in parallel, a column buffer for each.
    Slow2d,
    /// SlowDilated2d: one image after the other through the same column buffer.
    SlowDilated2d,
    /// Slow2d of channels_last input.
    Slow2dNhwc,
    /// SlowDilated2d of channels_last input.
    SlowDilated2dNhwc,
    /// Slow3d with groups: one unfolded volume for all of them (`baddbmm`).
    Slow3dGroups,
    /// A Linear (`addmm`): the images are the vectors of its input.
    Linear,
    /// The same where PyTorch multiplies first and adds the bias afterwards (`matmul`): an input that is not contiguous
    /// and has more axes than two.
    Matmul,
}

impl Caller {
    const ALL: [(Caller, &'static str); 7] = [
        (Caller::Slow2d, "mkl-slow2d"),
        (Caller::SlowDilated2d, "mkl-slow-dilated2d"),
        (Caller::Slow2dNhwc, "mkl-slow2d-nhwc"),
        (Caller::SlowDilated2dNhwc, "mkl-slow-dilated2d-nhwc"),
        (Caller::Slow3dGroups, "mkl-slow3d-groups"),
        (Caller::Linear, "mkl-linear"),
        (Caller::Matmul, "mkl-matmul"),
    ];

    /// The family's name.
    fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(caller, _)| *caller == self)
            .map_or("mkl", |(_, name)| name)
    }

    /// Whether every image has a buffer of its own.
    fn keeps_buffers(self) -> bool {
        !matches!(self, Caller::SlowDilated2d | Caller::SlowDilated2dNhwc)
    }

    /// Whether the product is weight * rows instead of columns * weight.
    fn is_channels_last(self) -> bool {
        !matches!(
            self,
            Caller::Slow2d | Caller::SlowDilated2d | Caller::Slow3dGroups
        )
    }

    /// Whether it is one product of all images.
    fn is_linear(self) -> bool {
        matches!(self, Caller::Linear | Caller::Matmul)
    }
}

/// What the order depends on besides the geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// Caller.
    pub caller: Caller,
    /// MKL's kernels, known by their blocks of K.
    pub blocks: KBlocks,
    /// dgemm instead of sgemm.
    pub double: bool,
    /// Conditional numerical reproducibility: `MKL_CBWR` is set, to whatever.
    pub cnr: bool,
    /// Threads that one product runs with.
    pub threads: usize,
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.caller.name(), self.library())
    }
}

impl Variant {
    /// The steps of a product, and what comes before and after them.
    ///
    /// Without a bias the total begins as +0: SlowDilated2d fills the output with it, MKL does for Slow2d (beta = 0),
    /// unless it is only to multiply.
    fn around(&self, product: &Product, steps: Vec<Step>) -> Vec<Step> {
        let multiplies = self.caller.keeps_buffers() && self.caller != Caller::Slow3dGroups;
        let negative = product.is_outer() && multiplies;
        let (before, after) = match self.caller {
            Caller::Matmul => (None, Some(Step::Bias)),
            _ => (Some(Step::Bias), None),
        };
        let begin = before.into_iter().chain([Step::Begin { negative }]);
        begin.chain(steps).chain(after).collect()
    }

    /// Reads what `Display` writes: the family, and the words after its slash.
    pub(super) fn parse(family: &str, words: &[&str]) -> Option<Self> {
        let library = Library::parse(words)?;
        Some(Self {
            caller: Caller::ALL.iter().find(|(_, name)| *name == family)?.0,
            blocks: library.blocks,
            double: library.double,
            cnr: library.cnr,
            threads: library.threads,
        })
    }

    fn library(&self) -> Library {
        Library {
            blocks: self.blocks,
            double: self.double,
            cnr: self.cnr,
            threads: self.threads,
        }
    }
}

/// MKL, whoever calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Library {
    /// Its kernels, known by their blocks of K.
    pub blocks: KBlocks,
    /// dgemm instead of sgemm.
    pub double: bool,
    /// Conditional numerical reproducibility: `MKL_CBWR` is set, to whatever.
    pub cnr: bool,
    /// Threads that one product runs with.
    pub threads: usize,
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let double = if self.double { "f64-" } else { "" };
        let cnr = if self.cnr { "-cnr" } else { "" };
        write!(f, "{double}{}{cnr}-t{}", self.blocks, self.threads)
    }
}

impl Library {
    /// Reads what `Display` writes.
    pub(super) fn parse(words: &[&str]) -> Option<Self> {
        let (double, words) = match words {
            ["f64", rest @ ..] => (true, rest),
            words => (false, words),
        };
        let (blocks, cnr, threads) = match words {
            [blocks, threads] => (blocks, false, threads),
            [blocks, "cnr", threads] => (blocks, true, threads),
            _ => return None,
        };
        Some(Self {
            blocks: KBlocks::parse(blocks)?,
            double,
            cnr,
            threads: number(threads, "t")?,
        })
    }

    /// What a transposed convolution has it multiply: the input's pixels, and for each of them every output channel's taps;
    /// `nhwc`: of channels_last input the other way round, the taps' output channels being the rows.
    pub(super) fn transposed(
        &self,
        g: &Geometry,
        image: usize,
        group: usize,
        nhwc: bool,
    ) -> Vec<transposed::Part> {
        let pixels = g.input[0] * g.input[1];
        let products = g.group_out() * g.kernel[0] * g.kernel[1];
        let k = g.group_in();
        if pixels == 1 && !nhwc {
            // the weight times a vector, row after row
            return vec![transposed::Part {
                pixels: 0..1,
                columns: 0..products,
                steps: vec![Step::chain(k, false)],
            }];
        }
        // a group of a single image is a part of it, of several images a copy
        let input = match g.batch {
            1 if !nhwc => group * k * pixels,
            _ => image * k * pixels,
        };
        let (weight, output) = (group * k * products, image * products * pixels);
        let ([rows, columns], [left, right]) = match nhwc {
            true => ([products, pixels], [weight, input]),
            false => ([pixels, products], [input, weight]),
        };
        let product = Product {
            form: Form::Plain,
            blocks: self.blocks,
            double: self.double,
            cnr: self.cnr,
            threads: self.threads,
            rows,
            columns,
            k,
            offsets: [left, right, output],
        };
        let part = |part: Part| {
            let [pixels, columns] = match nhwc {
                true => [part.columns, part.rows],
                false => [part.rows, part.columns],
            };
            let steps = part.steps;
            transposed::Part {
                pixels,
                columns,
                steps,
            }
        };
        product.parts().into_iter().map(part).collect()
    }
}

/// One product for all vectors of a Linear's input: the weight times the input, unless there is one output feature only,
/// for which PyTorch has them the other way round.
fn linear(g: &Geometry, variant: &Variant) -> Plan {
    let (features, vectors) = (g.out_channels, g.batch);
    let swapped = features == 1;
    let [rows, columns] = if swapped {
        [vectors, features]
    } else {
        [features, vectors]
    };
    let product = Product {
        form: Form::Transposed,
        blocks: variant.blocks,
        double: variant.double,
        cnr: variant.cnr,
        threads: variant.threads,
        rows,
        columns,
        k: g.taps(),
        offsets: [0; 3],
    };
    let mut plan = Plan::default();
    for part in product.parts() {
        let (features, vectors) = if swapped {
            (part.columns, part.rows)
        } else {
            (part.rows, part.columns)
        };
        let recipe = Recipe {
            walk: Walk::CHANNELS_LAST,
            padding: PaddingTaps::Zero,
            steps: variant.around(&product, part.steps),
        };
        plan.add(vectors, features, 0..1, recipe);
    }
    plan
}

/// The plan for `g`.
pub fn plan(g: &Geometry, variant: &Variant) -> Plan {
    if variant.caller.is_linear() && g.groups == 1 && g.pixels() == 1 {
        return linear(g, variant);
    }
    let mut plan = Plan::default();
    for group in 0..g.groups {
        for image in 0..g.batch {
            let layer = Layer {
                g,
                variant,
                group,
                image,
            };
            let product = layer.product();
            for part in product.parts() {
                layer.add(&mut plan, &product, part);
            }
        }
    }
    plan
}

/// One image of one group.
struct Layer<'a> {
    g: &'a Geometry,
    variant: &'a Variant,
    group: usize,
    image: usize,
}

impl Layer<'_> {
    /// As PyTorch hands it over. The output and what is unfolded are buffers of their own, for each group.
    fn product(&self) -> Product {
        let (pixels, channels, k) = (self.g.pixels(), self.g.group_out(), self.g.taps());
        let weight = self.group * channels * k;
        let unfolded = self.unfolded();
        let output = match self.variant.caller {
            Caller::Slow3dGroups => (self.image * self.g.groups + self.group) * channels * pixels,
            _ => self.image * channels * pixels,
        };
        let (form, [rows, columns], [a, b]) = if self.variant.caller.is_channels_last() {
            (Form::Transposed, [channels, pixels], [weight, unfolded])
        } else {
            (Form::Plain, [pixels, channels], [unfolded, weight])
        };
        Product {
            form,
            blocks: self.variant.blocks,
            double: self.variant.double,
            cnr: self.variant.cnr,
            threads: self.variant.threads,
            rows,
            columns,
            k,
            offsets: [a, b, output],
        }
    }

    /// Elements from a 16-byte boundary to what this product reads of the input.
    fn unfolded(&self) -> usize {
        let (g, k) = (self.g, self.g.taps());
        let image = match self.variant.caller.keeps_buffers() {
            true => self.image * k * g.pixels(),
            false => 0,
        };
        if self.variant.caller == Caller::Slow3dGroups {
            return (self.image * g.groups + self.group) * k * g.pixels();
        }
        let pointwise = g.is_pointwise();
        // a single image is not unfolded and not copied, the input itself is narrowed to the group; of channels_last
        // input that is only so where channels are all there is
        let narrowed = pointwise && g.batch == 1;
        if narrowed && (!self.variant.caller.is_channels_last() || g.pixels() == 1) {
            image + self.group * k * g.pixels()
        } else {
            image
        }
    }

    /// Adds a part of the product to the plan.
    fn add(&self, plan: &mut Plan, product: &Product, part: Part) {
        let (channels, pixels, walk) = if self.variant.caller.is_channels_last() {
            (part.rows, part.columns, Walk::CHANNELS_LAST)
        } else {
            (part.columns, part.rows, Walk::IM2COL)
        };
        let first = self.group * self.g.group_out();
        plan.add(
            self.image..self.image + 1,
            first + channels.start..first + channels.end,
            pixels,
            Recipe {
                walk,
                padding: PaddingTaps::Zero,
                steps: self.variant.around(product, part.steps),
            },
        );
    }
}
