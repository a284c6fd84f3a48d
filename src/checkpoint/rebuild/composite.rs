//! Tensors that are made of others: quantized, sparse, nested, jagged.

use serde_json::json;

use super::{Args, Rebuilder, nested, without_storage};
use crate::checkpoint::TensorEntry;
use crate::checkpoint::objects;
use crate::error::{Error, Result};
use crate::pickle::Value;
use crate::pickle::ValueId;
use crate::tensor::{Element, Layout, TensorView};

/// Scales, zero points and offsets that are looked at while a file is opened.
const SHOWN_NUMBERS: usize = 1 << 16;

impl<'g> Rebuilder<'g, '_> {
    pub(super) fn quantized(&mut self, args: Args<'g>, depth: usize) -> Result<TensorEntry> {
        let mut entry = self.strided(args, None)?;
        entry.requires_grad = self.flag(args, 5);
        let quantizer = self.argument(args, 4, "quantizer")?;
        let quantizer = self.python.items(quantizer).unwrap_or(&[]);
        let scheme = quantizer
            .first()
            .and_then(|&scheme| self.python.global(scheme));
        match scheme {
            Some((_, scheme @ "per_tensor_affine")) => {
                let scale = self.argument(quantizer, 1, "scale")?;
                let zero = self.argument(quantizer, 2, "zero_point")?;
                let extra = &mut entry.extra;
                extra.insert("qscheme".into(), json!(scheme));
                extra.insert("scale".into(), json!(self.python.float(scale)));
                extra.insert("zero_point".into(), json!(self.python.int(zero)));
            }
            Some((_, "per_channel_affine" | "per_channel_affine_float_qparams")) => {
                self.per_channel(&mut entry, quantizer, depth)?;
            }
            _ => {
                let scheme = quantizer.first().map(|&scheme| self.python.repr(scheme));
                return Err(Error::unsupported(format!(
                    "the quantizer {} is unknown",
                    scheme.unwrap_or_default()
                )));
            }
        }
        Ok(entry)
    }

    /// `(scheme, scales, zero_points, axis)`: a scale and a zero point for each index of an axis.
    fn per_channel(
        &mut self,
        entry: &mut TensorEntry,
        quantizer: Args<'g>,
        depth: usize,
    ) -> Result<()> {
        let mut float = false;
        let mut numbers = Vec::new();
        for (position, role) in [(1, "scales"), (2, "zero_points")] {
            let id = self.argument(quantizer, position, role)?;
            let value = match self.python.get(id) {
                Value::List(_) | Value::Tuple(_) => objects::json(self.python, id),
                _ => {
                    let part = self.part(quantizer, position, role, depth)?;
                    // torch saves only the affine scheme's name; zero points that are floats tell the other
                    float |= role == "zero_points" && part.dtype.is_float();
                    let value = self.numbers(&part);
                    entry.parts.push(part);
                    value
                }
            };
            numbers.push((role, value));
        }
        let scheme = if float {
            "per_channel_affine_float_qparams"
        } else {
            "per_channel_affine"
        };
        let axis = self.argument(quantizer, 3, "axis")?;
        let extra = &mut entry.extra;
        extra.insert("qscheme".into(), json!(scheme));
        for (role, value) in numbers {
            extra.insert(role.into(), value.unwrap_or_default());
        }
        extra.insert("axis".into(), json!(self.python.int(axis)));
        Ok(())
    }

    /// The elements of a small tensor as JSON numbers.
    fn numbers(&mut self, entry: &TensorEntry) -> Option<serde_json::Value> {
        let numel = entry.layout.numel();
        if numel > SHOWN_NUMBERS {
            return None;
        }
        let storage = self.storages.early_cost(entry.storage?);
        let cost = numel * size_of::<serde_json::Value>() + storage;
        self.budget.spend(cost).ok()?;
        let view = self.early_view(entry)?;
        let numbers = (0..numel).map(|flat| {
            Some(match view.element(&entry.layout.unravel(flat)?)? {
                Element::Float(x) => json!(x),
                Element::Int(n) => json!(i64::try_from(n).ok()?),
                _ => return None,
            })
        });
        numbers.collect()
    }

    fn early_view(&self, entry: &TensorEntry) -> Option<TensorView<'_>> {
        let bytes = self.storages.early(entry.storage?)?;
        let order = self.byte_order_of(entry.storage?);
        TensorView::new(bytes, entry.dtype, entry.layout.clone(), order).ok()
    }

    /// The integers of a small tensor.
    fn integers(&mut self, entry: &TensorEntry) -> Option<Vec<usize>> {
        let numbers = self.numbers(entry)?;
        let numbers = numbers.as_array()?.iter();
        numbers.map(|n| usize::try_from(n.as_i64()?).ok()).collect()
    }

    pub(super) fn sparse(&mut self, args: Args<'g>, depth: usize) -> Result<TensorEntry> {
        let layout_id = self.argument(args, 0, "layout")?;
        let data = self.argument(args, 1, "data")?;
        let data = self.python.items(data).unwrap_or(&[]);
        let name = self.layout_name(layout_id);
        let roles: &[&str] = match name {
            "sparse_coo" => &["indices", "values"],
            "sparse_csr" | "sparse_bsr" => &["crow_indices", "col_indices", "values"],
            "sparse_csc" | "sparse_bsc" => &["ccol_indices", "row_indices", "values"],
            _ => {
                return Err(Error::unsupported(format!(
                    "the sparse layout {} is unknown",
                    self.python.repr(layout_id)
                )));
            }
        };
        let mut parts = Vec::new();
        for (position, role) in roles.iter().enumerate() {
            parts.push(self.part(data, position, role, depth)?);
        }
        let size = self.sizes(data, roles.len(), "size")?;
        let values = &parts[roles.len() - 1];
        let mut entry = without_storage(
            values.dtype,
            Layout::contiguous(size)?,
            values.requires_grad,
        );
        entry.extra.insert("layout".into(), json!(name));
        if let Some(&coalesced) = data.get(3).filter(|_| name == "sparse_coo") {
            entry
                .extra
                .insert("is_coalesced".into(), json!(self.python.bool(coalesced)));
        }
        entry.parts = parts;
        Ok(entry)
    }

    /// `torch.sparse_coo`, or `torch.serialization._get_layout('torch.sparse_coo')`, without `torch.`.
    fn layout_name(&self, id: ValueId) -> &'g str {
        let name = match self.python.get(id) {
            Value::Object(object) => self.python.args(object).first(),
            _ => None,
        };
        match name.and_then(|&name| self.python.str(name)) {
            Some(name) => name.trim_start_matches("torch."),
            None => self.python.global(id).map_or("", |(_, name)| name),
        }
    }

    pub(super) fn nested(&mut self, args: Args<'g>, depth: usize) -> Result<TensorEntry> {
        let mut parts = Vec::new();
        for (position, role) in ["values", "sizes", "strides", "storage_offsets"]
            .iter()
            .enumerate()
        {
            parts.push(self.part(args, position, role, depth)?);
        }
        let numbers = parts[1..].iter().map(|part| self.integers(part));
        let numbers: Option<Vec<_>> = numbers.collect();
        let width = parts[1].layout.shape().get(1).copied();
        let rows = numbers.zip(width).and_then(|(numbers, width)| {
            self.spend_rows(numbers[2].len()).ok()?;
            nested::rows(&parts[0], width, &numbers[0], &numbers[1], &numbers[2])
        });
        Ok(nested_entry("nested", parts, rows))
    }

    fn spend_rows(&mut self, rows: usize) -> Result<()> {
        self.budget
            .spend(rows.saturating_mul(2 * size_of::<TensorEntry>()))
    }

    pub(super) fn jagged(&mut self, args: Args<'g>, depth: usize) -> Result<TensorEntry> {
        let kwargs = self.argument(args, 0, "arguments")?;
        let argument = |name| self.python.entry(kwargs, name);
        let ids: Vec<ValueId> = ["values", "offsets"]
            .iter()
            .filter_map(|name| argument(name))
            .collect();
        let ragged = argument("_ragged_idx")
            .and_then(|id| self.python.int(id))
            .unwrap_or(1);
        let lengths = argument("lengths").filter(|&id| *self.python.get(id) != Value::None);
        let mut parts = Vec::new();
        for (role, &id) in ["values", "offsets"].iter().zip(&ids) {
            parts.push(self.component(id, role, depth)?);
        }
        let [values, offsets] = &parts[..] else {
            return Err(Error::malformed(
                "a jagged tensor without values and offsets",
            ));
        };
        let axis = usize::try_from(ragged.saturating_sub(1)).ok();
        let lengths = lengths.map(|id| self.component(id, "lengths", depth));
        let lengths = lengths.transpose()?;
        let counts = match &lengths {
            Some(lengths) => self.integers(lengths).map(Some),
            None => Some(None),
        };
        let rows = self.integers(offsets).zip(axis).zip(counts);
        let rows = rows.and_then(|((offsets, axis), counts)| {
            self.spend_rows(offsets.len()).ok()?;
            nested::windows(values, axis, &offsets, counts.as_deref())
        });
        parts.extend(lengths);
        Ok(nested_entry("jagged", parts, rows))
    }
}

/// A tensor of rows of different lengths; `components` are what it is saved as, should the rows not be known.
fn nested_entry(
    layout: &str,
    components: Vec<TensorEntry>,
    rows: Option<Vec<TensorEntry>>,
) -> TensorEntry {
    let values = &components[0];
    let mut entry = without_storage(values.dtype, values.layout.clone(), values.requires_grad);
    entry.extra.insert("layout".into(), json!(layout));
    entry.parts = rows.unwrap_or(components);
    entry
}
