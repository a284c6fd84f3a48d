//! Whether a call is the one that a correct writer makes: argument by argument.

use super::known::{self, Call, Known, Use};
use crate::pickle::Graph;
use crate::pickle::Object;
use crate::pickle::ObjectKind;
use crate::pickle::Value;
use crate::pickle::ValueId;

/// What an argument is. Values inside it are judged on their own: here only its form counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arg {
    /// Anything.
    Any,
    /// None, a number, text or bytes.
    Plain,
    /// An integer from 0 on.
    Int,
    /// A tuple or list of those, or a `torch.Size`.
    Ints,
    /// None or an integer.
    NoneOrInt,
    /// True or False.
    Bool,
    /// Text.
    Text,
    /// Text that names the encoding latin1.
    Latin1,
    /// Bytes, as any protocol has them.
    Bytes,
    /// Bytes that are a legacy checkpoint of their own: they are scanned.
    BytesNested,
    /// Text or bytes.
    TextOrBytes,
    /// A dict, or an object made like one.
    Dict,
    /// A list or tuple.
    List,
    /// A tuple.
    Tuple,
    /// A list or tuple of pairs.
    Pairs,
    /// The storage of a persistent id, or one that was saved with the pickle.
    Storage,
    /// The result of a rebuild call.
    Tensor,
    /// A numpy array.
    Array,
    /// A numpy dtype.
    NumpyDtype,
    /// `OrderedDict()`, empty.
    Hooks,
    /// `torch.float32`
    Dtype,
    /// `torch.strided`, or the call that makes it.
    Layout,
    /// A device, or its name.
    Device,
    /// A class, by name.
    Class,
    /// One of Python's or numpy's own types, by name.
    Type,
    /// Such types, one or a tuple of them, as `list[int]` has them.
    Types,
    /// A name of `typing`.
    Typing,
    /// None, whose type has no name of its own.
    Nothing,
    /// None, or one of Python's own types.
    Factory,
    /// A rebuild function, by name; the third argument is its own arguments.
    Retyped,
    /// A known class or function, by name; the state repeats it.
    Partial,
    /// A known class, by name, or an object of one.
    Getattr,
}

/// A name without dots, and none of Python's own.
fn is_plain_attribute(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with("__")
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A graph, for questions about its values.
#[derive(Clone, Copy)]
pub(super) struct Values<'g>(pub(super) &'g Graph);

impl<'g> Values<'g> {
    pub(super) fn get(self, id: ValueId) -> &'g Value {
        self.0.get(id)
    }

    pub(super) fn global(self, id: ValueId) -> Option<(&'g str, &'g str)> {
        match self.get(id) {
            Value::Global { module, name } => Some((module, name)),
            Value::Persistent(inner) => self.module_class(*inner),
            _ => None,
        }
    }

    /// The class of a module that was saved with its source: `('module', class, file, source)`, and in a tar without
    /// the word. The source is compared with today's, and not run.
    pub(super) fn module_class(self, description: ValueId) -> Option<(&'g str, &'g str)> {
        let class = match self.items(description)? {
            [word, class, _, _] if self.text(*word) == Some("module") => *class,
            [class, _, _] => *class,
            _ => return None,
        };
        match self.get(class) {
            Value::Global { module, name } => Some((module, name)),
            _ => None,
        }
    }

    pub(super) fn items(self, id: ValueId) -> Option<&'g [ValueId]> {
        match self.get(id) {
            Value::Tuple(items) | Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn text(self, id: ValueId) -> Option<&'g str> {
        match self.get(id) {
            Value::Str(text) => Some(text),
            Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    pub(super) fn int(self, id: ValueId) -> Option<i64> {
        match self.get(id) {
            Value::Int(n) => Some(*n),
            Value::Bool(b) => Some((*b).into()),
            _ => None,
        }
    }

    /// The function or class of a call, by its name of today.
    pub(super) fn callee(self, id: ValueId) -> Option<(&'g str, &'g str)> {
        let Value::Object(object) = self.get(id) else {
            return None;
        };
        let (module, name) = self.global(object.callable)?;
        Some(known::today(module, name))
    }

    /// Whether the call is one that the use allows; if not, what is odd about it.
    pub(super) fn judge(self, usage: Use, object: &Object) -> Result<(), String> {
        let args = self.items(object.args);
        let none = args.is_some_and(<[ValueId]>::is_empty) && object.kwargs.is_none();
        let new = object.kind == ObjectKind::NewObj;
        match usage {
            Use::Value => Err("is called; it is only ever named".to_owned()),
            Use::Class if object.items.len() + object.entries.len() > 0 => {
                Err("has items set, which it has not".to_owned())
            }
            // classes of Python 2 were made as instances; a dict's class is called with nothing
            Use::Class if none && object.kind != ObjectKind::Reduce => Ok(()),
            Use::Class if none => Err("is called; it is made by __new__".to_owned()),
            Use::DictClass if none && object.items.is_empty() => Ok(()),
            Use::Class | Use::DictClass => {
                Err("is made with arguments; it is pickled without any".to_owned())
            }
            Use::New if new => Ok(()),
            Use::New => Err("is called; it is made by __new__".to_owned()),
            Use::Enum => match args {
                Some([value]) if self.fits(*value, Arg::Plain) || self.is_weights(*value) => Ok(()),
                _ => Err("is called with something else than one plain value".to_owned()),
            },
            Use::Tensor => match args {
                Some([]) if new => Ok(()),
                Some([data]) if self.is_tensor(*data) => Ok(()),
                _ => Err("is called with something else than a tensor".to_owned()),
            },
            Use::Call(call) => self.judge_call(call, object),
        }
    }

    fn judge_call(self, call: &Call, object: &Object) -> Result<(), String> {
        if object.kwargs.is_some() {
            return Err("is called with keyword arguments".to_owned());
        }
        let Some(args) = self.items(object.args) else {
            return Err("is called with arguments that are computed".to_owned());
        };
        self.matches(call, args)?;
        if !object.state.is_empty() && !call.state {
            return Err("has state set on its result, which no writer does".to_owned());
        }
        match call.name {
            "partial" => self.partial(object),
            "getattr"
                if self
                    .text(args[1])
                    .is_none_or(|name| !is_plain_attribute(name)) =>
            {
                Err("reaches for an attribute by which everything else can be reached".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn matches(self, call: &Call, args: &[ValueId]) -> Result<(), String> {
        if args.len() < call.least || args.len() > call.args.len() {
            return Err(format!(
                "is called with {} arguments, which no writer does",
                args.len()
            ));
        }
        for (number, (&id, &arg)) in args.iter().zip(call.args).enumerate() {
            if !self.fits(id, arg) {
                return Err(format!(
                    "is called with {} as its argument {}, which no writer does",
                    self.get(id).kind(),
                    number + 1
                ));
            }
        }
        if call.args.first() == Some(&Arg::Retyped) {
            return self.retyped(args);
        }
        Ok(())
    }

    /// `(function, class, arguments, state)`: the arguments must be right for the function.
    fn retyped(self, args: &[ValueId]) -> Result<(), String> {
        let (Some((module, name)), Some(inner)) = (
            self.global(args[0]),
            args.get(2).and_then(|&a| self.items(a)),
        ) else {
            return Err("is called with a function that is computed".to_owned());
        };
        match known::known(module, name) {
            // one inside the other is never written
            Known::Inert(Use::Call(call)) if call.args.first() != Some(&Arg::Retyped) => {
                self.matches(call, inner)
            }
            _ => Err(format!("calls {module}.{name}")),
        }
    }

    /// `partial(f)` with the state `(f, args, kwargs, attributes)`.
    fn partial(self, object: &Object) -> Result<(), String> {
        let odd = || Err("is not what pickling a partial function gives".to_owned());
        let [state] = object.state[..] else {
            return odd();
        };
        match self.items(state) {
            Some([function, args, kwargs, attributes])
                if self.fits(*function, Arg::Partial)
                    && self.items(*args).is_some()
                    && self.fits(*kwargs, Arg::Dict)
                    && matches!(self.get(*attributes), Value::None | Value::Dict(_)) =>
            {
                Ok(())
            }
            _ => odd(),
        }
    }

    fn fits(self, id: ValueId, arg: Arg) -> bool {
        let value = self.get(id);
        match arg {
            Arg::Any => true,
            Arg::Plain => matches!(
                value,
                Value::None
                    | Value::Bool(_)
                    | Value::Int(_)
                    | Value::BigInt(_)
                    | Value::Float(_)
                    | Value::Str(_)
                    | Value::Bytes(_)
            ),
            // negative numbers are for `tensors` to judge
            Arg::Int => matches!(value, Value::Int(_) | Value::BigInt(_)),
            Arg::Ints => self.are_ints(id),
            Arg::NoneOrInt => matches!(value, Value::None | Value::Int(_)),
            Arg::Bool => matches!(value, Value::Bool(_)) || matches!(value, Value::Int(0 | 1)),
            Arg::Text => self.text(id).is_some(),
            Arg::Latin1 => self
                .text(id)
                .is_some_and(|text| text == "latin1" || text == "latin-1"),
            Arg::Bytes | Arg::BytesNested => self.is_bytes(id),
            Arg::TextOrBytes => self.text(id).is_some() || self.is_bytes(id),
            Arg::Dict => {
                matches!(value, Value::Dict(_))
                    || self.callee(id).is_some_and(|(module, name)| {
                        module == "collections" && matches!(name, "OrderedDict" | "defaultdict")
                    })
            }
            Arg::List => self.items(id).is_some(),
            Arg::Tuple => matches!(value, Value::Tuple(_)),
            Arg::Pairs => self.items(id).is_some_and(|items| {
                let pair = |&item: &ValueId| self.items(item).is_some_and(|pair| pair.len() == 2);
                items.iter().all(pair)
            }),
            Arg::Storage => {
                matches!(value, Value::Persistent(_))
                    || self.callee(id) == Some(("torch.storage", "_load_from_bytes"))
            }
            Arg::Tensor => self.is_tensor(id),
            Arg::Array => self.callee(id).is_some_and(|callee| {
                matches!(
                    callee,
                    ("numpy.core.multiarray", "_reconstruct")
                        | ("numpy.core.numeric", "_frombuffer")
                )
            }),
            Arg::NumpyDtype => {
                self.callee(id) == Some(("numpy", "dtype")) || self.is_value(id, "numpy")
            }
            Arg::Hooks => match value {
                Value::None => true,
                Value::Object(object) => {
                    self.callee(id) == Some(("collections", "OrderedDict"))
                        && object.entries.is_empty()
                        && object.state.is_empty()
                        && self.items(object.args).is_some_and(|args| match args {
                            [] => true,
                            [list] => self.items(*list).is_some_and(<[ValueId]>::is_empty),
                            _ => false,
                        })
                }
                _ => false,
            },
            Arg::Dtype => self.is_value(id, "torch"),
            Arg::Layout => {
                self.is_value(id, "torch")
                    || self.callee(id) == Some(("torch.serialization", "_get_layout"))
            }
            Arg::Device => self.text(id).is_some() || self.callee(id) == Some(("torch", "device")),
            Arg::Class => self.global(id).is_some(),
            Arg::Type => self.is_value(id, "builtins") || self.is_value(id, "numpy"),
            Arg::Types => match self.items(id) {
                Some(items) => items.iter().all(|&item| self.is_annotation(item)),
                None => self.is_annotation(id),
            },
            Arg::Typing => self.is_value(id, "typing"),
            Arg::Nothing => matches!(value, Value::None),
            Arg::Factory => {
                matches!(value, Value::None)
                    || self.is_value(id, "builtins")
                    || self.global(id).is_some_and(|(module, name)| {
                        module == "collections"
                            && matches!(name, "OrderedDict" | "Counter" | "deque" | "defaultdict")
                    })
                    || self
                        .global(id)
                        .is_some_and(|(_, name)| name == "_refresh_per_optimizer_state")
            }
            Arg::Retyped => self
                .global(id)
                .is_some_and(|(module, name)| known::is_rebuild(module, name)),
            Arg::Partial => self.global(id).is_some_and(|(module, name)| {
                matches!(
                    known::known(module, name),
                    Known::Inert(Use::Value | Use::Class | Use::DictClass | Use::New | Use::Enum)
                )
            }),
            Arg::Getattr => self.has_attributes(id),
        }
    }

    /// A type in an annotation: one of Python's, `typing`'s or torch's, None, or the call that makes one of such.
    fn is_annotation(self, id: ValueId) -> bool {
        matches!(self.get(id), Value::None)
            || ["builtins", "typing", "torch", "numpy"]
                .iter()
                .any(|package| self.is_value(id, package))
            || self.callee(id).is_some_and(|callee| {
                matches!(
                    callee,
                    ("builtins", "type") | ("types", "GenericAlias") | ("_operator", "getitem")
                )
            })
    }

    /// The value of a torchvision enum: a record of where weights are to be had.
    fn is_weights(self, id: ValueId) -> bool {
        self.callee(id) == Some(("torchvision.models._api", "Weights"))
    }

    /// A number stands for a tensor of a tar.
    fn is_tensor(self, id: ValueId) -> bool {
        matches!(self.get(id), Value::Persistent(_))
            || self.callee(id).is_some_and(|(module, name)| {
                known::is_rebuild(module, name)
                    || matches!(known::known(module, name), Known::Inert(Use::Tensor))
            })
    }

    /// A name for which only its use as a value is known, of that package.
    fn is_value(self, id: ValueId, package: &str) -> bool {
        let Some((module, name)) = self.global(id) else {
            return false;
        };
        let (module, name) = known::today(module, name);
        let in_package = module
            .strip_prefix(package)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        in_package
            && match known::known(module, name) {
                Known::Inert(Use::Value) => true,
                // types that are called elsewhere
                Known::Inert(Use::Call(_)) => {
                    module == "builtins" && name != "getattr"
                        || (module, name) == ("numpy", "dtype")
                }
                _ => false,
            }
    }

    fn are_ints(self, id: ValueId) -> bool {
        if let Some(items) = self.items(id) {
            return items.iter().all(|&item| self.fits(item, Arg::Int));
        }
        let Value::Object(object) = self.get(id) else {
            return false;
        };
        self.callee(id) == Some(("torch", "Size"))
            && match self.items(object.args) {
                Some([inner]) => self
                    .items(*inner)
                    .is_some_and(|items| items.iter().all(|&item| self.fits(item, Arg::Int))),
                _ => false,
            }
    }

    /// Bytes, as protocols 0 to 2 have them too.
    fn is_bytes(self, id: ValueId) -> bool {
        matches!(self.get(id), Value::Bytes(_) | Value::Str(_))
            || self.callee(id).is_some_and(|callee| {
                matches!(
                    callee,
                    ("_codecs", "encode") | ("builtins", "bytes" | "bytearray")
                )
            })
    }

    /// What `getattr` is called on by pickling itself: a class of torch's, or an object of one (a bound method). The
    /// attribute must not be one of Python's own, by which everything else can be reached.
    fn has_attributes(self, id: ValueId) -> bool {
        let known_class = |(module, name): (&str, &str)| {
            let holder = module == "torch._C"
                && ["_VariableFunctions", "TensorBase", "_TensorBase"]
                    .iter()
                    .any(|start| name.starts_with(start));
            // their properties set up processes
            let sets_up =
                module.starts_with("transformers.training") || module.starts_with("accelerate.");
            let usage = known::known(module, name);
            holder || matches!(usage, Known::Inert(Use::Class | Use::New | Use::Enum)) && !sets_up
        };
        match self.get(id) {
            Value::Object(object) => self.global(object.callable).is_some_and(known_class),
            _ => self.global(id).is_some_and(known_class),
        }
    }

    /// Bytes that a call was given: decoded where protocol 2 wrote them as text.
    pub(super) fn bytes(self, id: ValueId) -> Option<std::borrow::Cow<'g, [u8]>> {
        match self.get(id) {
            Value::Bytes(bytes) => Some(bytes.as_ref().into()),
            Value::Str(text) => Some(text.as_bytes().into()),
            Value::Object(object) if self.callee(id)? == ("_codecs", "encode") => {
                let text = self.text(*self.items(object.args)?.first()?)?;
                let bytes: Option<Vec<u8>> = text
                    .chars()
                    .map(|c| u8::try_from(u32::from(c)).ok())
                    .collect();
                bytes.map(Into::into)
            }
            _ => None,
        }
    }
}
