//! `torch.save` before 0.1.10: a tar of four members.
//!
//! | member | what it holds |
//! | --- | --- |
//! | `sys_info` | a pickle about the machine that wrote it, which changes nothing |
//! | `pickle` | the object; tensors and storages by persistent ids that are numbers, modules' classes by tuples |
//! | `storages` | a pickle: how many; then for each a pickle `(number, location, class)`, the elements' count in 8 bytes, the elements; at the end a pickle: a list of views `(number, number of the whole, offset, numel)` |
//! | `tensors` | a pickle: how many; then for each a pickle `(number, storage's number, class)`, and in binary: axes (4 bytes, and 4 of nothing), sizes, strides (8 bytes each), storage offset (8 bytes) |
//!
//! Source: `torch/serialization.py`, `legacy_load` in `_legacy_load` of torch 2.15, which still reads it.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use crate::bytes::ByteSource;
use crate::bytes::Cursor;
use crate::bytes::Limits;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::Format;
use crate::checkpoint::legacy;
use crate::checkpoint::legacy::Pickles;
use crate::checkpoint::open::Mode;
use crate::checkpoint::persistent;
use crate::checkpoint::places::{Bytes, DataFile};
use crate::checkpoint::python::Python;
use crate::checkpoint::storages::Backing;
use crate::checkpoint::unpickled;
use crate::checkpoint::unpickled::Meaning;
use crate::container::tar;
use crate::error::{Error, Result};
use crate::pickle;
use crate::pickle::Graph;
use crate::pickle::ValueId;
use crate::tensor::{ByteOrder, DType, Layout};

/// A tensor has no more axes than this.
const AXES: i64 = 64;

/// What the numbers stand for.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) storages: HashMap<String, Run>,
    /// Number of the whole, offset and size in elements.
    pub(super) views: HashMap<String, (String, usize, usize)>,
    /// Number of the storage, and the layout.
    pub(super) tensors: HashMap<String, (String, Layout)>,
}

/// A storage's bytes.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) dtype: DType,
    pub(super) location: String,
    pub(super) range: Range<usize>,
}

pub(super) fn open(
    path: &Path,
    source: ByteSource,
    limits: &Limits,
    mode: Mode,
) -> Result<Checkpoint> {
    let lenient = mode == Mode::Salvage;
    let mut damage = Vec::new();
    let members = match lenient {
        true => {
            let (members, error) = tar::members_left(&source, limits)?;
            damage.extend(error.map(|error| error.to_string()));
            members
        }
        false => tar::members(&source, limits)?,
    };
    let member = |name: &str| {
        let mut found = members.iter().filter(|member| member.name == name);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one.data.clone()),
            (None, _) if lenient && members.iter().any(|m| m.name == "sys_info") => Err(Error::malformed(format!(
                "the tar ends before its member {name:?}, without which no tensor can be put together"
            ))
            .with_hint("download or copy the file again")),
            (None, _) => Err(not_a_checkpoint(&members, name)),
            (Some(one), Some(two)) => Err(Error::malformed(format!(
                "two members of the tar have this name, at byte {} and at byte {}",
                one.data.start, two.data.start
            ))
            .in_record(name)),
        }
    };
    let (pickle_at, storages_at, tensors_at) =
        (member("pickle")?, member("storages")?, member("tensors")?);
    let mut tables = Tables::default();
    let start = storages_at.start;
    let mut outcomes = [
        read_storages(&source[storages_at], start, limits, &mut tables)
            .map_err(|e| e.in_record("storages")),
        read_tensors(&source[tensors_at], limits, &mut tables).map_err(|e| e.in_record("tensors")),
        tables.check_views().map_err(|e| e.in_record("storages")),
    ]
    .into_iter();
    if lenient {
        damage.extend(outcomes.filter_map(Result::err).map(|e| e.to_string()));
    } else {
        outcomes.try_for_each(|outcome| outcome)?;
    }
    let bytes = &source[pickle_at];
    let most = bytes.len().min(limits.pickle_bytes);
    let graph = pickle::read(&bytes[..most], limits).map_err(|e| e.in_record("pickle"))?;
    let mut unpickled = unpickled::unpickled(
        &graph,
        &source,
        Backing::Tar(tables),
        ByteOrder::Little,
        limits,
        &Meaning::plain(lenient),
    )
    .map_err(|e| e.in_record("pickle"))?;
    unpickled.wreckage.notes = damage;
    let bytes = Bytes::of_one(DataFile::little(source), Vec::new(), limits.tensor_bytes);
    Ok(unpickled.into_checkpoint(path, Format::TorchTar, ByteOrder::Little, bytes))
}

fn not_a_checkpoint(members: &[tar::Member], missing: &str) -> Error {
    let shown: Vec<String> = members
        .iter()
        .take(3)
        .map(|member| format!("{:?}", super::names::shorten(&member.name)))
        .collect();
    let holds = match members.len() {
        0 => "nothing".to_owned(),
        1..=3 => shown.join(", "),
        _ => format!("{}, ...", shown.join(", ")),
    };
    Error::unsupported(format!(
        "is a tar archive that is no checkpoint (torch.save wrote tars before 0.1.10): it has no {missing:?}, it holds {holds}"
    ))
    .with_hint("if it packs other files, unpack it (tar xf) and open the checkpoint inside")
}

impl Tables {
    /// Each view is of a storage, not of a view, and nothing has two meanings.
    fn check_views(&self) -> Result<()> {
        for (key, (root, ..)) in &self.views {
            if !self.storages.contains_key(root) || self.storages.contains_key(key) {
                return Err(Error::malformed(format!(
                    "the view {key} is of {root}, which is no storage, or is one itself"
                )));
            }
        }
        Ok(())
    }
}

/// The items of a tuple or a list of that length.
fn items<'g>(graph: &'g Graph, length: usize, what: &str) -> Result<&'g [ValueId]> {
    let items = Python(graph).items(graph.root);
    items.filter(|items| items.len() == length).ok_or_else(|| {
        Error::malformed(format!(
            "{what} is {}, expected {length} items",
            Python(graph).repr(graph.root)
        ))
    })
}

fn count(graph: &Graph, what: &str) -> Result<usize> {
    let count = Python(graph).int(graph.root);
    count
        .and_then(|n| usize::try_from(n).ok())
        .ok_or_else(|| Error::malformed(format!("how many {what} there are is not a number")))
}

fn size(python: Python<'_>, id: ValueId) -> Result<usize> {
    let size = python.int(id).and_then(|n| usize::try_from(n).ok());
    size.ok_or_else(|| Error::malformed(format!("{} where a size is expected", python.repr(id))))
}

/// `base` is where `bytes` begin in the file.
fn read_storages(bytes: &[u8], base: usize, limits: &Limits, tables: &mut Tables) -> Result<()> {
    let mut pickles = Pickles::new(bytes, limits);
    let number = count(&pickles.next()?.0, "storages")?;
    for _ in 0..number {
        let (graph, at) = pickles.next()?;
        let python = Python(&graph);
        let [key, location, class] = items(&graph, 3, "a storage")? else {
            continue; // not reached
        };
        let key = persistent::key_of(python, *key)?;
        let name = python.global(*class).map_or("", |(_, name)| name);
        let Some(dtype) = DType::from_storage_class(name) else {
            return Err(Error::unsupported(format!(
                "the storage class {} is unknown",
                python.repr(*class)
            ))
            .at_offset(at));
        };
        let mut cursor = Cursor::new(bytes, 0);
        cursor.take(pickles.at, "the storages")?;
        let range = legacy::counted(&mut cursor, dtype)
            .map_err(|e| legacy::cut_off(e, &format!("the storage {key}")))?;
        pickles.at = cursor.position();
        let run = Run {
            dtype,
            location: python.str(*location).unwrap_or("").to_owned(),
            range: base + range.start..base + range.end,
        };
        if tables.storages.insert(key.clone(), run).is_some() {
            return Err(
                Error::malformed(format!("two storages have the number {key}")).at_offset(at),
            );
        }
    }
    let (views, at) = pickles.next()?;
    let python = Python(&views);
    for &view in python.items(views.root).unwrap_or(&[]) {
        let Some([key, root, offset, numel]) = python.items(view) else {
            return Err(Error::malformed("a storage view has not four items").at_offset(at));
        };
        let place = (
            persistent::key_of(python, *root)?,
            size(python, *offset)?,
            size(python, *numel)?,
        );
        tables
            .views
            .insert(persistent::key_of(python, *key)?, place);
    }
    Ok(())
}

fn read_tensors(bytes: &[u8], limits: &Limits, tables: &mut Tables) -> Result<()> {
    let mut pickles = Pickles::new(bytes, limits);
    let number = count(&pickles.next()?.0, "tensors")?;
    for _ in 0..number {
        let (graph, at) = pickles.next()?;
        let python = Python(&graph);
        let [key, storage, _class] = items(&graph, 3, "a tensor")? else {
            continue; // not reached
        };
        let key = persistent::key_of(python, *key)?;
        let storage = persistent::key_of(python, *storage)?;
        let mut cursor = Cursor::new(bytes, 0);
        cursor.take(pickles.at, "the tensors")?;
        let layout = layout(&mut cursor).map_err(|e| {
            Error::malformed(format!("the tensor {key}: {}", e.message())).at_offset(at)
        })?;
        pickles.at = cursor.position();
        if tables
            .tensors
            .insert(key.clone(), (storage, layout))
            .is_some()
        {
            return Err(
                Error::malformed(format!("two tensors have the number {key}")).at_offset(at),
            );
        }
    }
    Ok(())
}

/// Axes, sizes, strides and storage offset, in binary.
fn layout(cursor: &mut Cursor<'_>) -> Result<Layout> {
    let axes = i64::from(cursor.u32("its number of axes")?);
    cursor.u32("its number of axes")?;
    if axes > AXES {
        return Err(Error::malformed(format!("it has {axes} axes")));
    }
    let mut sizes = |what: &str| -> Result<Vec<usize>> {
        let sizes = (0..axes).map(|_| signed(cursor.u64(what)?, what));
        sizes.collect()
    };
    let (shape, stride) = (sizes("its size")?, sizes("its stride")?);
    let what = "its storage offset";
    Layout::new(shape, stride, signed(cursor.u64(what)?, what)?)
}

fn signed(n: u64, what: &str) -> Result<usize> {
    let size = i64::try_from(n).ok().and_then(|n| usize::try_from(n).ok());
    size.ok_or_else(|| Error::malformed(format!("{what} holds {}", n as i64)))
}
