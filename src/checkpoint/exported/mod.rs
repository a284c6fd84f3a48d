//! Exported programs: `torch.export.save`, a zip of a graph, its weights and its constants.
//!
//! | torch | graph | weights |
//! | --- | --- | --- |
//! | 2.9 and later | `R/models/M.json` | `R/data/weights/M_weights_config.json` says name, dtype, layout and record `weight_N` |
//! | 2.6 to 2.8 | `R/models/M.json` | `R/data/weights/M.pt`, a torch checkpoint |
//! | 2.1 to 2.5 | `serialized_exported_program.json` | `serialized_state_dict.pt` (`.json` before 2.2), a torch checkpoint |
//!
//! `R` is the root folder and `M` the model's name, `model` where there is one. Of several models the names of tensors
//! begin with the model's. Constants (`data/constants/`, `serialized_constants.pt`) are no part of the state dict: they
//! are shown in the tree. There is no pickle in the newest kind unless a tensor is of a class of somebody's own.
//!
//! Source: `torch/export/pt2_archive/_package.py` and `torch/export/__init__.py` of torch 2.15.

mod branches;
mod graph;
pub(super) mod program;
mod raw;

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use self::branches::{Branches, add_sizes};

use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::Format;
use crate::checkpoint::Module;
use crate::checkpoint::NodeId;
use crate::checkpoint::NodeValue;
use crate::checkpoint::StorageId;
use crate::checkpoint::TensorEntry;
use crate::checkpoint::Tree;
use crate::checkpoint::absorb::Under;
use crate::checkpoint::absorb::join;
use crate::checkpoint::nested;
use crate::checkpoint::places::{Bytes, DataFile};
use crate::checkpoint::salvage::Loss;
use crate::checkpoint::torch;
use crate::container::Zip;
use crate::container::zip::Record;
use crate::error::{Error, ErrorKind, Result};
use crate::tensor::layout::list;

const OLD_GRAPH: &str = "serialized_exported_program.json";
const WEIGHTS: &str = "data/weights/";
const CONSTANTS: &str = "data/constants/";

/// The folder of an exported program, with its slash; `None` if the zip holds none.
pub(super) fn prefix(zip: &Zip) -> Option<String> {
    if zip.find(OLD_GRAPH).is_some() {
        return Some(String::new());
    }
    if zip.is_wreck() {
        // the graph comes last
        let mut names = zip.records().iter().map(|record| record.name.as_str());
        let found = names.find_map(|name| name.find(&format!("/{WEIGHTS}")).map(|at| &name[..=at]));
        return found.map(str::to_owned);
    }
    let root = zip.root()?;
    let models = format!("{root}/models/");
    let has_graph = zip
        .records()
        .iter()
        .any(|record| record.name.starts_with(&models) && record.name.ends_with(".json"));
    let torch = zip.find_in_root("data.pkl").is_some();
    (has_graph && !torch).then(|| format!("{root}/"))
}

/// A config of weights or constants.
#[derive(Deserialize)]
struct Config {
    config: Map<String, Value>,
}

#[derive(Deserialize)]
struct Payload {
    path_name: String,
    #[serde(default)]
    is_param: bool,
    #[serde(default)]
    use_pickle: bool,
    tensor_meta: Option<TensorMeta>,
}

#[derive(Deserialize)]
struct TensorMeta {
    dtype: u32,
    sizes: Vec<Value>,
    #[serde(default)]
    requires_grad: bool,
    strides: Vec<Value>,
    storage_offset: Value,
}

/// Puts a program together.
struct Reader<'r> {
    path: &'r Path,
    source: &'r ByteSource,
    zip: &'r Zip,
    prefix: &'r str,
    limits: &'r Limits,
    whole: Checkpoint,
    /// The storages of records, by their names.
    storages: HashMap<String, StorageId>,
}

pub(super) fn open(
    path: &Path,
    source: ByteSource,
    zip: Zip,
    prefix: &str,
    limits: &Limits,
) -> Result<Checkpoint> {
    let byte_order = torch::byte_order(&zip, prefix)?;
    let whole = Checkpoint {
        path: path.to_owned(),
        format: Format::TorchExport,
        byte_order,
        tensors: Vec::new(),
        storages: Vec::new(),
        modules: Vec::new(),
        tree: Tree::default(),
        metadata: Default::default(),
        notes: Vec::new(),
        instances: Default::default(),
        bytes: Bytes::of_one(
            DataFile::little(source.clone()),
            Vec::new(),
            limits.tensor_bytes,
        ),
        wreckage: Default::default(),
    };
    let mut reader = Reader {
        path,
        source: &source,
        zip: &zip,
        prefix,
        limits,
        whole,
        storages: HashMap::new(),
    };
    if prefix.is_empty() && zip.find(OLD_GRAPH).is_some() {
        reader.old()?;
    } else {
        reader.models()?;
    }
    let mut whole = reader.whole;
    if let Some(file) = whole.bytes.files.first_mut() {
        file.zip = Some(zip);
        file.byte_order = byte_order;
    }
    Ok(whole)
}

/// The graphs of the programs in that zip, each with the name of its model.
pub(super) fn programs(
    zip: &Zip,
    prefix: &str,
    limits: &Limits,
) -> Result<Vec<(String, program::ExportedGraph)>> {
    let folder = format!("{prefix}models/");
    let mut found = Vec::new();
    for record in zip.records() {
        let name = record.name.strip_prefix(&folder);
        let model = match name.and_then(|name| name.strip_suffix(".json")) {
            Some(model) => model,
            None if prefix.is_empty() && record.name == OLD_GRAPH => "model",
            None => continue,
        };
        let json = zip.read(record, limits.header_bytes)?;
        let graph = program::graph(&json).map_err(|e| e.in_record(&record.name))?;
        found.push((model.to_owned(), graph));
    }
    Ok(found)
}

impl Reader<'_> {
    fn find(&self, name: &str) -> Option<&Record> {
        self.zip.find(&format!("{}{name}", self.prefix))
    }

    fn read(&self, name: &str) -> Result<std::borrow::Cow<'_, [u8]>> {
        let record = self.find(name).ok_or_else(|| {
            Error::malformed("is missing: the exported program is incomplete").in_record(name)
        })?;
        let json = self
            .zip
            .read_limited(record, self.limits.header_bytes, "header_bytes")?;
        values_within(&json, record.stored_len, self.limits).map_err(|e| e.in_record(name))?;
        Ok(json)
    }

    /// The layouts of 2.6 and later: one or more models.
    fn models(&mut self) -> Result<()> {
        let folder = format!("{}models/", self.prefix);
        let weights = format!("{}{WEIGHTS}", self.prefix);
        let model = |record: &Record| {
            let name = record.name.as_str();
            let graph = name
                .strip_prefix(&folder)
                .and_then(|name| name.strip_suffix(".json"));
            // of a damaged file the weights may be there without the graph
            let file = name.strip_prefix(&weights).filter(|_| self.lenient());
            let known = file.and_then(|name| {
                name.strip_suffix("_weights_config.json").or_else(|| {
                    name.strip_suffix(".pt")
                        .filter(|n| !n.starts_with("weight_"))
                })
            });
            graph.or(known).map(str::to_owned)
        };
        let mut names: Vec<String> = Vec::new();
        for name in self.zip.records().iter().filter_map(model) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if names.is_empty() {
            return Err(Error::malformed(
                "what the weights are called stands behind them, in a file that is not there any more",
            ));
        }
        let alone = names.len() == 1;
        if !alone {
            let root = NodeValue::Dict { class: None };
            self.whole.tree.push(None, String::new(), root);
        }
        for name in &names {
            let start = self.whole.tensors.len();
            let before = if alone { "" } else { name };
            let config = format!("{WEIGHTS}{name}_weights_config.json");
            let old = format!("{WEIGHTS}{name}.pt");
            if self.find(&config).is_some() {
                self.weights(&config, before)?;
            } else if self.find(&old).is_some() {
                self.state_dict(&old, before)?;
            } else {
                return Err(Error::malformed(format!(
                    "the weights of the model {name:?} are missing ({config})"
                )));
            }
            let key = if alone { String::new() } else { name.clone() };
            let graph = format!("models/{name}.json");
            let node = self.tree_of(&graph, before, start, key)?;
            let constants = self.constants(name, node);
            self.tolerate(constants)?;
        }
        Ok(())
    }

    /// The layout of 2.5 and before.
    fn old(&mut self) -> Result<()> {
        let mut weights = ["serialized_state_dict.pt", "serialized_state_dict.json"].into_iter();
        let Some(weights) = weights.find(|name| self.find(name).is_some()) else {
            return Err(Error::malformed(
                "the weights of the exported program are missing (serialized_state_dict.pt)",
            ));
        };
        self.state_dict(weights, "")?;
        let node = self.tree_of(OLD_GRAPH, "", 0, String::new())?;
        let mut constants = ["serialized_constants.pt", "serialized_constants.json"].into_iter();
        if let Some(constants) = constants.find(|name| self.find(name).is_some()) {
            let hidden = self.hidden(constants, node);
            self.tolerate(hidden)?;
        }
        Ok(())
    }

    /// Whether the file is a damaged one.
    fn lenient(&self) -> bool {
        self.zip.is_wreck()
    }

    /// What is beside the weights may be missing in a damaged file.
    fn tolerate(&mut self, outcome: Result<()>) -> Result<()> {
        match outcome {
            Err(error) if self.lenient() && error.kind() != ErrorKind::Limit => {
                self.whole.wreckage.notes.push(error.to_string());
                Ok(())
            }
            other => other,
        }
    }

    /// Tensors that a config describes; `before` is put before their names.
    fn weights(&mut self, config: &str, before: &str) -> Result<()> {
        for (name, payload) in self.config(config)? {
            let read = if payload.use_pickle {
                self.pickled(WEIGHTS, &payload.path_name)
            } else {
                self.raw(WEIGHTS, &payload)
                    .map_err(|e| e.in_record(format!("{config}: {name}")))
            };
            let mut entry = match read {
                Err(error) if self.lenient() && error.kind() != ErrorKind::Limit => {
                    self.whole.wreckage.losses.push(Loss {
                        name: join(before, &name),
                        dtype: None,
                        shape: None,
                        why: error.message().to_owned(),
                    });
                    continue;
                }
                read => read?,
            };
            entry.name = join(before, &name);
            self.whole.tensors.push(entry);
        }
        Ok(())
    }

    fn config(&self, name: &str) -> Result<Vec<(String, Payload)>> {
        let malformed =
            |e: serde_json::Error| Error::malformed(format!("is no config of weights: {e}"));
        let config: Config = serde_json::from_slice(&self.read(name)?)
            .map_err(malformed)
            .map_err(|e| e.in_record(name))?;
        let payloads = config.config.into_iter().map(|(tensor, value)| {
            let payload: Payload = serde_json::from_value(value)
                .map_err(malformed)
                .map_err(|e| e.in_record(name))?;
            Ok((tensor, payload))
        });
        payloads.collect()
    }

    fn nested(&self, name: &str) -> Result<Checkpoint> {
        let record = self.find(name).ok_or_else(|| {
            Error::malformed("is missing: the exported program is incomplete").in_record(name)
        })?;
        nested::record(self.path, self.source, self.zip, record, name, self.limits)
    }

    /// A tensor saved by `torch.save` in a record of its own.
    fn pickled(&mut self, folder: &str, path_name: &str) -> Result<TensorEntry> {
        let name = format!("{folder}{path_name}");
        let inner = self.nested(&name)?;
        let start = self.whole.tensors.len();
        self.absorb_flat(inner, "");
        let mut tensors = self.whole.tensors.drain(start..);
        match (tensors.next(), tensors.next()) {
            (Some(entry), None) => Ok(entry),
            _ => Err(Error::malformed("holds no tensor alone").in_record(name)),
        }
    }

    /// The tensors of a checkpoint in a record.
    fn state_dict(&mut self, name: &str, before: &str) -> Result<()> {
        let inner = self.nested(name)?;
        self.absorb_flat(inner, before);
        Ok(())
    }

    /// Takes over everything but the tree.
    fn absorb_flat(&mut self, mut inner: Checkpoint, before: &str) {
        inner.tree = Tree::default();
        let under = Under {
            parent: NodeId(0),
            key: None,
            prefix: before,
            file: None,
        };
        self.whole.absorb(inner, &under);
    }

    /// The tree of the tensors from number `start` on, by the modules that the graph names; its root.
    fn tree_of(&mut self, graph: &str, before: &str, start: usize, key: String) -> Result<NodeId> {
        let json = match self.read(graph) {
            Err(_) if self.lenient() => std::borrow::Cow::Borrowed(&b""[..]),
            json => json?,
        };
        let tensors = &self.whole.tensors[start..];
        let named: HashMap<&str, &TensorEntry> =
            tensors.iter().map(|t| (t.name.as_str(), t)).collect();
        let shape = |name: &str| {
            let tensor = named.get(join(before, name).as_str())?;
            Some(tensor.layout.shape())
        };
        let rank = |name: &str| shape(name).map(<[usize]>::len);
        let modules = graph::modules(&json, rank).map_err(|e| e.in_record(graph));
        let mut modules = match modules {
            Err(error) if self.zip.is_wreck() && error.kind() != ErrorKind::Limit => {
                self.whole.wreckage.notes.push(format!(
                    "{graph} is not there, or damaged: the graph's hyperparameters are lost"
                ));
                Vec::new()
            }
            modules => modules?,
        };
        for module in &mut modules {
            if let Some(shape) = shape(&join(&module.path, "weight")) {
                add_sizes(&mut module.attributes, shape);
            }
        }
        let branches = Branches {
            modules: modules.iter().map(|m| (m.path.as_str(), m)).collect(),
            nodes: HashMap::new(),
        };
        let parent = (!self.whole.tree.nodes.is_empty()).then_some(NodeId(0));
        let names = tensors
            .iter()
            .map(|t| t.name[before.len()..].trim_start_matches('.'));
        let depth = self.limits.tree_depth;
        let root = branches.grow(
            &mut self.whole.tree,
            parent,
            key,
            names.enumerate().map(|(n, name)| (start + n, name)),
            depth,
        )?;
        self.whole
            .modules
            .extend(modules.into_iter().map(|module| Module {
                path: join(before, &module.path),
                class: module.class,
                attributes: module.attributes,
            }));
        Ok(root)
    }

    /// Constants that a config describes, or a checkpoint holds: in the tree, not listed.
    fn constants(&mut self, model: &str, root: NodeId) -> Result<()> {
        let old = format!("{CONSTANTS}{model}.pt");
        if self.find(&old).is_some() {
            return self.hidden(&old, root);
        }
        let config = format!("{CONSTANTS}{model}_constants_config.json");
        if self.find(&config).is_none() {
            return Ok(());
        }
        let mut shown = Vec::new();
        for (name, payload) in self.config(&config)? {
            let is_tensor = payload.path_name.starts_with("tensor_");
            let text = if is_tensor && !payload.use_pickle {
                let entry = self
                    .raw(CONSTANTS, &payload)
                    .map_err(|e| e.in_record(format!("{config}: {name}")))?;
                as_text(&entry)
            } else {
                format!("<{}>", payload.path_name)
            };
            shown.push((name, text));
        }
        self.show(shown, root);
        Ok(())
    }

    /// The constants in a checkpoint of their own.
    fn hidden(&mut self, name: &str, root: NodeId) -> Result<()> {
        let inner = self.nested(name)?;
        let start = self.whole.tensors.len();
        self.absorb_flat(inner, "");
        let shown = self.whole.tensors.drain(start..);
        let shown = shown.map(|tensor| (tensor.name.clone(), as_text(&tensor)));
        let shown = shown.collect();
        self.show(shown, root);
        Ok(())
    }

    fn show(&mut self, constants: Vec<(String, String)>, root: NodeId) {
        if constants.is_empty() {
            return;
        }
        self.whole.notes.push(match constants.len() {
            1 => "1 constant of the program is no part of state_dict, and not listed".to_owned(),
            n => format!("{n} constants of the program are no part of state_dict, and not listed"),
        });
        let tree = &mut self.whole.tree;
        let node = tree.push(
            Some(root),
            "constants".into(),
            NodeValue::Dict { class: None },
        );
        for (name, text) in constants {
            tree.push(Some(node), name, NodeValue::Repr(text));
        }
    }
}

/// Memory that a value of JSON takes at most, with its share of the list or object that it is in.
const VALUE: usize = 160;
/// Memory that the values may take for each byte that the file keeps of them, and in any case.
const VALUES_RATIO: u64 = 1024;
const VALUES_FREE: u64 = 32 << 20;

/// Refuses JSON whose values would take far more memory than its bytes do: `[0,0,0,...` deflates a thousandfold, and
/// each of its numbers becomes a value. Every value but the first comes after one of four marks, which are counted.
fn values_within(json: &[u8], stored_len: u64, limits: &Limits) -> Result<()> {
    let (mut marks, mut in_text, mut escaped) = (0usize, false, false);
    for &byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b'[' | b'{' | b',' | b':' if !in_text => marks += 1,
            _ => {}
        }
    }
    let most = stored_len.saturating_mul(VALUES_RATIO).max(VALUES_FREE);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let most = match limits.pickle_memory {
        // who sets it means it
        set if set != Limits::default().pickle_memory => set,
        default => most.min(default),
    };
    if marks.saturating_mul(VALUE) <= most {
        return Ok(());
    }
    Err(Error::limit(format!(
        "the {marks} values of the JSON would take more than {most} bytes of memory (pickle_memory)"
    )))
}

fn as_text(entry: &TensorEntry) -> String {
    format!(
        "torch.Tensor({}, {})",
        entry.dtype,
        list(entry.layout.shape())
    )
}
