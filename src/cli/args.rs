//! The arguments: what every command shares, and the list of commands.

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::exit::Outcome;
use super::io::Io;
use crate::bytes::Limits;

/// Reads PyTorch checkpoints without running them, explains their weights, and replays Conv2d bit for bit.
#[derive(Debug, Parser)]
#[command(
    name = "pthinspect",
    version,
    propagate_version = true,
    arg_required_else_help = false,
    after_help = "Exit codes: 0 done; 1 done, the answer is no; 2 could not be done.\n\
                  Where FILE is left out: $PTHINSPECT_FILE, else the only checkpoint in the current folder.",
    after_long_help = long_help()
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Print one JSON document on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// Colours: auto looks at the terminal and at NO_COLOR
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Print nothing but ASCII: no line drawing, no blocks; other letters of names are escaped
    #[arg(long, global = true)]
    pub ascii: bool,
    /// Raise (or lower) a limit that protects against hostile files: `pthinspect --help` lists them, and an error names
    /// the one that it ran into
    #[arg(long, global = true, value_name = "NAME=VALUE", value_parser = limit)]
    pub limit: Vec<(String, u64)>,
}

/// What `--help` says at its end: exit codes, FILE, and every limit.
fn long_help() -> String {
    let mut text = "Exit codes: 0 done; 1 done, the answer is no; 2 could not be done.\n\
                    Where FILE is left out: $PTHINSPECT_FILE, else the only checkpoint in the current folder.\n\n\
                    Limits, each with its default, for --limit NAME=VALUE (k, M and G stand for powers of 1024):\n"
        .to_owned();
    for (name, value, meaning) in Limits::default().table() {
        text += &format!("  {:24}  {meaning}\n", format!("{name}={}", short(value)));
    }
    text
}

/// `2G`, `200`: as `--limit` takes it.
fn short(value: u64) -> String {
    [(30, "G"), (20, "M"), (10, "k")]
        .iter()
        .find(|(shift, _)| value > 0 && value.is_multiple_of(1 << shift))
        .map_or_else(
            || value.to_string(),
            |(shift, unit)| format!("{}{unit}", value >> shift),
        )
}

/// `pickle_bytes=2G`: a name of [`Limits`] and a number, in which k, M and G stand for powers of 1024.
fn limit(text: &str) -> Result<(String, u64), String> {
    let names = || {
        let names: Vec<_> = Limits::default().table().iter().map(|row| row.0).collect();
        format!("limits are {}", names.join(", "))
    };
    let (name, value) = text.split_once('=').ok_or_else(names)?;
    if !Limits::default().set(name, 0) {
        return Err(names());
    }
    Ok((name.to_owned(), amount(value)?))
}

/// A number, in which k, M and G stand for powers of 1024.
pub(super) fn amount(value: &str) -> Result<u64, String> {
    let (digits, shift) = match value.as_bytes().last() {
        Some(b'k' | b'K') => (&value[..value.len() - 1], 10),
        Some(b'm' | b'M') => (&value[..value.len() - 1], 20),
        Some(b'g' | b'G') => (&value[..value.len() - 1], 30),
        _ => (value, 0),
    };
    let number: Option<u64> = digits.parse().ok();
    let number = number.and_then(|number| number.checked_mul(1 << shift));
    number.ok_or_else(|| format!("{value:?} is no number such as 1000000 or 64M"))
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Even into a pipe
    Always,
    /// Not at all
    Never,
}

/// The commands. Each has a file of its own with its `Args` and `run`.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant)] // there is one of it in a process
pub enum Command {
    /// Every tensor: name, dtype, shape, bytes, where it lies
    Ls(super::ls::Args),
    /// Everything in the file, tensors and the rest, as a tree
    Tree(super::tree::Args),
    /// One layer: shapes, memory layout, how the flat weights map to filters and channels
    Layer(super::layer::Args),
    /// Weights to raw binary or .npy, with a manifest
    Export(super::export::Args),
    /// Execute one layer (Conv2d, its siblings, Linear) in the order in which PyTorch adds
    Run(super::run::Args),
    /// Filters, feature maps and histograms as pictures, in the terminal or as PNG
    Plot(super::plot::Args),
    /// Replay saved PyTorch outputs; every bit must agree
    Verify(super::verify::Args),
    /// What would unpickling this file run? Danger named, nothing ever executed
    Scan(super::scan::Args),
    /// Is the file whole? Checksums, sizes, places, missing and surplus storages; with --map, every byte's owner
    Check(super::check::Args),
    /// Save every tensor that a damaged or cut-off file still holds
    Recover(super::recover::Args),
    /// One self-contained page for people who would rather look than read
    Report(super::report::Args),
    /// Sizes through a model, layer by layer, with the formula filled in; where an input breaks, and which would fit
    Shapes(super::shapes::Args),
    /// Every accumulation order that the program knows
    Orders(super::orders::Args),
}

impl Command {
    /// Runs the command.
    pub(super) fn run(&self, io: &mut Io<'_>) -> Outcome {
        match self {
            Command::Ls(args) => super::ls::run(args, io),
            Command::Tree(args) => super::tree::run(args, io),
            Command::Layer(args) => super::layer::run(args, io),
            Command::Export(args) => super::export::run(args, io),
            Command::Run(args) => super::run::run(args, io),
            Command::Plot(args) => super::plot::run(args, io),
            Command::Verify(args) => super::verify::run(args, io),
            Command::Scan(args) => super::scan::run(args, io),
            Command::Check(args) => super::check::run(args, io),
            Command::Recover(args) => super::recover::run(args, io),
            Command::Report(args) => super::report::run(args, io),
            Command::Shapes(args) => super::shapes::run(args, io),
            Command::Orders(args) => super::orders::run(args, io),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example_in_its_help() {
        for command in Cli::command().get_subcommands() {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let call = format!("$ pthinspect {}", command.get_name());
            assert!(
                help.starts_with("Examples:") && help.contains(&call),
                "`{}` has no `Examples:` with `{call}`",
                command.get_name()
            );
        }
    }
}
