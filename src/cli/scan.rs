//! `pthinspect scan`

use std::path::PathBuf;

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::exit::{Exit, Outcome};
use super::io::Io;
use crate::bytes::output;
use crate::error::{Error, Result};
use crate::render;
use crate::scan;
use crate::scan::Level;

/// Arguments of `scan`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    $ pthinspect scan model.pth\n  \
    $ pthinspect scan model.pth --names\n  \
    $ pthinspect scan model.pth --allow 'mypackage.*' --allow __main__.Config\n  \
    $ pthinspect scan checkpoints/ --sarif scan.sarif      (every file of a folder)\n\n\
    A name is known-inert if torch, torchvision, numpy, transformers' Trainer or Python's own data types write it, and \
    it is used as they use it; what is not on that list is unknown or dangerous, and so is every oddity that no correct \
    writer produces. Exit code 0: clean. 1: unknown or dangerous. Nothing in the file is ever executed.")]
pub struct Args {
    /// Checkpoint, the index of a sharded one, or a folder
    file: Option<PathBuf>,
    /// Vouch for names: mypackage.models.Net, or a glob such as 'mypackage.*'
    #[arg(long, value_name = "PATTERN")]
    allow: Vec<String>,
    /// List every class and function that the pickles name
    #[arg(long)]
    names: bool,
    /// Write the findings as SARIF 2.1.0, for code-scanning services
    #[arg(long, value_name = "OUT")]
    sarif: Option<PathBuf>,
}

/// Scans the file and prints the verdict.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let options = scan::Options {
        allow: patterns(&args.allow)?,
        limits: io.limits.clone(),
    };
    let path = super::file::resolve(io, args.file.as_deref())?;
    let report = scan::scan(&path, &options)?;
    if let Some(sarif) = &args.sarif {
        let document = render::sarif::document(&report);
        output::write_whole(sarif, |out| render::json::write(out, &document))?;
    }
    if io.json {
        io.print_json(&render::scan::json(&report))?;
    } else {
        render::scan::text(io.out, &report, io.paint, args.names)?;
    }
    Ok(if report.verdict == Level::Inert {
        Exit::Ok
    } else {
        Exit::No
    })
}

fn patterns(patterns: &[String]) -> Result<GlobSet> {
    let bad = |e: globset::Error| Error::usage(format!("--allow: {e}"));
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(bad)?);
    }
    set.build().map_err(bad)
}
