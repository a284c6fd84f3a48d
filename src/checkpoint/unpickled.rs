//! What a pickle's graph means, given where the file keeps the bytes of its storages: the tree, the tensors, the modules.

use std::path::Path;

use crate::bytes::Budget;
use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::Format;
use crate::checkpoint::Instances;
use crate::checkpoint::Module;
use crate::checkpoint::Storage;
use crate::checkpoint::TensorEntry;
use crate::checkpoint::Tree;
use crate::checkpoint::instances;
use crate::checkpoint::places::{Bytes, Place};
use crate::checkpoint::python::Python;
use crate::checkpoint::rebuild::Rebuilder;
use crate::checkpoint::salvage::Wreckage;
use crate::checkpoint::storages::Backing;
use crate::checkpoint::storages::Storages;
use crate::checkpoint::torchscript::code::Classes;
use crate::checkpoint::unfold;
use crate::error::Result;
use crate::pickle;
use crate::pickle::Graph;
use crate::pickle::Value;
use crate::pickle::ValueId;
use crate::tensor::ByteOrder;

/// What the tree may take for each byte of the pickle, beside [`Limits::tree_bytes`].
const TREE_PER_BYTE: usize = 32;

/// Everything that a pickle holds, and the storages that it names.
pub(super) struct Unpickled {
    pub(super) tree: Tree,
    pub(super) tensors: Vec<TensorEntry>,
    pub(super) modules: Vec<Module>,
    pub(super) notes: Vec<String>,
    pub(super) storages: Vec<Storage>,
    pub(super) places: Vec<Place>,
    pub(super) wreckage: Wreckage,
    pub(super) instances: Instances,
}

/// How the graph is to be read.
pub(super) struct Meaning<'c> {
    /// The classes that a TorchScript program defines.
    pub(super) classes: Option<&'c Classes>,
    /// Whether its tensors are listed, unless something on their path says otherwise.
    pub(super) listed: bool,
    /// Whether a tensor that cannot be had is a loss, and not an error.
    pub(super) lenient: bool,
}

impl Meaning<'_> {
    /// As `torch.load` would.
    pub(super) const PLAIN: Meaning<'static> = Meaning {
        classes: None,
        listed: true,
        lenient: false,
    };

    /// The same, perhaps of a damaged file.
    pub(super) fn plain(lenient: bool) -> Meaning<'static> {
        Meaning {
            lenient,
            ..Self::PLAIN
        }
    }
}

/// A pickle's graph; of a damaged file as much as was built of it, and then a note about that.
pub(super) fn graph(
    bytes: &[u8],
    limits: &Limits,
    lenient: bool,
    notes: &mut Vec<String>,
) -> Result<Graph> {
    if !lenient {
        return pickle::read(bytes, limits);
    }
    let prefix = pickle::read_prefix(bytes, limits)?;
    let Some(error) = prefix.error else {
        return Ok(prefix.graph);
    };
    let nothing = |items: &Value| matches!(items, Value::Tuple(items) if items.is_empty());
    if nothing(prefix.graph.get(prefix.graph.root)) {
        return Err(error);
    }
    notes.push(format!(
        "the pickle breaks off ({error}): what it says after that is lost, other tensors' names too"
    ));
    if prefix.uncertain {
        notes.push(
            "where the pickle breaks off, it cannot be told whether the last values lie beside an empty dict or inside \
             it: its key may be missing in their names"
                .to_owned(),
        );
    }
    Ok(prefix.graph)
}

impl Unpickled {
    /// The checkpoint of a single pickle; the places of its storages are put into `bytes`.
    pub(super) fn into_checkpoint(
        self,
        path: &Path,
        format: Format,
        byte_order: ByteOrder,
        mut bytes: Bytes,
    ) -> Checkpoint {
        bytes.places = self.places;
        Checkpoint {
            path: path.to_owned(),
            format,
            byte_order,
            tensors: self.tensors,
            storages: self.storages,
            modules: self.modules,
            tree: self.tree,
            metadata: Default::default(),
            notes: self.notes,
            instances: self.instances,
            bytes,
            wreckage: self.wreckage,
        }
    }
}

/// What a pickle's graph means, given where the file keeps the bytes of its storages.
pub(super) fn unpickled(
    graph: &Graph,
    source: &ByteSource,
    backing: Backing<'_>,
    byte_order: ByteOrder,
    limits: &Limits,
    meaning: &Meaning<'_>,
) -> Result<Unpickled> {
    let for_size = graph.consumed.saturating_mul(TREE_PER_BYTE);
    let most = limits.tree_bytes.saturating_add(for_size);
    let mut rebuilder = Rebuilder {
        python: Python(graph),
        storages: Storages::new(source, backing),
        byte_order,
        budget: Budget::new(most, "the tree that the file unfolds to (tree_bytes)"),
    };
    let unfolded = unfold::unfold(&mut rebuilder, limits, meaning)?;
    add_hidden_storages(&mut rebuilder, graph);
    let has_modules = !unfolded.modules.is_empty() || meaning.classes.is_some();
    let instances = match has_modules {
        true => {
            // as much again as the tree may take
            rebuilder.budget = Budget::new(most, "the modules' attributes (tree_bytes)");
            instances::instances(&mut rebuilder, meaning.classes)
        }
        false => Instances::default(),
    };
    let (storages, places, damage) = rebuilder.storages.finish();
    Ok(Unpickled {
        tree: unfolded.tree,
        tensors: unfolded.tensors,
        modules: unfolded.modules,
        notes: unfolded.notes,
        instances,
        storages,
        places,
        wreckage: Wreckage {
            damage,
            losses: unfolded.losses,
            notes: Vec::new(),
        },
    })
}

/// Storages that no shown value reaches: their bytes have an owner in the map of the file all the same. Where they
/// are damaged nothing is lost that anybody asked for.
fn add_hidden_storages(rebuilder: &mut Rebuilder<'_, '_>, graph: &Graph) {
    for (number, value) in graph.values.iter().enumerate() {
        if let (Value::Persistent(_), Ok(number)) = (value, u32::try_from(number)) {
            let _ = rebuilder
                .storages
                .named_by(rebuilder.python, ValueId(number));
        }
    }
}
