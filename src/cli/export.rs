//! `pthinspect export`

use std::collections::HashMap;
use std::path::PathBuf;

use clap::ValueEnum;

use super::exit::{Exit, Outcome};
use super::io::Io;
use super::names::Names;
use crate::checkpoint::TensorEntry;
use crate::error::Error;
use crate::error::Result;
use crate::explain::AxisNames;
use crate::export;
use crate::render;
use crate::tensor::Tag;

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    $ pthinspect export conv1.weight model.pth --output conv1.bin\n  \
    $ pthinspect export conv1.weight model.pth --output conv1.npy\n  \
    $ pthinspect export 'layer1.*' model.pth --output weights/\n  \
    $ pthinspect export model.pth --output all.bin      (every tensor, one after the other)\n  \
    $ pthinspect export conv1.weight model.pth --as OHWI --output conv1_ohwi.npy\n  \
    $ pthinspect export 'layer1.*' model.pth --as OIhw16i16o --output blocked/\n\n\
    The last argument is FILE if such a file exists or its name ends like a checkpoint's (.pth, .pt, .tar, .ckpt, \
    .safetensors, .bin, .pt2); --file leaves no doubt.\n\
    Elements are written in C order, little-endian, whatever the order in the checkpoint. Beside them goes a manifest \
    (OUT.json, or manifest.json in the folder).")]
pub struct Args {
    /// Tensors, layers or globs, then the checkpoint; no names: every tensor
    #[arg(value_name = "NAME... [FILE]")]
    names: Vec<String>,
    /// Checkpoint; then all arguments are names
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// File, or folder (existing, or ending in /) for one file per tensor
    #[arg(long, short, value_name = "OUT")]
    output: PathBuf,
    /// Format; by default what OUT's name ends with, else raw
    #[arg(long, value_enum)]
    format: Option<FormatArg>,
    /// Leave the digests out of the manifest: as fast as copying, where hashing would take longer
    #[arg(long)]
    no_sha256: bool,
    /// Weights in another memory format (OHWI, HWIO, OIhw8i8o, ...: `layer --help` says how they are spelled); other
    /// tensors stay as they are
    #[arg(long = "as", value_name = "LAYOUT")]
    layout: Option<Tag>,
    /// Groups, for layouts that take them apart; a state dict does not store them
    #[arg(long, value_name = "G", requires = "layout")]
    groups: Option<usize>,
    /// The weights are transposed convolutions'
    #[arg(long, requires = "layout")]
    transposed: bool,
}

/// File formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FormatArg {
    /// The elements' bytes and nothing else
    Raw,
    /// numpy
    Npy,
}

/// Writes the tensors and their manifest.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let (names, file) = split(args);
    let names = Names::new(&names)?;
    let checkpoint = super::file::open_whole(io, file.as_deref())?;
    let chosen = names.choose(&checkpoint)?;
    let axes = AxisNames::of(&checkpoint);
    let format = args.format.map(|format| match format {
        FormatArg::Raw => export::Format::Raw,
        FormatArg::Npy => export::Format::Npy,
    });
    let layouts = layouts(args, &axes, &chosen)?;
    let request = export::Request {
        layouts,
        output: &args.output,
        format,
        digests: !args.no_sha256,
        tensors: chosen
            .iter()
            .map(|&tensor| (tensor, axes.of_tensor(tensor)))
            .collect(),
    };
    let written = export::write(&checkpoint, &request)?;
    for (name, why) in &written.skipped {
        io.warn(&format!("{name} was not exported: {why}"));
    }
    if io.json {
        io.print_json(&written.manifest)?;
    } else {
        render::export::text(io.out, &written, io.paint)?;
    }
    Ok(if written.skipped.is_empty() {
        Exit::Ok
    } else {
        Exit::No
    })
}

/// The tensors that `--as` is about.
fn layouts(
    args: &Args,
    axes: &AxisNames<'_>,
    chosen: &[&TensorEntry],
) -> Result<HashMap<String, export::Laid>> {
    let mut layouts = HashMap::new();
    let Some(tag) = &args.layout else {
        return Ok(layouts);
    };
    for tensor in chosen {
        if let Some(blocked) = axes.in_layout(tensor, tag, args.groups, args.transposed)? {
            let tag = tag.clone();
            layouts.insert(tensor.name.clone(), export::Laid { tag, blocked });
        }
    }
    if layouts.is_empty() {
        return Err(Error::usage(format!(
            "none of these tensors has the axes of {}",
            tag.text()
        ))
        .with_hint("`pthinspect ls` shows their shapes"));
    }
    Ok(layouts)
}

/// NAMEs and FILE.
fn split(args: &Args) -> (Vec<String>, Option<PathBuf>) {
    let mut names = args.names.clone();
    let file = args.file.clone().or_else(|| {
        let last = names
            .last()
            .filter(|last| super::file::is_file_argument(last))?;
        let file = PathBuf::from(last);
        names.pop();
        Some(file)
    });
    (names, file)
}
