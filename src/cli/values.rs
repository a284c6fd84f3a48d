//! Argument values that several commands take.

use std::str::FromStr;

use crate::explain::LayerOptions;
use crate::explain::Padding;

/// Sizes or indices: `3`, `1,3,32,32`, `1x3x32x32`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sizes(pub Vec<usize>);

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let inner = text
            .trim()
            .trim_start_matches(['[', '('])
            .trim_end_matches([']', ')']);
        let number = |part: &str| {
            let part = part.trim();
            part.parse()
                .map_err(|_| format!("`{part}` is not a whole number from 0 up"))
        };
        inner
            .split([',', 'x'])
            .map(number)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// Numbers: `0.5`, `0.485,0.456,0.406`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Numbers(pub Vec<f64>);

impl FromStr for Numbers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let inner = text.trim().trim_start_matches(['[', '(']);
        let number = |part: &str| {
            let number = part
                .trim()
                .parse()
                .ok()
                .filter(|value: &f64| value.is_finite());
            number.ok_or_else(|| format!("`{}` is not a number", part.trim()))
        };
        let parts = inner.trim_end_matches([']', ')']).split(',');
        parts.map(number).collect::<Result<_, _>>().map(Self)
    }
}

/// Padding: `same`, `valid`, or sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PaddingArg(pub Padding);

impl FromStr for PaddingArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(match text.trim() {
            "same" => Padding::Same,
            "valid" => Padding::Valid,
            sizes => Padding::Sizes(
                sizes
                    .parse::<Sizes>()
                    .map_err(|e| format!("{e}, and neither `same` nor `valid`"))?
                    .0,
            ),
        }))
    }
}

/// Flags that go over a convolution's arguments in the file.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ConvolutionFlags {
    /// Stride, one number or one per axis
    #[arg(long, value_name = "S")]
    stride: Option<Sizes>,
    /// Padding: same, valid, one number or one per axis
    #[arg(long, value_name = "P")]
    padding: Option<PaddingArg>,
    /// Dilation, one number or one per axis
    #[arg(long, value_name = "D")]
    dilation: Option<Sizes>,
}

impl ConvolutionFlags {
    /// Options that say what the flags say, and nothing else.
    pub(super) fn options(&self) -> LayerOptions {
        let sizes = |sizes: &Option<Sizes>| sizes.as_ref().map(|Sizes(values)| values.clone());
        let padding = self.padding.as_ref();
        LayerOptions {
            stride: sizes(&self.stride),
            padding: padding.map(|PaddingArg(padding)| padding.clone()),
            dilation: sizes(&self.dilation),
            ..LayerOptions::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PaddingArg, Sizes};
    use crate::explain::Padding;

    #[test]
    fn sizes_are_written_in_several_ways() {
        for text in ["1,3,32,32", "1x3x32x32", "[1, 3, 32, 32]", "(1,3, 32,32)"] {
            assert_eq!(text.parse::<Sizes>().unwrap().0, [1, 3, 32, 32]);
        }
        assert!("1,,2".parse::<Sizes>().is_err());
        assert!("-1".parse::<Sizes>().is_err());
        assert!("".parse::<Sizes>().is_err());
        assert_eq!("same".parse::<PaddingArg>().unwrap().0, Padding::Same);
        assert_eq!(
            "2".parse::<PaddingArg>().unwrap().0,
            Padding::Sizes(vec![2])
        );
    }
}
