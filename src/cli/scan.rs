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
    $ pthinspect scan *.pth checkpoints/ --sarif scan.sarif      (every file of a folder)\n\n\
    A name is known-inert if torch, torchvision, Lightning, transformers, numpy or Python's own data types write it, \
    and it is used as they use it; what is not on that list is unknown or dangerous, and so is every oddity that no \
    correct writer produces. Exit code 0: all clean. 1: one is unknown or dangerous. 2: one could not be scanned. \
    Nothing in a file is ever executed.")]
pub struct Args {
    /// Checkpoints, indexes of sharded ones, or folders
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
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

/// Scans the files and prints a verdict on each, and on all.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let options = scan::Options {
        allow: patterns(&args.allow)?,
        limits: io.limits.clone(),
    };
    let files = match &args.files[..] {
        [] => vec![super::file::resolve(io, None)?],
        files => files.to_vec(),
    };
    let one = files.len() == 1;
    let mut reports = Vec::new();
    let mut failures = Vec::new();
    for file in &files {
        match scan::scan(file, &options) {
            Ok(report) => {
                if !io.json {
                    render::scan::text(io.out, &report, io.paint, args.names)?;
                }
                reports.push(report);
            }
            Err(error) if one => return Err(error.into()),
            Err(error) => failures.push((file, error)),
        }
    }
    if let Some(sarif) = &args.sarif {
        let document = render::sarif::document(&reports);
        output::write_whole(sarif, |out| render::json::write(out, &document))?;
    }
    match (&reports[..], io.json) {
        ([report], true) if one => io.print_json(&render::scan::json(report))?,
        (_, false) if one => {}
        (reports, true) => io.print_json(&render::scan::json_of_several(reports, &failures))?,
        (reports, false) => render::scan::total(io.out, reports, failures.len(), io.paint)?,
    }
    io.out.flush()?;
    for (_, error) in &failures {
        io.error(error);
    }
    let worst = reports.iter().map(|report| report.verdict).max();
    Ok(match worst {
        _ if !failures.is_empty() => Exit::Failed,
        Some(Level::Unknown | Level::Dangerous) => Exit::No,
        _ => Exit::Ok,
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
