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
use crate::checkpoint::Storage;
use crate::checkpoint::StorageId;
use crate::checkpoint::TensorEntry;
use crate::checkpoint::Tree;
use crate::checkpoint::absorb::Under;
use crate::checkpoint::absorb::join;
use crate::checkpoint::nested;
use crate::checkpoint::places::{Bytes, DataFile, Place};
use crate::checkpoint::torch;
use crate::container::Zip;
use crate::container::zip::Method;
use crate::container::zip::Record;
use crate::error::{Error, Result};
use crate::tensor::layout::list;
use crate::tensor::{DType, Layout};

const OLD_GRAPH: &str = "serialized_exported_program.json";
const WEIGHTS: &str = "data/weights/";
const CONSTANTS: &str = "data/constants/";

/// The folder of an exported program, with its slash; `None` if the zip holds none.
pub(super) fn prefix(zip: &Zip) -> Option<String> {
    if zip.find(OLD_GRAPH).is_some() {
        return Some(String::new());
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
        bytes: Bytes::of_one(
            DataFile::little(source.clone()),
            Vec::new(),
            limits.tensor_bytes,
        ),
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
        let names: Vec<String> = self
            .zip
            .records()
            .iter()
            .filter_map(|record| record.name.strip_prefix(&folder)?.strip_suffix(".json"))
            .map(str::to_owned)
            .collect();
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
            self.constants(name, node)?;
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
            self.hidden(constants, node)?;
        }
        Ok(())
    }

    /// Tensors that a config describes; `before` is put before their names.
    fn weights(&mut self, config: &str, before: &str) -> Result<()> {
        for (name, payload) in self.config(config)? {
            let mut entry = if payload.use_pickle {
                self.pickled(WEIGHTS, &payload.path_name)?
            } else {
                self.raw(WEIGHTS, &payload)
                    .map_err(|e| e.in_record(format!("{config}: {name}")))?
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

    /// A tensor over the raw bytes of a record.
    fn raw(&mut self, folder: &str, payload: &Payload) -> Result<TensorEntry> {
        let Some(meta) = &payload.tensor_meta else {
            return Err(Error::malformed(
                "nothing says of which type and shape it is",
            ));
        };
        let dtype = scalar_type(meta.dtype).ok_or_else(|| {
            Error::unsupported(format!(
                "its dtype has the number {}, which is unknown",
                meta.dtype
            ))
        })?;
        let sizes = |list: &[Value]| list.iter().map(size).collect::<Result<Vec<_>>>();
        let layout = Layout::new(
            sizes(&meta.sizes)?,
            sizes(&meta.strides)?,
            size(&meta.storage_offset)?,
        )?;
        let mut entry = TensorEntry {
            name: String::new(),
            dtype,
            layout,
            storage: None,
            requires_grad: payload.is_param && meta.requires_grad,
            conj: false,
            neg: false,
            extra: Map::new(),
            parts: Vec::new(),
        };
        let shown = format!("{folder}{}", payload.path_name);
        let Some(record) = self.find(&shown) else {
            return Err(
                Error::malformed(format!("its record {shown:?} is not in the file"))
                    .with_hint("the file is incomplete: download or save it again"),
            );
        };
        let record = record.clone();
        let needed = dtype.bytes_of(entry.layout.extent());
        if record.len == 0 && needed != Some(0) {
            // exported from tensors without elements
            entry.extra.insert("device".into(), Value::from("meta"));
            return Ok(entry);
        }
        if needed.is_none_or(|needed| needed as u64 > record.len) {
            return Err(Error::malformed(format!(
                "{} reaches element {} of {dtype}, but its record {shown:?} has {} bytes",
                entry.layout,
                entry.layout.extent().saturating_sub(1),
                record.len
            )));
        }
        entry.storage = Some(self.storage(shown, dtype, &record)?);
        Ok(entry)
    }

    /// The storage of a record; the same for all tensors that name it.
    fn storage(&mut self, shown: String, dtype: DType, record: &Record) -> Result<StorageId> {
        if let Some(&known) = self.storages.get(&shown) {
            return Ok(known);
        }
        let (Ok(start), Ok(nbytes)) =
            (usize::try_from(record.data_at), usize::try_from(record.len))
        else {
            return Err(Error::limit(
                "a record is larger than this machine's memory",
            ));
        };
        let stored = record.method == Method::Stored;
        self.whole.bytes.places.push(if stored {
            Place::File(0, start..start + nbytes)
        } else {
            Place::Record(0, Box::new(record.clone()), nbytes)
        });
        let id = StorageId(self.whole.storages.len());
        self.storages.insert(shown.clone(), id);
        self.whole.storages.push(Storage {
            key: shown,
            file: None,
            location: "cpu".into(),
            dtype,
            nbytes,
            file_offset: (stored && nbytes > 0).then_some(record.data_at),
            view_of: None,
        });
        Ok(id)
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
        let json = self.read(graph)?;
        let tensors = &self.whole.tensors[start..];
        let named: HashMap<&str, &TensorEntry> =
            tensors.iter().map(|t| (t.name.as_str(), t)).collect();
        let shape = |name: &str| {
            let tensor = named.get(join(before, name).as_str())?;
            Some(tensor.layout.shape())
        };
        let rank = |name: &str| shape(name).map(<[usize]>::len);
        let mut modules = graph::modules(&json, rank).map_err(|e| e.in_record(graph))?;
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

/// `{"as_int": 3}`
fn size(value: &Value) -> Result<usize> {
    let size = value.get("as_int").unwrap_or(value).as_u64();
    size.and_then(|n| usize::try_from(n).ok()).ok_or_else(|| {
        let shown: String = value.to_string().chars().take(60).collect();
        Error::malformed(format!(
            "its layout holds {shown}, expected a number from 0 to 2^63"
        ))
    })
}

/// `ScalarType` of `torch/_export/serde/schema.py`.
fn scalar_type(number: u32) -> Option<DType> {
    let name = match number {
        1 => "uint8",
        2 => "int8",
        3 => "int16",
        4 => "int32",
        5 => "int64",
        6 => "float16",
        7 => "float32",
        8 => "float64",
        9 => "complex32",
        10 => "complex64",
        11 => "complex128",
        12 => "bool",
        13 => "bfloat16",
        28 => "uint16",
        29 => "float8_e4m3fn",
        30 => "float8_e5m2",
        31 => "float8_e4m3fnuz",
        32 => "float8_e5m2fnuz",
        33 => "float8_e8m0fnu",
        34 => "uint32",
        35 => "uint64",
        _ => return None,
    };
    DType::from_name(name)
}
