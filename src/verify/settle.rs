//! What an origin leaves open, settled by the file's own outputs.
//!
//! The cases of one golden file were computed on one processor. Where an origin leaves several machines open - it does
//! not tell the caches, or two kinds of processor look alike to PyTorch - each machine predicts an order for each case,
//! and a few elements of each output tell which machines may have made it. A case is then judged with the machines that
//! all *other* cases leave: it is predicted, not fitted.

use crate::checkpoint::Checkpoint;
use crate::execute::predict::Machine;
use crate::verify::golden::Golden;
use crate::verify::replay;
use crate::verify::replay::Options;

/// Which machines the cases of a file speak for.
#[derive(Debug, Default)]
pub struct Settled {
    /// Those that the file's origin leaves open; none where it leaves one.
    machines: Vec<Machine>,
    /// For each case that tells something, its place in the file and the machines that explain it.
    votes: Vec<(usize, Vec<bool>)>,
}

/// Processors that a file's outputs leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processors {
    /// Families, the usual ones first.
    pub families: Vec<String>,
    /// Cases that each of them explains.
    pub explained: usize,
    /// Cases that any processor explains.
    pub telling: usize,
}

/// Cases that are looked at, at most: spread over the file.
const MOST_CASES: usize = 64;

impl Settled {
    /// Looks at the cases of `golden` whose origin is the first one's.
    pub fn of(golden: &Golden, checkpoint: Option<&Checkpoint>) -> Self {
        let Some(first) = golden.cases.first() else {
            return Self::default();
        };
        let machines = first.origin.machines();
        if machines.len() < 2 {
            return Self::default();
        }
        let step = golden.cases.len().div_ceil(MOST_CASES).max(1);
        let cases = golden.cases.iter().enumerate().step_by(step);
        let votes = cases
            .filter(|(_, case)| case.origin == first.origin)
            .filter_map(|(at, case)| {
                let fits = replay::survey(golden, case, checkpoint, &machines)?;
                fits.contains(&true).then_some((at, fits))
            })
            .collect();
        Self { machines, votes }
    }

    /// For each machine, how many of the cases other than `except` it explains.
    fn explained(&self, except: Option<usize>) -> Vec<usize> {
        let mut counts = vec![0; self.machines.len()];
        for (at, fits) in &self.votes {
            if Some(*at) != except {
                for (count, &fit) in counts.iter_mut().zip(fits) {
                    *count += usize::from(fit);
                }
            }
        }
        counts
    }

    /// The machines that explain most of the cases other than `except`.
    fn left(&self, except: Option<usize>) -> Vec<Machine> {
        let counts = self.explained(except);
        let most = counts.iter().copied().max().unwrap_or(0);
        let best = self.machines.iter().zip(counts);
        let best = best.filter(|(_, count)| *count == most);
        best.map(|(machine, _)| *machine).collect()
    }

    /// `options` for the case at this place in the file.
    pub fn options(&self, options: &Options, at: usize) -> Options {
        Options {
            machines: (!self.votes.is_empty()).then(|| self.left(Some(at))),
            ..options.clone()
        }
    }

    /// The processors that remain, where the origin leaves several families; `None` where it names one, and where no
    /// case tells them apart.
    pub fn processors(&self) -> Option<Processors> {
        let families = |machines: &[Machine]| {
            let mut names: Vec<String> = Vec::new();
            for machine in machines {
                let name = machine.family();
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            names
        };
        if self.votes.is_empty() || families(&self.machines).len() < 2 {
            return None;
        }
        let explained = self.explained(None).into_iter().max().unwrap_or(0);
        Some(Processors {
            families: families(&self.left(None)),
            explained,
            telling: self.votes.len(),
        })
    }
}
