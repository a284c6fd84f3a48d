//! A convolution as one product of matrices: what `torch.nn.functional.unfold` does.
//!
//! Filter o becomes row o of the weight as a matrix [out, in/g * kH * kW]: the same numbers in the same order. Every
//! output pixel becomes a column of the unfolded input [in * kH * kW, positions], which holds what its window reads, tap
//! by tap in the order of the filter's weights. Row times column is one output. With groups, each group is a product of
//! its own, of its filters' rows and its channels' rows.

use super::convolution::{Convolution, Output};
use super::window::{Tap, taps};
use crate::error::{Error, Result};
use crate::execute::PaddingMode;

/// The shapes, and what each row and column is.
#[derive(Clone, Debug)]
pub struct Im2col {
    /// Input channels, of all groups.
    pub channels: usize,
    /// Output channels.
    pub filters: usize,
    /// Groups.
    pub groups: usize,
    /// Kernel sizes.
    pub kernel: Vec<usize>,
    /// Input sizes.
    pub image: Vec<usize>,
    /// Output sizes.
    pub output: Vec<usize>,
    /// Images in the batch; `None` for an input without that axis.
    pub batch: Option<usize>,
    /// Rows of the unfolded input: channels times taps.
    pub rows: usize,
    /// Columns of the unfolded input: output pixels.
    pub columns: usize,
    /// The taps of each output index, per spatial axis.
    reads: Vec<Vec<Vec<Tap>>>,
}

impl Im2col {
    /// Of a convolution whose output sizes were worked out for an input.
    ///
    /// # Errors
    ///
    /// `Usage` for a transposed convolution, `Limit` where a size overflows.
    pub fn of(conv: &Convolution, output: &Output) -> Result<Self> {
        if conv.transposed {
            return Err(Error::usage(
                "a transposed convolution is no product with an unfolded input: it multiplies first and folds afterwards",
            ));
        }
        let product = |first: usize, sizes: &[usize]| {
            let mut sizes = sizes.iter();
            sizes
                .try_fold(first, |product: usize, &n| product.checked_mul(n))
                .ok_or_else(|| Error::limit("the sizes of the unfolded input overflow"))
        };
        let pixels: Vec<usize> = output.axes.iter().map(|axis| axis.output).collect();
        let rows = product(conv.in_channels, &conv.kernel)?;
        let columns = product(1, &pixels)?;
        product(rows, &[columns])?;
        let mode = PaddingMode::parse(&conv.hyper.padding_mode.value)?;
        if output
            .axes
            .iter()
            .any(|axis| axis.output.saturating_mul(axis.kernel) > 1 << 26)
        {
            return Err(Error::limit("the input is too large to be unfolded"));
        }
        let dims = conv.kernel.len();
        Ok(Self {
            channels: conv.in_channels,
            filters: conv.out_channels,
            groups: conv.groups.value,
            kernel: conv.kernel.clone(),
            image: output.axes.iter().map(|axis| axis.input).collect(),
            output: pixels,
            batch: (output.input.len() == dims + 2).then(|| output.input[0]),
            rows,
            columns,
            reads: output
                .axes
                .iter()
                .map(|axis| (0..axis.output).map(|o| taps(axis, o, mode)).collect())
                .collect(),
        })
    }

    /// Columns of the weight as a matrix: the products that one filter adds.
    pub fn taps(&self) -> usize {
        self.rows / self.groups.max(1)
    }

    /// Channel and kernel indices of a row.
    pub fn row(&self, row: usize) -> Vec<usize> {
        let mut index = unravel(row, &self.kernel);
        let taps: usize = self.kernel.iter().product();
        index.insert(0, row / taps.max(1));
        index
    }

    /// The output pixel of a column.
    pub fn column(&self, column: usize) -> Vec<usize> {
        unravel(column, &self.output)
    }

    /// Channel and pixel of the input that stand in a cell; `None` for the zeros of the padding.
    pub fn source(&self, row: usize, column: usize) -> Option<Vec<usize>> {
        let (row, pixel) = (self.row(row), self.column(column));
        let mut source = vec![row[0]];
        for (axis, (&tap, &o)) in row[1..].iter().zip(&pixel).enumerate() {
            source.push(self.reads[axis][o][tap].source?);
        }
        Some(source)
    }

    /// Flat index, in one image of the input, of what stands in a cell.
    pub fn flat_source(&self, row: usize, column: usize) -> Option<usize> {
        let source = self.source(row, column)?;
        let pixels = source[1..].iter().zip(&self.image);
        Some(pixels.fold(source[0], |flat, (i, n)| flat * n + i))
    }
}

/// Index along each axis of the `flat`-th element; the first axis takes what is left.
fn unravel(mut flat: usize, sizes: &[usize]) -> Vec<usize> {
    let mut index = vec![0; sizes.len()];
    for (i, &size) in index.iter_mut().zip(sizes).rev() {
        *i = flat % size.max(1);
        flat /= size.max(1);
    }
    index
}
