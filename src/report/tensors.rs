//! Every tensor with what is known of it before its elements are read.

use std::collections::BTreeMap;
use std::collections::HashMap;

use serde::Serialize;
use serde_json::Map;
use serde_json::Value;

use super::figures::Figures;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::Module;
use crate::checkpoint::TensorEntry;
use crate::explain::Convolution;
use crate::explain::Evidence;
use crate::explain::Kind;
use crate::explain::LayerOptions;
use crate::explain::Memory;
use crate::explain::Padding;
use crate::explain::kind::Clues;
use crate::tensor::DType;
use crate::tensor::reals;

/// One tensor; what is usual is left out (`stride`: C order, `storage_offset`: 0).
#[derive(Debug, Serialize)]
pub struct TensorInfo {
    /// Full name; of a part its role.
    pub name: String,
    /// The tensor that this is a part of: its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_of: Option<usize>,
    /// Element type.
    pub dtype: &'static str,
    /// Sizes per axis.
    pub shape: Vec<usize>,
    /// Elements from one index to the next, where that is not C order without gaps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<Vec<usize>>,
    /// Elements from the storage's start.
    #[serde(skip_serializing_if = "is_zero")]
    pub storage_offset: usize,
    /// Elements.
    pub numel: usize,
    /// Bytes.
    pub nbytes: usize,
    /// Number of its storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<usize>,
    /// How the elements lie, where that is not C order without gaps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// `sparse_coo`, `nested`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<String>,
    /// Lazily conjugated or negated: the stored bits are not the values' bits.
    #[serde(skip_serializing_if = "is_false")]
    pub lazy: bool,
    /// What else belongs to a sparse, quantized or meta tensor.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
    /// Of a layer's weight: number of the kind of layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<usize>,
    /// Of a convolution's weight: the convolution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conv: Option<ConvInfo>,
    /// Figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
    /// Why its elements cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
    /// How many of its first elements are embedded.
    #[serde(skip_serializing_if = "is_zero")]
    pub embedded: usize,
}

/// An element type, with what a reader of its bytes needs.
#[derive(Debug, Serialize)]
pub struct DTypeInfo {
    /// Bits of an element.
    pub bits: usize,
    /// Bytes that turn round together in a big-endian file.
    pub component: usize,
    /// Of types of at most 8 bits: every code as text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
}

/// A kind of layer, as its weight shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KindInfo {
    /// `Conv2d`, `Linear`, ...
    pub name: Option<&'static str>,
    /// `class`: the file says so; `shape`: it follows from the shapes.
    pub known_by: &'static str,
    /// Meaning and letter of each axis of the weight.
    pub axes: Vec<(String, String)>,
}

/// A convolution's arguments.
#[derive(Debug, Serialize)]
pub struct ConvInfo {
    /// Whether it is transposed.
    #[serde(skip_serializing_if = "is_false")]
    pub transposed: bool,
    /// Groups.
    pub groups: usize,
    /// Step per axis.
    pub stride: Vec<usize>,
    /// Per axis, or `same`, `valid`.
    pub padding: Value,
    /// Distance of the taps per axis.
    pub dilation: Vec<usize>,
    /// Output padding of a transposed one.
    #[serde(skip_serializing_if = "all_zero")]
    pub output_padding: Vec<usize>,
    /// `zeros`, `reflect`, ...
    pub padding_mode: String,
    /// Whether the file says so; else these are PyTorch's defaults.
    pub in_file: bool,
}

/// A storage.
#[derive(Debug, Serialize)]
pub struct StorageInfo {
    /// `data/0`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Bytes.
    pub nbytes: usize,
    /// Where it begins in its file; `None` where compressed, in pieces or absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_offset: Option<u64>,
    /// Its file, where that is another than the one that was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The storage that it is a window of, and from which byte on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view_of: Option<(usize, usize)>,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn all_zero(numbers: &[usize]) -> bool {
    numbers.iter().all(|&number| number == 0)
}

impl TensorInfo {
    /// Whether its slices along the first axis are filters.
    pub(super) fn has_filters(&self, kinds: &[KindInfo]) -> bool {
        let kind = self.kind.and_then(|number| kinds.get(number)?.name);
        kind.is_some_and(|name| name.starts_with("Conv") && !name.starts_with("ConvTranspose"))
    }
}

/// The tensors and their parts in the order of [`super::Report::tensors`]; of a part the number of its tensor.
pub(super) fn flat(checkpoint: &Checkpoint) -> Vec<(&TensorEntry, Option<usize>)> {
    let mut found = Vec::new();
    for tensor in checkpoint.tensors() {
        let number = found.len();
        found.push((tensor, None));
        found.extend(tensor.parts.iter().map(|part| (part, Some(number))));
    }
    found
}

/// What [`list`] gathers.
pub(super) struct Listed {
    pub(super) dtypes: BTreeMap<&'static str, DTypeInfo>,
    pub(super) kinds: Vec<KindInfo>,
    pub(super) storages: Vec<StorageInfo>,
    pub(super) tensors: Vec<TensorInfo>,
}

/// Every tensor of the checkpoint.
pub(super) fn list(checkpoint: &Checkpoint) -> Listed {
    let by_name: HashMap<&str, &TensorEntry> = checkpoint
        .tensors()
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor))
        .collect();
    let modules: HashMap<&str, &Module> = checkpoint
        .modules()
        .iter()
        .map(|module| (module.path.as_str(), module))
        .collect();
    let mut listed = Listed {
        dtypes: BTreeMap::new(),
        kinds: Vec::new(),
        storages: storages(checkpoint),
        tensors: Vec::new(),
    };
    let mut kind_numbers = HashMap::new();
    for (entry, part_of) in flat(checkpoint) {
        let dtype = entry.dtype;
        listed
            .dtypes
            .entry(dtype.name())
            .or_insert_with(|| DTypeInfo::of(dtype));
        let mut info = TensorInfo::of(entry, part_of);
        if part_of.is_none()
            && let Some(layer) = layer(entry, &by_name, &modules)
        {
            let key = (layer.kind.name, layer.kind.known_by, layer.kind.axes.len());
            let number = *kind_numbers.entry(key).or_insert_with(|| {
                listed.kinds.push(layer.kind);
                listed.kinds.len() - 1
            });
            info.kind = Some(number);
            info.conv = layer.conv;
        }
        listed.tensors.push(info);
    }
    listed
}

fn storages(checkpoint: &Checkpoint) -> Vec<StorageInfo> {
    let info = |storage: &crate::checkpoint::Storage| StorageInfo {
        key: storage.key.clone(),
        nbytes: storage.nbytes,
        file_offset: storage.file_offset,
        file: storage
            .file
            .as_ref()
            .map(|file| file.to_string_lossy().into_owned()),
        view_of: storage.view_of.map(|(id, at)| (id.0, at)),
    };
    checkpoint.storages().iter().map(info).collect()
}

impl DTypeInfo {
    fn of(dtype: DType) -> Self {
        let codes = reals::codes(dtype).unwrap_or_default();
        Self {
            bits: dtype.bits(),
            component: dtype.component_bytes(),
            codes: codes
                .iter()
                .map(|element| element.display(dtype).to_string())
                .collect(),
        }
    }
}

impl TensorInfo {
    fn of(entry: &TensorEntry, part_of: Option<usize>) -> Self {
        let layout = &entry.layout;
        let strided = entry.layout_name().is_none();
        let memory = Memory::of(layout);
        let usual = memory == Memory::Contiguous || !strided;
        Self {
            name: entry.name.clone(),
            part_of,
            dtype: entry.dtype.name(),
            shape: layout.shape().to_vec(),
            stride: (!usual).then(|| layout.stride().to_vec()),
            storage_offset: layout.storage_offset(),
            numel: layout.numel(),
            nbytes: entry.nbytes(),
            storage: entry.storage.map(|id| id.0),
            memory: (!usual).then(|| word(&memory)),
            layout: entry.layout_name().map(str::to_owned),
            lazy: entry.conj || entry.neg,
            extra: entry.extra.clone(),
            kind: None,
            conv: None,
            figures: None,
            unread: None,
            embedded: 0,
        }
    }
}

fn word(memory: &Memory) -> String {
    let word = match memory {
        Memory::Contiguous => "C order",
        Memory::ChannelsLast => "channels_last: the channel moves fastest",
        Memory::ColumnMajor => "column-major: the first axis moves fastest, the last slowest",
        Memory::Permuted(axes) => {
            return format!("axes permuted: from slowest to fastest {axes:?}");
        }
        Memory::Expanded => "expanded: several indices share one element",
        Memory::Strided => "with gaps or overlaps",
    };
    word.to_owned()
}

struct LayerOf {
    kind: KindInfo,
    conv: Option<ConvInfo>,
}

/// The layer that `weight` is the weight of.
fn layer(
    weight: &TensorEntry,
    by_name: &HashMap<&str, &TensorEntry>,
    modules: &HashMap<&str, &Module>,
) -> Option<LayerOf> {
    let path = match weight.name.as_str() {
        "weight" => "",
        name => name.strip_suffix(".weight")?,
    };
    let sibling = |last: &str| match path {
        "" => by_name.get(last),
        path => by_name.get(format!("{path}.{last}").as_str()),
    };
    let shape = weight.layout.shape();
    let module = modules.get(path);
    let bias = sibling("bias").map(|bias| bias.layout.shape());
    let (kind, evidence) = Kind::identify(&Clues {
        name: path,
        class: module.map(|module| module.class.as_str()),
        shape,
        bias,
        running_mean: sibling("running_mean").is_some(),
        transposed: false,
    });
    kind.name()?;
    let axes = kind.axes(shape.len());
    let bias = bias.and_then(|shape| <[usize; 1]>::try_from(shape).ok());
    Some(LayerOf {
        kind: KindInfo {
            name: kind.name(),
            known_by: match evidence {
                Evidence::Class(_) => "class",
                _ => "shape",
            },
            axes: axes
                .iter()
                .map(|axis| (axis.word(), axis.letter()))
                .collect(),
        },
        conv: convolution(kind, shape, bias.map(|[outputs]| outputs), module.copied()),
    })
}

fn convolution(
    kind: Kind,
    shape: &[usize],
    bias: Option<usize>,
    module: Option<&Module>,
) -> Option<ConvInfo> {
    let transposed = match kind {
        Kind::Conv(_) => false,
        Kind::ConvTranspose(_) => true,
        _ => return None,
    };
    let attributes = module.map(|module| &module.attributes);
    let options = LayerOptions::default();
    // what the file says may be nonsense; then it is not shown
    let found = Convolution::of(transposed, shape, bias, attributes, &options).ok()?;
    Some(ConvInfo {
        transposed,
        groups: found.groups.value,
        stride: found.hyper.stride.value,
        padding: match found.hyper.padding.value {
            Padding::Same => "same".into(),
            Padding::Valid => "valid".into(),
            Padding::Sizes(sizes) => sizes.into(),
        },
        dilation: found.hyper.dilation.value,
        output_padding: found.hyper.output_padding.value,
        padding_mode: found.hyper.padding_mode.value,
        in_file: attributes.is_some_and(|attributes| attributes.contains_key("stride")),
    })
}
