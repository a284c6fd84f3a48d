//! `pthinspect verify`

use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use rayon::ThreadPool;
use rayon::ThreadPoolBuilder;

use super::exit::Exit;
use super::exit::Outcome;
use super::io::Io;
use crate::bytes::output;
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::error::Result;
use crate::execute::Kernel;
use crate::execute::Order;
use crate::execute::kernel::Vectors;
use crate::render::verify as render;
use crate::verify::CaseReport;
use crate::verify::Golden;
use crate::verify::Options;
use crate::verify::Processors;
use crate::verify::Settled;
use crate::verify::Status;
use crate::verify::replay;

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    $ pthinspect verify resnet18.golden.safetensors\n  \
    $ pthinspect verify goldens/*.safetensors --checkpoint model.pth --junit report.xml\n  \
    $ pthinspect verify layer.golden.safetensors --order onednn-direct/ic8 --kernel reference\n\n\
    Exit codes: 0 every case identical (or close, with --max-ulp); 1 some differ; 2 some could not be run.")]
pub struct Args {
    /// Golden files, as scripts/capture_golden.py writes them
    #[arg(required = true, value_name = "GOLDEN")]
    goldens: Vec<PathBuf>,
    /// Where weights come from that the golden files do not hold
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Call differences of at most N units in the last place close, not different
    #[arg(long, value_name = "N", default_value_t = 0)]
    max_ulp: u64,
    /// This accumulation order, whatever the origin says
    #[arg(long, value_name = "NAME")]
    order: Option<Order>,
    /// Trust the origin alone
    #[arg(long)]
    no_search: bool,
    #[command(flatten)]
    how: How,
    /// Execute each case N times; --json lists the seconds
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    repeat: u16,
    /// Write a JUnit report too
    #[arg(long, value_name = "OUT.xml")]
    junit: Option<PathBuf>,
}

/// Flags of everything that executes; none of them changes a bit.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct How {
    /// Threads to run with; never changes a bit [default: one per processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Interpreter or vector kernels; the same bits
    #[arg(long, value_name = "KERNEL", default_value = "fast")]
    kernel: KernelChoice,
}

/// `--kernel`
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum KernelChoice {
    /// The interpreter: slow, the definition
    Reference,
    /// Vector kernels
    Fast,
    /// Vector kernels without the processor's own vectors
    Portable,
    /// Vector kernels with AVX2
    Avx2,
    /// Vector kernels with AVX-512
    Avx512,
}

impl From<KernelChoice> for Kernel {
    fn from(choice: KernelChoice) -> Self {
        match choice {
            KernelChoice::Reference => Kernel::Reference,
            KernelChoice::Fast => Kernel::Fast,
            KernelChoice::Portable => Kernel::With(Vectors::Portable),
            KernelChoice::Avx2 => Kernel::With(Vectors::Avx2),
            KernelChoice::Avx512 => Kernel::With(Vectors::Avx512),
        }
    }
}

impl How {
    /// The kernel, if this processor can run it: else `--kernel avx512` would check something else than it says.
    pub(super) fn kernel(self) -> Result<Kernel> {
        match self.kernel.into() {
            Kernel::With(vectors) if !vectors.available() => Err(Error::usage(
                "this processor lacks the vectors that --kernel asks for",
            )
            .with_hint("--kernel fast takes the widest it has; the bits are the same")),
            kernel => Ok(kernel),
        }
    }

    /// As many threads as asked for.
    pub(super) fn pool(self) -> Result<ThreadPool> {
        let threads = self.threads.map_or(0, usize::from); // 0: as many as processors
        ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|e| Error::usage(format!("threads cannot be started: {e}")))
    }
}

/// Replays every case and judges.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let limits = io.limits.clone();
    let open = |path: &PathBuf| Golden::open(path, &limits);
    let goldens = args.goldens.iter().map(open).collect::<Result<Vec<_>>>()?;
    if goldens.iter().all(|golden| golden.cases.is_empty()) {
        return Err(Error::usage("nothing to verify: the golden files hold no cases").into());
    }
    let checkpoint = args.checkpoint.as_deref();
    let checkpoint = checkpoint
        .map(|path| Checkpoint::open(path, &limits))
        .transpose()?;
    let options = Options {
        kernel: args.how.kernel()?,
        order: args.order,
        search: !args.no_search,
        max_ulp: args.max_ulp,
        repeat: usize::from(args.repeat),
        machines: None,
    };
    let pool = args.how.pool()?;
    let cases = goldens.iter().map(|golden| golden.cases.len()).sum();
    let mut reports: Vec<(&Path, CaseReport)> = Vec::with_capacity(cases);
    let mut processors: Vec<(&Path, Processors)> = Vec::new();
    let mut failed = 0;
    for golden in &goldens {
        if !io.json {
            writeln!(io.out, "{}", io.paint.title(golden.file.path().display()))?;
        }
        let names = golden.cases.iter().map(|case| case.name.chars().count());
        let width = names.max().unwrap_or(0).clamp(8, 30);
        let settled = match args.order {
            Some(_) => Settled::default(),
            None => pool.install(|| Settled::of(golden, checkpoint.as_ref())),
        };
        if let Some(left) = settled.processors() {
            if !io.json {
                render::processors(io.out, io.paint, &left)?;
            }
            processors.push((golden.file.path(), left));
        }
        for (at, case) in golden.cases.iter().enumerate() {
            let options = settled.options(&options, at);
            let mut report =
                pool.install(|| replay::replay(golden, case, checkpoint.as_ref(), &options));
            if !io.json {
                render::case(io.out, io.paint, &report, width)?;
            }
            if report.error.is_some() && !io.json && args.junit.is_none() {
                // shown; of very many, the first one and their number are asked for again
                report.name = String::new();
                if failed > 0 {
                    report.error = None;
                }
                failed += 1;
            }
            reports.push((golden.file.path(), report));
        }
    }
    if io.json {
        let mut document = render::json(&reports);
        document["processors"] = render::processors_json(&processors);
        io.print_json(&document)?;
    } else {
        render::summary(io.out, io.paint, &reports)?;
    }
    if let Some(path) = &args.junit {
        let xml = render::junit(&reports)?;
        output::write_whole(path, |out| out.write_all(xml.as_bytes()))?;
    }
    let errors = reports.iter().filter(|(_, r)| r.status == Status::Error);
    let more = errors.count().saturating_sub(1);
    if let Some(first) = reports.iter().find_map(|(_, r)| r.error.as_ref()) {
        io.error(first);
        if more > 0 {
            io.say(&format!("and {more} more cases that could not be run"));
        }
    }
    Ok(verdict(&reports))
}

/// Replays golden files beside another command's work, whole and searched: their document, and how that ends.
pub(super) fn replayed(
    paths: &[PathBuf],
    checkpoint: &Checkpoint,
    io: &mut Io<'_>,
) -> Result<(serde_json::Value, Exit)> {
    if paths.is_empty() {
        return Ok((serde_json::Value::Null, Exit::Ok));
    }
    let open = |path: &PathBuf| Golden::open(path, &io.limits);
    let goldens = paths.iter().map(open).collect::<Result<Vec<_>>>()?;
    let options = Options::default();
    let mut reports: Vec<(&Path, CaseReport)> = Vec::new();
    for golden in &goldens {
        for case in &golden.cases {
            let report = replay::replay(golden, case, Some(checkpoint), &options);
            reports.push((golden.file.path(), report));
        }
    }
    for error in reports
        .iter()
        .filter_map(|(_, report)| report.error.as_ref())
        .take(1)
    {
        io.error(error);
    }
    Ok((render::json(&reports), verdict(&reports)))
}

/// Errors weigh more than differences: what could not be run was not checked.
fn verdict(reports: &[(&Path, CaseReport)]) -> Exit {
    let any = |status| reports.iter().any(|(_, report)| report.status == status);
    if any(Status::Error) {
        Exit::Failed
    } else if any(Status::Different) {
        Exit::No
    } else {
        Exit::Ok
    }
}
