//! numpy's arrays, scalars and dtypes, as they pickle themselves.
//!
//! | pickled as | what it is |
//! | --- | --- |
//! | `_reconstruct(class, (0,), b'b')`, state (version, shape, dtype, Fortran order, data) | an array |
//! | `_frombuffer(data, dtype, shape, order)` | an array, protocol 5 |
//! | `scalar(dtype, data)` | a scalar |
//! | `dtype(code, False, True)`, state (version, byte order, subarray, names, fields, itemsize, alignment, flags, unit) | a dtype |
//!
//! A dtype's text is numpy's own `str` of it. Source: `numpy/_core/src/multiarray/descriptor.c` (`arraydescr_reduce`) and
//! `numpy/_core/_dtype.py` of numpy 2.

use std::borrow::Cow;

use crate::checkpoint::python::Python;
use crate::pickle::Object;
use crate::pickle::Value;
use crate::pickle::ValueId;
use crate::tensor::ByteOrder;
use crate::tensor::{DType, Element, Layout, TensorView};

/// Dtypes inside dtypes that are shown.
const DEPTH: usize = 8;
/// Bytes of a dtype's text.
const LONGEST: usize = 1 << 10;
/// `NPY_ALIGNED_STRUCT`: the fields lie as a C compiler would have them.
const ALIGNED: i64 = 0x80;

/// An array, by type and shape.
pub(super) struct Array<'g> {
    /// numpy's own name of the type.
    pub(super) dtype: String,
    pub(super) shape: Vec<usize>,
    /// Type and byte order of the elements, where they are numbers.
    pub(super) numbers: Option<(DType, ByteOrder)>,
    /// The elements, if the pickle has them, and whether the first axis is the fastest.
    pub(super) data: Option<(Cow<'g, [u8]>, bool)>,
}

/// The array that the value is.
pub(super) fn array(python: Python<'_>, id: ValueId) -> Option<Array<'_>> {
    let Value::Object(object) = python.get(id) else {
        return None;
    };
    let (shape, dtype, data, fortran) = match python.callable(object)? {
        ("numpy.core.multiarray", "_reconstruct") => {
            let [.., state] = object.state[..] else {
                return None;
            };
            let [_version, shape, dtype, rest @ ..] = python.items(state)? else {
                return None;
            };
            let fortran = rest.first().and_then(|&flag| python.bool(flag));
            (*shape, *dtype, rest.get(1).copied(), fortran)
        }
        ("numpy.core.numeric", "_frombuffer") => {
            let [data, dtype, shape, rest @ ..] = python.args(object) else {
                return None;
            };
            let order = rest.first().and_then(|&order| python.str(order));
            (*shape, *dtype, Some(*data), order.map(|order| order == "F"))
        }
        _ => return None,
    };
    let sizes = python.items(shape)?.iter().take(64); // numpy has at most 64 axes
    let shape = sizes.map(|&size| usize::try_from(python.int(size)?).ok());
    let data = data.and_then(|data| python.bytes(data));
    Some(Array {
        dtype: dtype_name(python, dtype)?,
        shape: shape.collect::<Option<_>>()?,
        numbers: Described::of(python, dtype).and_then(Described::number),
        data: data.map(|data| (data, fortran.unwrap_or(false))),
    })
}

/// The items of an array of objects, in the order of its memory.
pub(super) fn objects<'g>(python: Python<'g>, object: &Object) -> Option<&'g [ValueId]> {
    if python.callable(object)? != ("numpy.core.multiarray", "_reconstruct") {
        return None;
    }
    let data = *python.items(*object.state.last()?)?.get(4)?;
    match python.get(data) {
        Value::List(items) => Some(items),
        _ => None,
    }
}

/// A scalar as numpy 2 prints it, less the `np.` for which `numpy.` is written.
pub(super) fn scalar_text(python: Python<'_>, args: &[ValueId]) -> Option<String> {
    if let Some((dtype, value)) = scalar(python, args) {
        let value = match value {
            Element::Bool(b) => String::from(if b { "True" } else { "False" }),
            value => value.to_string(),
        };
        return Some(format!("numpy.{dtype}({value})"));
    }
    let [dtype, data] = args else { return None };
    let described = Described::of(python, *dtype)?;
    let data = python.bytes(*data)?;
    let data = &data[..data.len().min(4 * LONGEST)];
    match described.code.as_bytes().first()? {
        b'M' | b'm' => {
            let number = <[u8; 8]>::try_from(data).ok()?;
            let number = match described.order {
                ">" => i64::from_be_bytes(number),
                _ => i64::from_le_bytes(number),
            };
            let (name, unit) = described.time()?;
            Some(match number {
                i64::MIN => format!("numpy.{name}('NaT')"),
                _ => format!("numpy.{name}({number}, '{unit}')"),
            })
        }
        b'U' => {
            let points = data.as_chunks::<4>().0.iter();
            let text = points.map(|&point| {
                char::from_u32(match described.order {
                    ">" => u32::from_be_bytes(point),
                    _ => u32::from_le_bytes(point),
                })
            });
            let text: String = text.collect::<Option<_>>()?;
            Some(format!("numpy.str_({})", python.quoted(&text)))
        }
        b'S' => Some(format!("numpy.bytes_(b'{}')", data.escape_ascii())),
        _ => None,
    }
}

/// `scalar(dtype, data)`: numpy's name of the type, and the value, where it is a number.
pub(super) fn scalar(python: Python<'_>, args: &[ValueId]) -> Option<(&'static str, Element)> {
    let [dtype, data] = args else { return None };
    let (dtype, order) = Described::of(python, *dtype)?.number()?;
    let layout = Layout::contiguous(Vec::new()).ok()?;
    let view = TensorView::new(python.bytes(*data)?, dtype, layout, order).ok()?;
    Some((dtype.name(), view.element(&[])?))
}

/// numpy's own `str` of a dtype.
pub(super) fn dtype_name(python: Python<'_>, id: ValueId) -> Option<String> {
    Described::of(python, id)?.name(DEPTH)
}

/// What a dtype says of itself.
#[derive(Clone, Copy)]
struct Described<'g> {
    python: Python<'g>,
    /// `f4`, `U3`, `V32`; of a record empty.
    code: &'g str,
    /// `<`, `>`, or `|` where there is nothing to turn round.
    order: &'g str,
    /// Base and shape, names, fields, bytes, alignment, flags, unit.
    rest: &'g [ValueId],
}

impl<'g> Described<'g> {
    fn of(python: Python<'g>, id: ValueId) -> Option<Self> {
        let Value::Object(object) = python.get(id) else {
            return None;
        };
        if python.callable(object)? != ("numpy", "dtype") {
            return None;
        }
        let code = *python.args(object).first()?;
        let code = match python.str(code) {
            Some(code) if code.len() <= 64 => code,
            Some(_) => return None,
            None if is_record(python, code) => "",
            None => return None,
        };
        let state = object.state.first().and_then(|&state| python.items(state));
        let state = state.unwrap_or(&[]);
        let order = state.get(1).and_then(|&order| python.str(order));
        Some(Self {
            python,
            code,
            order: order.unwrap_or("|"),
            rest: state.get(2..).unwrap_or(&[]),
        })
    }

    /// The type and byte order, if it is one number.
    fn number(self) -> Option<(DType, ByteOrder)> {
        let order = match self.order {
            ">" => ByteOrder::Big,
            _ => ByteOrder::Little,
        };
        Some((known_code(self.code)?, order))
    }

    fn name(self, depth: usize) -> Option<String> {
        let depth = depth.checked_sub(1)?;
        if let Some((base, shape)) = self.subarray() {
            let base = Self::of(self.python, base)?.format(depth)?;
            return Some(format!("({base}, {})", self.python.repr(shape)));
        }
        if let Some(fields) = self.fields(depth) {
            return Some(match self.code {
                "" => format!("(numpy.record, {fields})"),
                _ => fields,
            });
        }
        if let Some((name, unit)) = self.time() {
            return Some(match &*unit {
                "generic" => name.to_owned(),
                unit => format!("{name}[{unit}]"),
            });
        }
        if self.order == ">" {
            return Some(format!(">{}", self.code));
        }
        Some(match (known_code(self.code), self.code) {
            (Some(dtype), _) => dtype.name().to_owned(),
            (None, "O8" | "O4" | "O") => "object".to_owned(),
            (None, "f16") => "float128".to_owned(),
            (None, "c32") => "complex256".to_owned(),
            (None, code) => format!("{}{code}", self.order),
        })
    }

    /// As a field of another: `'<i4'`, `[('y', '<i2')]`.
    fn format(self, depth: usize) -> Option<String> {
        if self.subarray().is_some() || self.fields(depth).is_some() {
            return self.name(depth);
        }
        let order = match self.order {
            "|" => "",
            order => order,
        };
        Some(match (self.time(), self.code) {
            (Some((_, unit)), code) if unit != "generic" => format!("'{order}{code}[{unit}]'"),
            (None, "b1") => "'?'".to_owned(),
            (None, "O8") => "'O'".to_owned(),
            (_, code) => format!("'{order}{code}'"),
        })
    }

    /// The base and the shape of a dtype that is an array itself.
    fn subarray(self) -> Option<(ValueId, ValueId)> {
        match *self.python.items(*self.rest.first()?)? {
            [base, shape] => Some((base, shape)),
            _ => None,
        }
    }

    /// The fields of a structure: a list if they follow one another, else with their places.
    fn fields(self, depth: usize) -> Option<String> {
        let depth = depth.checked_sub(1)?;
        let (python, [_, names, fields, ..]) = (self.python, self.rest) else {
            return None;
        };
        let names = python.items(*names).filter(|names| !names.is_empty())?;
        let (mut listed, mut shown, mut formats, mut offsets) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut end, mut packed, mut length) = (0, true, 0);
        for &name in names {
            let name = python.str(name)?;
            let field = python.items(python.entry(*fields, name)?)?;
            let [dtype, offset, title @ ..] = field else {
                return None;
            };
            let offset = python.int(*offset)?;
            let inner = Self::of(python, *dtype)?;
            let size = inner.itemsize(depth)?;
            packed &= offset == end;
            end = offset.checked_add(size)?;
            let name = match title.first().and_then(|&title| python.str(title)) {
                Some(title) => format!("({}, {})", python.quoted(title), python.quoted(name)),
                None => python.quoted(name),
            };
            let format = inner.format(depth)?;
            listed.push(match inner.subarray() {
                Some(_) => format!("({name}, {}", format.trim_start_matches('(')),
                None => format!("({name}, {format})"),
            });
            length += name.len() + format.len();
            shown.push(name);
            formats.push(format);
            offsets.push(offset.to_string());
            if length > LONGEST {
                return Some(format!("[{}, …", listed.join(", ")));
            }
        }
        let bytes = self.itemsize(depth)?;
        let aligned = self.number_at(5).unwrap_or(0) & ALIGNED != 0;
        if packed && end == bytes && !aligned {
            return Some(format!("[{}]", listed.join(", ")));
        }
        Some(format!(
            "{{'names': [{}], 'formats': [{}], 'offsets': [{}], 'itemsize': {bytes}{}}}",
            shown.join(", "),
            formats.join(", "),
            offsets.join(", "),
            if aligned { ", 'aligned': True" } else { "" }
        ))
    }

    fn number_at(self, position: usize) -> Option<i64> {
        self.python.int(*self.rest.get(position)?)
    }

    /// Bytes of an element: as stated, else as many as the code's digits say.
    fn itemsize(self, depth: usize) -> Option<i64> {
        depth.checked_sub(1)?;
        match self.number_at(3) {
            Some(stated) if stated >= 0 => Some(stated),
            _ => self
                .code
                .trim_start_matches(|c: char| !c.is_ascii_digit())
                .parse()
                .ok(),
        }
    }

    /// `datetime64` or `timedelta64`, and the unit: `ns`, `25s`.
    fn time(self) -> Option<(&'static str, String)> {
        let name = match self.code {
            "M8" => "datetime64",
            "m8" => "timedelta64",
            _ => return None,
        };
        let python = self.python;
        let unit = self.rest.get(6).and_then(|&said| {
            let [_, unit] = *python.items(said)? else {
                return None;
            };
            let [unit, count, ..] = *python.items(unit)? else {
                return None;
            };
            let unit = python.bytes(unit)?;
            let unit = std::str::from_utf8(&unit).ok()?;
            let unit: String = unit.chars().take(16).collect();
            Some(match python.int(count)? {
                1 => unit,
                count => format!("{count}{unit}"),
            })
        });
        Some((name, unit.unwrap_or_else(|| "generic".to_owned())))
    }
}

fn is_record(python: Python<'_>, id: ValueId) -> bool {
    matches!(
        python.global(id),
        Some(("numpy" | "numpy.rec" | "numpy.core.records", "record"))
    )
}

fn known_code(code: &str) -> Option<DType> {
    let code = code.trim_start_matches(['<', '|', '=']);
    DType::ALL.iter().copied().find(|dtype| {
        dtype
            .npy_descr()
            .is_some_and(|descr| !descr.contains('V') && &descr[1..] == code)
    })
}
