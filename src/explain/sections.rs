//! What `layer` shows beyond its page, section by section, on demand.

use super::dump::Dump;
use super::figures::{Figures, Sort};
use super::im2col::Im2col;
use super::kind::Kind;
use super::layer::Layer;
use super::placement::Placement;
use super::window::Window;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::TensorEntry;
use crate::error::{Error, Result};
use crate::tensor::Tag;

/// Which sections are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The picture of memory.
    pub memory: bool,
    /// The convolution as a product of matrices.
    pub im2col: bool,
    /// The weight in this layout.
    pub layout: Option<Tag>,
    /// Bytes and values.
    pub hex: bool,
    /// Figures per filter.
    pub figures: Option<Sort>,
    /// What one output pixel reads.
    pub output_at: Option<Vec<usize>>,
    /// What each argument does.
    pub arguments: bool,
}

/// The sections.
#[derive(Debug, Default)]
pub struct Sections {
    /// The picture of memory; what it shows is in the layer.
    pub memory: bool,
    /// The convolution as a product of matrices.
    pub im2col: Option<Im2col>,
    /// The weight in another layout.
    pub layout: Option<Placement>,
    /// Bytes and values.
    pub hex: Option<Dump>,
    /// Figures per filter.
    pub figures: Option<Figures>,
    /// What one output pixel reads.
    pub window: Option<Window>,
    /// What each argument does; all that it says is in the layer.
    pub arguments: bool,
}

impl Sections {
    /// Works out what is wanted of `layer`.
    ///
    /// `input` is the shape of an input, `chosen` the index of a weight, `fixed` the filter and channel that are chosen
    /// along the weight's axes.
    ///
    /// # Errors
    ///
    /// `Usage` where a section makes no sense for this layer or needs the size of an input.
    pub fn of(
        checkpoint: &Checkpoint,
        tensor: &TensorEntry,
        layer: &Layer,
        wanted: &Wanted,
        fixed: Vec<Option<usize>>,
    ) -> Result<Self> {
        let conv = || {
            let what = "this is explained for convolutions only";
            layer.convolution.as_ref().ok_or_else(|| Error::usage(what))
        };
        let output = |flag: &str| {
            layer.output.as_ref().ok_or_else(|| {
                Error::usage(format!(
                    "{flag} depends on the size of the input, which no checkpoint holds"
                ))
                .with_hint("--input N,C,H,W says it")
            })
        };
        let mut sections = Self {
            arguments: wanted.arguments,
            memory: wanted.memory,
            ..Self::default()
        };
        if wanted.im2col {
            sections.im2col = Some(Im2col::of(conv()?, output("--im2col")?)?);
        }
        if let Some(index) = &wanted.output_at {
            let axes = &output("--output-at")?.axes;
            sections.window = Some(Window::of(conv()?, axes, index)?);
        }
        if let Some(tag) = &wanted.layout {
            let input = layer.output.as_ref().map(|output| &output.input[..]);
            let chosen = layer.element.as_ref().map(|element| &element.index[..]);
            sections.layout = Some(Placement::of(layer, tag, input, chosen)?);
        }
        if wanted.hex {
            let mut fixed = fixed;
            let first = usize::from(matches!(layer.kind, Kind::ConvTranspose(_)));
            if fixed.iter().all(Option::is_none)
                && fixed.len() > 1
                && let Some(filter) = fixed.get_mut(first)
            {
                *filter = Some(0);
            }
            sections.hex = Some(Dump::of(checkpoint, tensor, fixed)?);
        }
        if let Some(sort) = wanted.figures {
            sections.figures = Some(Figures::of(checkpoint, tensor, sort)?);
        }
        if wanted.arguments {
            conv()?;
        }
        Ok(sections)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        let Self {
            memory,
            im2col,
            layout,
            hex,
            figures,
            window,
            arguments,
        } = self;
        !memory
            && im2col.is_none()
            && layout.is_none()
            && hex.is_none()
            && figures.is_none()
            && window.is_none()
            && !arguments
    }
}
