//! `pthinspect report`

use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use super::exit::Outcome;
use super::io::Io;
use super::values::Sizes;
use super::verify;
use crate::bytes::output;
use crate::check;
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::error::Result;
use crate::render;
use crate::render::report::Document;
use crate::render::report::Findings;
use crate::report;
use crate::report::FileMap;
use crate::report::Report;
use crate::scan;
use crate::shapes;
use crate::shapes::Walk;
use crate::shapes::WalkOptions;

/// Bytes of a page, unless the tensors alone need more.
const USUAL: u64 = 4_900_000;
/// How often values are embedded anew because they came out larger than thought; then there are none.
const ATTEMPTS: usize = 6;

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    $ pthinspect report model.pth --output model.html\n  \
    $ pthinspect report model.pth --output model.html --golden model.golden.safetensors\n  \
    $ pthinspect report model.pth --output model.html --max-bytes 20M\n  \
    $ pthinspect report model.pth --json      (the page's data, no page)\n\n\
    One HTML page that needs no network: tree, layouts, filters, histograms, the map of the file, shapes, and what scan, \
    check and verify find. Values are embedded exactly, as many as fit; what is left out is said.\n\
    Exit code 0: written. 1: written, and a golden case differs.")]
pub struct Args {
    /// Checkpoint, the index of a sharded one, or its folder
    file: Option<PathBuf>,
    /// The page
    #[arg(long, short, value_name = "OUT.html", required_unless_present = "json")]
    output: Option<PathBuf>,
    /// Replay this golden file, with weights from FILE where it holds none, and show the results
    #[arg(long, value_name = "GOLDEN", num_args = 1..)]
    golden: Vec<PathBuf>,
    /// Walk through the model with an input of this shape too; once for each input of the model
    #[arg(long, value_name = "N,C,H,W")]
    input: Vec<Sizes>,
    /// Bytes that the page may have: 4900000, 20M [default: 4.9 million, or what the list of tensors needs]
    #[arg(long, value_name = "N", value_parser = super::args::amount)]
    max_bytes: Option<u64>,
}

/// Gathers, fits, writes.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let path = super::file::resolve(io, args.file.as_deref())?;
    let checkpoint = report::open(&path, &io.limits)?;
    for note in checkpoint.notes() {
        io.warn(note);
    }
    let (check, maps) = whole(&path, &checkpoint, io);
    let (replayed, exit) = verify::replayed(&args.golden, &checkpoint, io)?;
    let findings = Findings {
        scan: danger(&path, io),
        check,
        verify: replayed,
        shapes: shapes(&checkpoint, &args.input, io),
    };
    let mut report = Report::of(&checkpoint, maps);
    let modules = render::report::modules(&checkpoint);
    fit(
        &mut report,
        &checkpoint,
        &modules,
        &findings,
        args.max_bytes,
    )?;
    let document = Document::new(&report, &modules, &findings);
    if let Some(output) = &args.output {
        output::write_whole(output, |out| document.page(out))?;
    }
    if io.json {
        let document = document
            .json()
            .map_err(|e| Error::usage(format!("the data cannot be written as JSON: {e}")))?;
        io.print_json(&document)?;
    } else if let Some(output) = &args.output {
        let size = std::fs::metadata(output).map_or(0, |metadata| metadata.len());
        let name = output.display().to_string();
        render::report::text(io.out, &report, &name, size, io.paint)?;
    }
    Ok(exit)
}

/// Embeds as many values as the page may hold; gives up other things where even without values it is too large.
fn fit(
    report: &mut Report,
    checkpoint: &Checkpoint,
    modules: &[Value],
    findings: &Findings,
    wanted: Option<u64>,
) -> Result<()> {
    let most = wanted.unwrap_or(USUAL);
    let size = |report: &Report| -> Result<u64> {
        let document = Document::new(report, modules, findings);
        let size = document.size_without_values();
        size.map(|size| size as u64)
            .map_err(|e| Error::usage(format!("the page's data cannot be packed: {e}")))
    };
    let mut needed = size(report)?;
    while needed > most && report.shrink() {
        needed = size(report)?;
    }
    let Some(left) = most.checked_sub(needed) else {
        return match wanted {
            // without a bound of the user's, the list of tensors is always whole
            None => Ok(()),
            Some(most) => Err(Error::usage(format!(
                "the page needs {needed} bytes without a single value, --max-bytes allows {most}"
            ))
            .with_hint(format!("--max-bytes {needed} is the least for this file"))),
        };
    };
    // four characters for three bytes; how many values each tensor has takes room too, and is known afterwards
    let mut budget = left / 4 * 3;
    for _ in 0..ATTEMPTS {
        report.embed(checkpoint, budget);
        let whole = size(report)? + report.values.len() as u64 / 3 * 4 + 4;
        let Some(over) = whole.checked_sub(most).filter(|&over| over > 0) else {
            return Ok(());
        };
        budget = budget.saturating_sub(over + over / 8 + 64);
    }
    report.embed(checkpoint, 0);
    Ok(())
}

/// `check`'s document, and the maps: of the file, or of each file that holds tensors.
fn whole(path: &Path, checkpoint: &Checkpoint, io: &Io<'_>) -> (Value, Vec<FileMap>) {
    let found = match check::check(path, &io.limits, true) {
        Ok(found) => found,
        Err(error) => return (failure(&error), Vec::new()),
    };
    let mut maps = Vec::new();
    let mut document = render::check::json(&found);
    if let Some(object) = document.as_object_mut() {
        object.shift_remove("map");
    }
    if let Some(map) = &found.map {
        maps.push(FileMap::of(&path.display().to_string(), found.size, map));
        return (document, maps);
    }
    let folder = if path.is_dir() {
        path
    } else {
        path.parent().unwrap_or(Path::new(""))
    };
    let mut seen = std::collections::HashSet::new();
    for file in checkpoint
        .storages()
        .iter()
        .filter_map(|storage| storage.file.as_ref())
    {
        if !seen.insert(file.clone()) {
            continue;
        }
        if let Ok(shard) = check::check(&folder.join(file), &io.limits, true)
            && let Some(map) = &shard.map
        {
            maps.push(FileMap::of(&file.display().to_string(), shard.size, map));
        }
    }
    (document, maps)
}

/// `scan`'s document.
fn danger(path: &Path, io: &Io<'_>) -> Value {
    let options = scan::Options {
        limits: io.limits.clone(),
        ..scan::Options::default()
    };
    match scan::scan(path, &options) {
        Ok(found) => render::scan::json(&found),
        Err(error) => failure(&error),
    }
}

/// The walks of `shapes` with usual inputs, and first of all with that which was asked for.
fn shapes(checkpoint: &Checkpoint, asked: &[Sizes], io: &Io<'_>) -> Value {
    let mut walks = Vec::new();
    if !asked.is_empty() {
        let options = WalkOptions {
            inputs: asked
                .iter()
                .map(|Sizes(shape)| (None, shape.clone()))
                .collect(),
            fits: true,
            ..WalkOptions::default()
        };
        match Walk::of(checkpoint, &options, &io.limits) {
            Ok(walk) => walks.push(walk),
            Err(error) => return failure(&error),
        }
    }
    match shapes::usual_walks(checkpoint, &io.limits) {
        Ok(usual) => walks.extend(usual),
        Err(error) if walks.is_empty() => return failure(&error),
        Err(_) => {}
    }
    render::shapes::page(&walks)
}

/// What could not be done, in the place of its result.
fn failure(error: &Error) -> Value {
    json!({"error": error.to_string()})
}
