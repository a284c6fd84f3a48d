//! A program to follow: objects and their attributes, and the code of their classes, be it TorchScript's or that of
//! known modules.

use std::collections::HashMap;
use std::rc::Rc;

use super::known::Known;
use super::trace::FileTensor;
use super::value::{Origin, Tensor, Value};
use crate::checkpoint::Attribute;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::Instance;
use crate::checkpoint::Instances;
use crate::error::Result;
use crate::script;
use crate::script::{Class, Expr, Function};

/// Modules inside modules.
const DEPTH: usize = 100;

/// What there is to follow.
pub(super) struct Program {
    instances: Instances,
    /// TorchScript's classes and functions, by full name.
    classes: HashMap<String, Rc<Class>>,
    functions: HashMap<String, Rc<Function>>,
    known: Option<Known>,
    /// Path of each object; empty for the root and for what is no module.
    paths: Vec<String>,
    /// Single numbers among the tensors.
    numbers: HashMap<usize, f64>,
    /// Operators that the user puts behind modules.
    inserts: Vec<Insert>,
}

/// An operator that the user puts behind a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Insert {
    /// Path of the module.
    pub after: String,
    /// Operator: `max_pool2d`.
    pub op: String,
    /// Its arguments behind the input.
    pub numbers: Vec<i64>,
}

impl Program {
    /// The TorchScript program.
    pub(super) fn script(checkpoint: &Checkpoint, sources: &[(String, String)]) -> Result<Self> {
        let mut program = Self::bare(checkpoint)?;
        for (module, text) in sources {
            let source = script::parse(text)
                .map_err(|e| e.in_record(format!("code/{}.py", module.replace('.', "/"))))?;
            for class in source.classes {
                let name = format!("{module}.{}", class.name);
                program.classes.insert(name, Rc::new(class));
            }
            for function in source.functions {
                program
                    .functions
                    .insert(format!("{module}.{}", function.name), function);
            }
        }
        Ok(program)
    }

    /// Pickled modules.
    pub(super) fn pickled(checkpoint: &Checkpoint) -> Result<Self> {
        let mut program = Self::bare(checkpoint)?;
        program.known = Some(Known::load()?);
        Ok(program)
    }

    fn bare(checkpoint: &Checkpoint) -> Result<Self> {
        let instances = checkpoint.instances()?.clone();
        let mut numbers = HashMap::new();
        for (number, tensor) in instances.tensors.iter().enumerate() {
            if tensor.layout.numel() == 1 && tensor.layout.shape().is_empty() {
                let element = checkpoint
                    .view(tensor)
                    .ok()
                    .and_then(|view| view.element(&[]));
                let value = match element {
                    Some(crate::tensor::Element::Float(x)) => Some(x),
                    Some(crate::tensor::Element::Int(n)) => Some(n as f64),
                    Some(crate::tensor::Element::Bool(b)) => Some(f64::from(b)),
                    _ => None,
                };
                numbers.extend(value.map(|value| (number, value)));
            }
        }
        let paths = vec![String::new(); instances.objects.len()];
        Ok(Self {
            instances,
            classes: HashMap::new(),
            functions: HashMap::new(),
            known: None,
            paths,
            numbers,
            inserts: Vec::new(),
        })
    }

    pub(super) fn insert(&mut self, inserts: &[Insert]) {
        self.inserts = inserts.to_vec();
    }

    pub(super) fn instances(&self) -> &Instances {
        &self.instances
    }

    /// Names the modules below `root`, which is called `path`; gives the tensors their names, too.
    pub(super) fn name(&mut self, root: usize, path: &str) -> Vec<FileTensor> {
        let mut files: Vec<FileTensor> = Vec::new();
        for tensor in &self.instances.tensors {
            files.push(FileTensor {
                numel: tensor.layout.numel() as u64,
                ..FileTensor::default()
            });
        }
        let mut seen = vec![false; self.instances.objects.len()];
        let mut left = vec![(root, path.to_owned(), DEPTH)];
        while let Some((number, path, depth)) = left.pop() {
            let Some(object) = self.instances.objects.get(number) else {
                continue;
            };
            if std::mem::replace(&mut seen[number], true) {
                continue;
            }
            let class = self.classes.get(&object.class);
            for (name, value) in &object.attributes {
                if let Attribute::Tensor(tensor) = value
                    && files[*tensor].name.is_empty()
                {
                    files[*tensor].name = joined(&path, name);
                    files[*tensor].is_parameter = match class {
                        Some(class) => class.parameters.contains(name),
                        None => object.parameters.contains(name),
                    };
                }
            }
            if let Some(depth) = depth.checked_sub(1) {
                // the last is taken first
                for name in object.modules.iter().rev() {
                    if let Some(Attribute::Object(part)) = object.get(name) {
                        left.push((*part, joined(&path, name), depth));
                    }
                }
            }
            self.paths[number] = path;
        }
        files
    }

    fn object(&self, number: usize) -> Option<&Instance> {
        self.instances.objects.get(number)
    }

    pub(super) fn path(&self, object: usize) -> &str {
        self.paths.get(object).map_or("", String::as_str)
    }

    /// The object at that path below the named root.
    pub(super) fn at(&self, path: &str) -> Option<usize> {
        self.paths.iter().position(|known| known == path)
    }

    /// `Conv2d`
    pub(super) fn class_name(&self, object: usize) -> &str {
        let class = self.class(object);
        class.rsplit('.').next().unwrap_or(class)
    }

    /// `torch.nn.modules.conv.Conv2d`
    pub(super) fn class(&self, object: usize) -> &str {
        self.object(object).map_or("", |object| &object.class)
    }

    pub(super) fn method(&self, object: usize, name: &str) -> Option<Rc<Function>> {
        let class = self.class(object);
        match (&self.known, self.classes.get(class)) {
            (Some(known), _) => known.method(class, name),
            (None, Some(class)) => class
                .methods
                .iter()
                .find(|method| method.name == name)
                .cloned(),
            (None, None) => None,
        }
    }

    /// Submodules, in the order of their definition.
    pub(super) fn parts(&self, object: usize) -> Vec<usize> {
        let Some(object) = self.object(object) else {
            return Vec::new();
        };
        let parts = object
            .modules
            .iter()
            .filter_map(|name| match object.get(name) {
                Some(Attribute::Object(part)) => Some(*part),
                _ => None,
            });
        parts.collect()
    }

    /// Whether it is a pickled module of a class that nobody knows: somebody's own.
    pub(super) fn is_plain_module(&self, object: usize) -> bool {
        let class = self.class(object);
        self.known.is_some() && !class.starts_with("torch.") && !class.starts_with("torchvision.")
    }

    /// Inputs of a fully connected layer.
    pub(super) fn features(&self, object: usize) -> Option<usize> {
        let found = self.object(object)?;
        match (self.class_name(object), found.get("in_features")?) {
            ("Linear", Attribute::Int(n)) => usize::try_from(*n).ok(),
            _ => None,
        }
    }

    pub(super) fn inserted(&self, path: &str) -> Vec<(&str, &[i64])> {
        let inserts = self.inserts.iter().filter(|insert| insert.after == path);
        inserts
            .map(|insert| (insert.op.as_str(), insert.numbers.as_slice()))
            .collect()
    }

    pub(super) fn attribute(&self, object: usize, name: &str) -> Option<Value> {
        let found = self.object(object)?;
        if let Some(value) = found.get(name) {
            return Some(self.value(value));
        }
        let class = self.classes.get(&found.class)?;
        let (_, constant) = class.constants.iter().find(|(key, _)| key == name)?;
        literal(constant)
    }

    pub(super) fn constant(&self, number: &str) -> Value {
        let constant = number
            .parse::<usize>()
            .ok()
            .and_then(|n| self.instances.constants.get(n));
        constant.map_or(Value::Unknown, |value| self.value(value))
    }

    pub(super) fn function(&self, name: &str) -> Option<Rc<Function>> {
        match &self.known {
            Some(known) => known.function(name),
            None => self.functions.get(name).cloned(),
        }
    }

    /// The fields of a named tuple.
    pub(super) fn named_tuple(&self, name: &str) -> Option<Vec<String>> {
        let class = self.classes.get(name)?;
        (class.base == "NamedTuple").then(|| class.fields.clone())
    }

    fn value(&self, attribute: &Attribute) -> Value {
        let all = |items: &[Attribute]| items.iter().map(|item| self.value(item)).collect();
        match attribute {
            Attribute::None => Value::None,
            Attribute::Bool(b) => Value::Bool(*b),
            Attribute::Int(n) => Value::Int(*n),
            Attribute::Float(x) => Value::Float(*x),
            Attribute::Str(text) => Value::text(text),
            Attribute::Tensor(number) => match self.instances.tensors.get(*number) {
                Some(tensor) => Value::Tensor(Tensor {
                    origin: Origin::File(*number),
                    number: self.numbers.get(number).copied(),
                    ..Tensor::new(tensor.layout.shape().to_vec(), tensor.dtype)
                }),
                None => Value::Unknown,
            },
            Attribute::Object(number) => Value::Object(*number),
            Attribute::List(items) => Value::list(all(items)),
            Attribute::Tuple(items) => Value::tuple(all(items)),
            Attribute::Dict(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| (self.value(key), self.value(value)));
                Value::Dict(Rc::new(std::cell::RefCell::new(entries.collect())))
            }
            // functions that modules keep, `torch.nn.functional.relu`
            Attribute::Global(name) => Value::Function(name.as_str().into()),
            Attribute::Other => Value::Unknown,
        }
    }
}

pub(super) fn joined(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

/// A constant of a class.
fn literal(expression: &Expr) -> Option<Value> {
    let all = |items: &[Expr]| items.iter().map(literal).collect::<Option<Vec<_>>>();
    Some(match expression {
        Expr::None => Value::None,
        Expr::Bool(b) => Value::Bool(*b),
        Expr::Int(n) => Value::Int(*n),
        Expr::Float(x) => Value::Float(*x),
        Expr::Str(text) => Value::Str(text.clone()),
        Expr::List(items) => Value::list(all(items)?),
        Expr::Tuple(items) => Value::tuple(all(items)?),
        Expr::Call(function, arguments)
            if function.dotted().is_some_and(|name| name == "annotate") =>
        {
            literal(&arguments.get(1)?.1)?
        }
        _ => return None,
    })
}
