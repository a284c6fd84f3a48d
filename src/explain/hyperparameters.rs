//! The arguments of a convolution that its weight does not show, and who says what they are.

use serde_json::{Map, Value};

use super::layer::LayerOptions;
use crate::error::{Error, Result};
use crate::execute::PaddingMode;
pub use crate::geometry::Padding;

/// A value, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known<T> {
    /// The value.
    pub value: T,
    /// Who says so.
    pub origin: Origin,
}

impl<T> Known<T> {
    pub(super) fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }
}

/// Where a value is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The module's attributes in the file.
    File,
    /// The user.
    Flag,
    /// It follows from the input, its number of channels, or the bias.
    Follows,
    /// Nobody: PyTorch's default.
    Default,
}

/// The arguments of a convolution that its weight does not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hyperparameters {
    /// Step of the kernel, per axis.
    pub stride: Known<Vec<usize>>,
    /// Rows and columns added around the input.
    pub padding: Known<Padding>,
    /// Distance between taps, per axis.
    pub dilation: Known<Vec<usize>>,
    /// Added on one side of a transposed convolution's output, per axis.
    pub output_padding: Known<Vec<usize>>,
    /// What the padding is filled with: `zeros`, `reflect`, `replicate`, `circular`.
    pub padding_mode: Known<String>,
}

impl Hyperparameters {
    /// For a convolution over `dims` axes: flags go over the file, PyTorch's defaults stand where neither speaks.
    pub(super) fn of(
        dims: usize,
        attributes: Option<&Map<String, Value>>,
        options: &LayerOptions,
    ) -> Result<Self> {
        let from_file = |name: &str| attributes.and_then(|a| a.get(name));
        let stride = sizes("stride", dims, &options.stride, from_file("stride"), 1)?;
        let dilation = sizes(
            "dilation",
            dims,
            &options.dilation,
            from_file("dilation"),
            1,
        )?;
        for (name, known) in [("stride", &stride), ("dilation", &dilation)] {
            if known.value.contains(&0) {
                return Err(Error::usage(format!("{name} must be at least 1")));
            }
        }
        let output_padding = from_file("output_padding");
        let in_file = from_file("padding_mode").and_then(Value::as_str);
        let padding_mode = match (&options.padding_mode, in_file) {
            (Some(mode), _) => {
                Known::new(PaddingMode::parse(mode)?.name().to_owned(), Origin::Flag)
            }
            (None, Some(mode)) => Known::new(mode.to_owned(), Origin::File),
            (None, None) => Known::new("zeros".to_owned(), Origin::Default),
        };
        Ok(Self {
            stride,
            padding: padding(dims, &options.padding, from_file("padding"))?,
            dilation,
            output_padding: sizes(
                "output_padding",
                dims,
                &options.output_padding,
                output_padding,
                0,
            )?,
            padding_mode,
        })
    }
}

/// One argument, per axis; what the file says is passed over where it does not fit the weight.
fn sizes(
    name: &str,
    dims: usize,
    flag: &Option<Vec<usize>>,
    file: Option<&Value>,
    default: usize,
) -> Result<Known<Vec<usize>>> {
    if let Some(values) = flag {
        return Ok(Known::new(per_axis(values, dims, name)?, Origin::Flag));
    }
    let from_file = file
        .and_then(numbers)
        .and_then(|values| per_axis(&values, dims, name).ok());
    Ok(match from_file {
        Some(values) => Known::new(values, Origin::File),
        None => Known::new(vec![default; dims], Origin::Default),
    })
}

fn padding(dims: usize, flag: &Option<Padding>, file: Option<&Value>) -> Result<Known<Padding>> {
    match (flag, file.and_then(Value::as_str)) {
        (Some(Padding::Sizes(values)), _) => {
            let values = per_axis(values, dims, "padding")?;
            Ok(Known::new(Padding::Sizes(values), Origin::Flag))
        }
        (Some(word), _) => Ok(Known::new(word.clone(), Origin::Flag)),
        (None, Some("same")) => Ok(Known::new(Padding::Same, Origin::File)),
        (None, Some("valid")) => Ok(Known::new(Padding::Valid, Origin::File)),
        (None, _) => {
            let known = sizes("padding", dims, &None, file, 0)?;
            Ok(Known::new(Padding::Sizes(known.value), known.origin))
        }
    }
}

/// One number for all axes, or one per axis.
fn per_axis(values: &[usize], dims: usize, name: &str) -> Result<Vec<usize>> {
    match values {
        [one] => Ok(vec![*one; dims]),
        values if values.len() == dims => Ok(values.to_vec()),
        values => Err(Error::usage(format!(
            "{name} needs 1 or {dims} numbers, got {}",
            values.len()
        ))),
    }
}

/// A number or a list of numbers.
fn numbers(value: &Value) -> Option<Vec<usize>> {
    let number = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
    match value {
        Value::Array(items) => items.iter().map(number).collect(),
        value => number(value).map(|n| vec![n]),
    }
}
