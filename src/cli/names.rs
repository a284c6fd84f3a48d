//! Which tensors a command is about: names and globs.

use globset::{Glob, GlobMatcher};

use crate::checkpoint::Checkpoint;
use crate::checkpoint::TensorEntry;
use crate::error::{Error, Result};

/// Names and globs; empty: everything.
#[derive(Debug, Default)]
pub(super) struct Names {
    patterns: Vec<(String, Option<GlobMatcher>)>,
}

impl Names {
    /// From arguments; `*` also crosses dots.
    pub(super) fn new(arguments: &[String]) -> Result<Self> {
        let patterns = arguments.iter().map(|argument| {
            let is_glob = argument.contains(['*', '?', '[', '{']);
            let glob = || {
                Glob::new(argument)
                    .map(|glob| glob.compile_matcher())
                    .map_err(|e| Error::usage(format!("`{argument}` is no glob: {}", e.kind())))
            };
            Ok((argument.clone(), is_glob.then(glob).transpose()?))
        });
        Ok(Self {
            patterns: patterns.collect::<Result<_>>()?,
        })
    }

    /// Whether everything is meant, or only what matches.
    pub(super) fn is_everything(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The tensors meant, in the file's order. A glob takes every name that it matches; a name is that of a tensor, of
    /// a layer (all its tensors), or a unique suffix of one. What matches nothing is an error.
    pub(super) fn choose<'a>(&self, checkpoint: &'a Checkpoint) -> Result<Vec<&'a TensorEntry>> {
        let tensors = checkpoint.tensors();
        let mut chosen = vec![self.is_everything(); tensors.len()];
        for (text, glob) in &self.patterns {
            let matched = self::matches(checkpoint, text, glob.as_ref())?;
            if matched.is_empty() {
                return Err(Error::usage(format!("no tensor matches `{text}`"))
                    .in_file(checkpoint.path())
                    .with_hint("`pthinspect ls` lists the names"));
            }
            matched.into_iter().for_each(|number| chosen[number] = true);
        }
        Ok(tensors
            .iter()
            .zip(chosen)
            .filter_map(|(tensor, yes)| yes.then_some(tensor))
            .collect())
    }
}

/// Numbers of the tensors that one argument means.
fn matches(checkpoint: &Checkpoint, text: &str, glob: Option<&GlobMatcher>) -> Result<Vec<usize>> {
    let having = |wanted: &dyn Fn(&str) -> bool| -> Vec<usize> {
        let tensors = checkpoint.tensors().iter().enumerate();
        tensors
            .filter(|(_, tensor)| wanted(&tensor.name))
            .map(|(number, _)| number)
            .collect()
    };
    // a name may contain what looks like a glob
    let exact = having(&|name| name == text);
    if !exact.is_empty() {
        return Ok(exact);
    }
    if let Some(glob) = glob {
        return Ok(having(&|name| glob.is_match(name)));
    }
    let under = format!("{text}.");
    let layer = having(&|name| name.starts_with(&under));
    if !layer.is_empty() {
        return Ok(layer);
    }
    match checkpoint.find_tensor(text) {
        Ok(tensor) => Ok(having(&|name| name == tensor.name)),
        Err(error) => match checkpoint.find_layer(text) {
            Ok(path) => {
                let under = format!("{path}.");
                Ok(having(&|name| name.starts_with(&under)))
            }
            Err(_) => Err(error),
        },
    }
}
