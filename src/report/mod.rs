//! What the page about a file holds: its tensors and what is known of each, the values that fit a budget, the rest of
//! its contents, and the owner of every byte.
//!
//! | question | module |
//! |---|---|
//! | which tensors, of which layers, where? | [`tensors`] |
//! | smallest, largest, mean, spread, histogram, norms of filters? | [`figures`] |
//! | which values fit? | [`embed`] |
//! | what else is in the file? | [`contents`] |
//! | whose is each byte? | [`map`] |
//!
//! Everything here is data with stable keys, written as one JSON document; [`crate::render::report`] makes the page.

pub mod contents;
pub mod embed;
pub mod figures;
pub mod map;
pub mod tensors;

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;

use crate::bytes::Limits;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::Salvage;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::explain::listing::Totals;
use crate::tensor::ByteOrder;

pub use contents::Content;
pub use figures::Figures;
pub use map::FileMap;
pub use tensors::{DTypeInfo, KindInfo, StorageInfo, TensorInfo};

/// Everything that the page shows, apart from what other commands find (`scan`, `check`, `verify`).
#[derive(Debug, Serialize)]
pub struct Report {
    /// Path as given.
    pub file: String,
    /// `torch-zip`, `safetensors`, ...
    pub format: &'static str,
    /// `little` or `big`: of the stored elements.
    pub byte_order: &'static str,
    /// safetensors' `__metadata__`.
    pub metadata: BTreeMap<String, String>,
    /// What was found and cannot be shown.
    pub notes: Vec<String>,
    /// Sums over the file.
    pub totals: Sums,
    /// Every element type that occurs.
    pub dtypes: BTreeMap<&'static str, DTypeInfo>,
    /// Every kind of layer that occurs, with the meaning of its weight's axes.
    pub kinds: Vec<KindInfo>,
    /// Every storage.
    pub storages: Vec<StorageInfo>,
    /// Every tensor, in the file's order; parts of sparse and quantized ones after it.
    pub tensors: Vec<TensorInfo>,
    /// Everything else in the file, in its order.
    pub contents: Vec<Content>,
    /// Entries of the contents that are left out.
    pub contents_left_out: usize,
    /// What is embedded, what is left out.
    pub embedded: Embedded,
    /// The owner of every byte, per file.
    pub maps: Vec<FileMap>,
    /// The embedded values, one tensor after the other, as [`Report::embed`] says.
    #[serde(skip)]
    pub values: Vec<u8>,
}

/// Sums over the file.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sums {
    /// Tensors.
    pub tensors: usize,
    /// Elements of all tensors.
    pub elements: u64,
    /// Storages.
    pub storages: usize,
    /// Bytes of all storages.
    pub stored: u64,
    /// Bytes that at least one tensor reaches.
    pub referenced: u64,
}

/// What is embedded, what is left out.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Embedded {
    /// Elements whose values are embedded.
    pub elements: u64,
    /// Tensors of which every value is embedded.
    pub whole: usize,
    /// Tensors of which the first values are embedded.
    pub begun: usize,
    /// Tensors of which no value is embedded, though they have some.
    pub none: usize,
    /// Tensors without figures, and why is said at each.
    pub without_figures: usize,
    /// Histograms and norms left out for want of room.
    pub without_details: bool,
    /// File maps left out for want of room.
    pub without_map: bool,
}

/// Opens `path`; a damaged file as far as it is there.
///
/// # Errors
///
/// As [`Checkpoint::open`], where nothing can be made of what is left.
pub fn open(path: &Path, limits: &Limits) -> Result<Checkpoint> {
    match Checkpoint::open(path, limits) {
        Err(error) if error.kind() == ErrorKind::Malformed && path.is_file() => {
            match Salvage::open(path, limits) {
                Ok(salvage) if !salvage.checkpoint.tensors().is_empty() => {
                    let mut checkpoint = salvage.checkpoint;
                    let note = format!("the file is damaged: {}", error.message());
                    checkpoint.notes.insert(0, note);
                    Ok(checkpoint)
                }
                _ => Err(error),
            }
        }
        opened => opened,
    }
}

impl Report {
    /// Gathers everything but the values; reads every tensor for its figures.
    pub fn of(checkpoint: &Checkpoint, maps: Vec<FileMap>) -> Self {
        let Totals {
            tensors,
            elements,
            storages,
            stored,
            referenced,
        } = Totals::of(checkpoint);
        let listed = tensors::list(checkpoint);
        let (contents, contents_left_out) = contents::of(checkpoint);
        let mut report = Self {
            file: checkpoint.path().to_string_lossy().into_owned(),
            format: checkpoint.format().name(),
            byte_order: match checkpoint.byte_order() {
                ByteOrder::Little => "little",
                ByteOrder::Big => "big",
            },
            metadata: checkpoint.metadata().clone(),
            notes: checkpoint.notes().to_vec(),
            totals: Sums {
                tensors,
                elements,
                storages,
                stored,
                referenced,
            },
            dtypes: listed.dtypes,
            kinds: listed.kinds,
            storages: listed.storages,
            tensors: listed.tensors,
            contents,
            contents_left_out,
            embedded: Embedded::default(),
            maps,
            values: Vec::new(),
        };
        report.add_figures(checkpoint);
        report
    }

    /// Figures of every tensor, several at a time.
    fn add_figures(&mut self, checkpoint: &Checkpoint) {
        let entries = tensors::flat(checkpoint);
        let affordable = figures::affordable(checkpoint, &entries);
        let found: Vec<_> = entries
            .par_iter()
            .zip(affordable)
            .zip(&self.tensors)
            .map(|((&(entry, _), affordable), info)| {
                figures::of(checkpoint, entry, affordable, info.has_filters(&self.kinds))
            })
            .collect();
        for (info, found) in self.tensors.iter_mut().zip(found) {
            match found {
                Ok(figures) => info.figures = figures,
                Err(why) => info.unread = Some(why),
            }
        }
        self.count_figures();
    }

    fn count_figures(&mut self) {
        let without = |t: &&TensorInfo| t.figures.is_none() && t.numel > 0;
        self.embedded.without_figures = self.tensors.iter().filter(without).count();
    }

    /// Gives up what takes most room beside the values, one thing at a time; `false` where nothing is left to give up.
    pub fn shrink(&mut self) -> bool {
        if !self.embedded.without_details {
            self.embedded.without_details = true;
            for figures in self.tensors.iter_mut().filter_map(|t| t.figures.as_mut()) {
                figures.histogram = Vec::new();
                figures.norms = Vec::new();
            }
        } else if !self.embedded.without_map && !self.maps.is_empty() {
            self.embedded.without_map = true;
            self.maps = Vec::new();
        } else if self.tensors.iter().any(|t| t.figures.is_some()) {
            self.tensors.iter_mut().for_each(|t| t.figures = None);
            self.count_figures();
        } else if !self.contents.is_empty() {
            self.contents_left_out += self.contents.len();
            self.contents = Vec::new();
        } else {
            return false;
        }
        true
    }
}
