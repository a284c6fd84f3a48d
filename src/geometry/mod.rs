//! A window that slides over one axis: the one place where its output size is computed.
//!
//! Convolution and pooling: `floor((H + pad_before + pad_after - dilation*(k-1) - 1)/stride) + 1`. A transposed
//! convolution turns it round: `(H-1)*stride - pad_before - pad_after + dilation*(k-1) + output_padding + 1`. Pooling
//! with `ceil_mode` rounds up, but never starts a window in the padding behind the input.
//! Source: `aten/src/ATen/native/ConvUtils.h` and `Pool.h` of torch 2.15.

use std::fmt;

/// Padding as PyTorch takes it; `S` holds the sizes per axis, on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding<S = Vec<usize>> {
    /// `'same'`: as much as keeps the size; the stride must be 1.
    Same,
    /// `'valid'`: none.
    Valid,
    /// Per axis, on both sides.
    Sizes(S),
}

/// A window on one axis; all in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Size of the input.
    pub input: usize,
    /// Padding before and after.
    pub padding: (usize, usize),
    /// Distance between taps.
    pub dilation: usize,
    /// Taps.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// What the window does.
    pub kind: WindowKind,
}

/// Which formula holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowKind {
    /// Convolution, or pooling that rounds down.
    Floor,
    /// Pooling with `ceil_mode`.
    Ceil,
    /// Transposed convolution with that much output padding.
    Transposed(usize),
}

/// Why there is no output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// The window spans more (first) than the padded input has (second).
    TooSmall(usize, usize),
    /// The padding takes away more than the whole output of a transposed convolution.
    Nothing,
    /// `'same'` with a stride.
    SameWithStride,
    /// A stride of zero.
    NoStride,
    /// The numbers are too large for this machine.
    Overflow,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misfit::TooSmall(span, padded) => {
                write!(
                    f,
                    "the kernel spans {span} but the padded input is only {padded}"
                )
            }
            Misfit::Nothing => f.write_str("the padding takes away the whole output"),
            Misfit::SameWithStride => f.write_str("padding 'same' needs stride 1"),
            Misfit::NoStride => f.write_str("stride must be at least 1"),
            Misfit::Overflow => f.write_str("sizes of this input or kernel overflow"),
        }
    }
}

impl<S: AsRef<[usize]>> Padding<S> {
    /// Before and after, on that axis, around a kernel of that size.
    ///
    /// # Errors
    ///
    /// [`Misfit::SameWithStride`]; [`Misfit::Overflow`].
    pub fn on(
        &self,
        axis: usize,
        kernel: usize,
        dilation: usize,
        stride: usize,
    ) -> Result<(usize, usize), Misfit> {
        match self {
            Padding::Valid => Ok((0, 0)),
            Padding::Sizes(sizes) => {
                let sizes = sizes.as_ref();
                let size = sizes.get(axis).or(sizes.first()).copied().unwrap_or(0);
                Ok((size, size))
            }
            Padding::Same if stride != 1 => Err(Misfit::SameWithStride),
            Padding::Same => {
                let total = dilation
                    .checked_mul(kernel.saturating_sub(1))
                    .ok_or(Misfit::Overflow)?;
                Ok((total / 2, total - total / 2))
            }
        }
    }
}

impl Window {
    /// Input elements that the taps span: `dilation*(k-1)+1`.
    pub fn span(&self) -> Option<usize> {
        self.dilation
            .checked_mul(self.kernel.checked_sub(1)?)?
            .checked_add(1)
    }

    /// Size of the input with its padding.
    pub fn padded(&self) -> Option<usize> {
        self.input
            .checked_add(self.padding.0)?
            .checked_add(self.padding.1)
    }

    /// Size of the output.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn output(&self) -> Result<usize, Misfit> {
        let span = self.span().ok_or(Misfit::Overflow)?;
        if self.stride == 0 {
            return Err(Misfit::NoStride);
        }
        if let WindowKind::Transposed(output_padding) = self.kind {
            let grown = self.input.saturating_sub(1).checked_mul(self.stride);
            let full = grown.and_then(|grown| grown.checked_add(span)?.checked_add(output_padding));
            let padding = self
                .padding
                .0
                .checked_add(self.padding.1)
                .ok_or(Misfit::Overflow)?;
            let output = full.ok_or(Misfit::Overflow)?.checked_sub(padding);
            return output.ok_or(Misfit::Nothing);
        }
        let padded = self.padded().ok_or(Misfit::Overflow)?;
        if self.kind == WindowKind::Floor {
            let room = padded
                .checked_sub(span)
                .ok_or(Misfit::TooSmall(span, padded))?;
            return Ok(room / self.stride + 1);
        }
        // the last window must start inside the input or the padding before it
        let rounded_up = self.rounded_up().ok_or(Misfit::TooSmall(span, padded))?;
        let starts = (rounded_up - 1)
            .checked_mul(self.stride)
            .ok_or(Misfit::Overflow)?;
        Ok(match starts >= self.input + self.padding.0 {
            true => rounded_up - 1,
            false => rounded_up,
        })
    }

    /// Rows (columns) at the end of the padded input that no tap reads.
    pub fn unread(&self) -> usize {
        match (self.kind, self.padded(), self.span()) {
            (WindowKind::Floor, Some(padded), Some(span)) if self.stride > 0 => padded
                .checked_sub(span)
                .map_or(0, |room| room % self.stride),
            _ => 0,
        }
    }

    /// The formula with its numbers: `floor((28 + 2*0 - 1*(5-1) - 1)/1) + 1 = 24`.
    pub fn formula(&self) -> String {
        let (before, after) = self.padding;
        let Window {
            input,
            dilation,
            kernel,
            stride,
            ..
        } = self;
        let padding = |sign: char| match before == after {
            true => format!("{sign} 2*{before}"),
            false => format!("{sign} {before} {sign} {after}"),
        };
        let output = match self.output() {
            Ok(output) => output.to_string(),
            Err(_) => "no output".to_owned(),
        };
        match self.kind {
            WindowKind::Transposed(extra) => format!(
                "({input}-1)*{stride} {} + {dilation}*({kernel}-1) + {extra} + 1 = {output}",
                padding('-')
            ),
            WindowKind::Floor | WindowKind::Ceil => {
                let round = if self.kind == WindowKind::Ceil {
                    "ceil"
                } else {
                    "floor"
                };
                let inner = format!(
                    "({input} {} - {dilation}*({kernel}-1) - 1)/{stride}",
                    padding('+')
                );
                let shorter = match (self.output(), self.kind) {
                    // a window that would start in the padding behind the input is left out
                    (Ok(output), WindowKind::Ceil) if self.rounded_up() != Some(output) => " - 1",
                    _ => "",
                };
                match self.output() {
                    Err(Misfit::TooSmall(..)) => {
                        format!("{round}({inner}) + 1 < 1")
                    }
                    _ => format!("{round}({inner}) + 1{shorter} = {output}"),
                }
            }
        }
    }

    fn rounded_up(&self) -> Option<usize> {
        let reach = self.padded()?.checked_add(self.stride - 1)?;
        Some(reach.checked_sub(self.span()?)? / self.stride + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::{Misfit, Window, WindowKind};

    const CONV: Window = Window {
        input: 28,
        padding: (0, 0),
        dilation: 1,
        kernel: 5,
        stride: 1,
        kind: WindowKind::Floor,
    };

    #[test]
    fn formulas_hold_their_numbers() {
        assert_eq!(CONV.formula(), "floor((28 + 2*0 - 1*(5-1) - 1)/1) + 1 = 24");
        let same = Window {
            padding: (1, 2),
            kernel: 4,
            ..CONV
        };
        assert_eq!(
            same.formula(),
            "floor((28 + 1 + 2 - 1*(4-1) - 1)/1) + 1 = 28"
        );
        let up = Window {
            input: 7,
            kernel: 3,
            stride: 2,
            padding: (1, 1),
            kind: WindowKind::Transposed(1),
            ..CONV
        };
        assert_eq!(up.formula(), "(7-1)*2 - 2*1 + 1*(3-1) + 1 + 1 = 14");
        let small = Window { input: 4, ..CONV };
        assert_eq!(small.output(), Err(Misfit::TooSmall(5, 4)));
        assert_eq!(small.formula(), "floor((4 + 2*0 - 1*(5-1) - 1)/1) + 1 < 1");
    }

    #[test]
    fn a_window_that_starts_behind_the_input_is_left_out() {
        let pool = |input, kernel, stride, padding| Window {
            input,
            kernel,
            stride,
            padding: (padding, padding),
            kind: WindowKind::Ceil,
            ..CONV
        };
        // as torch 2.15 gives them
        assert_eq!(pool(112, 3, 2, 0).output(), Ok(56));
        assert_eq!(pool(5, 2, 2, 1).output(), Ok(3));
        assert_eq!(pool(3, 1, 4, 0).output(), Ok(1));
        assert_eq!(pool(6, 2, 3, 1).output(), Ok(3));
    }
}
