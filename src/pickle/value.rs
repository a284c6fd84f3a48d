//! The graph: values in an arena, shared by id, so that a memo hit is a reference and never a copy.

/// Index of a value in its [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub u32);

/// What a pickle built.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The arena.
    pub values: Vec<Value>,
    /// Byte offset of the opcode that made each value; as long as `values`.
    pub offsets: Vec<u64>,
    /// The value on top of the stack at STOP.
    pub root: ValueId,
    /// Highest protocol announced (0 where there is no PROTO).
    pub protocol: u8,
    /// Bytes from the start up to and including STOP.
    pub consumed: usize,
}

/// One value. Containers hold ids; cycles are possible, as in pickle.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `None`
    None,
    /// `True`, `False`
    Bool(bool),
    /// An integer that fits.
    Int(i64),
    /// A larger integer: two's complement, little-endian, as in LONG1/LONG4.
    BigInt(Vec<u8>),
    /// A float.
    Float(f64),
    /// Text; bytes that are not UTF-8 (Python 2 strings) arrive as [`Value::Bytes`].
    Str(Box<str>),
    /// `bytes` or `bytearray`.
    Bytes(Box<[u8]>),
    /// A list.
    List(Vec<ValueId>),
    /// A tuple.
    Tuple(Vec<ValueId>),
    /// A dict in insertion order; a repeated key keeps its place and takes the last value, as in Python, as far as
    /// the reader can compare keys (None, bool, int, float, str, bytes, tuples of these).
    Dict(Vec<(ValueId, ValueId)>),
    /// A set.
    Set(Vec<ValueId>),
    /// A frozen set.
    FrozenSet(Vec<ValueId>),
    /// A name, never resolved.
    Global {
        /// Module, as written.
        module: Box<str>,
        /// Qualified name, as written.
        name: Box<str>,
    },
    /// PERSID, BINPERSID: something outside the pickle, described by a value.
    Persistent(ValueId),
    /// EXT1, EXT2, EXT4: a name by number.
    Extension(i32),
    /// What a call would have made.
    Object(Box<Object>),
}

/// How an object was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// `callable(*args)` (REDUCE).
    Reduce,
    /// `cls.__new__(cls, *args, **kwargs)` (NEWOBJ, NEWOBJ_EX).
    NewObj,
    /// `cls(*args)` (INST, OBJ).
    Instance,
}

/// The record of a call that was never made, and of what was done to its result.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// How.
    pub kind: ObjectKind,
    /// Function or class, usually a [`Value::Global`].
    pub callable: ValueId,
    /// A tuple, usually.
    pub args: ValueId,
    /// NEWOBJ_EX only.
    pub kwargs: Option<ValueId>,
    /// BUILD, in order (more than one is legal).
    pub state: Vec<ValueId>,
    /// APPEND, APPENDS.
    pub items: Vec<ValueId>,
    /// SETITEM, SETITEMS, in order of insertion, keys unique as in [`Value::Dict`].
    pub entries: Vec<(ValueId, ValueId)>,
}

impl Graph {
    /// The value.
    pub fn get(&self, id: ValueId) -> &Value {
        &self.values[id.0 as usize]
    }
    /// Byte offset of the opcode that made the value.
    pub fn offset(&self, id: ValueId) -> u64 {
        self.offsets[id.0 as usize]
    }
}

impl Value {
    /// What it is, as an error message says it: `a list`, `an int`, `the name torch.device`.
    pub fn kind(&self) -> String {
        match self {
            Value::None => "None".into(),
            Value::Bool(_) => "a bool".into(),
            Value::Int(_) | Value::BigInt(_) => "an int".into(),
            Value::Float(_) => "a float".into(),
            Value::Str(_) => "text".into(),
            Value::Bytes(_) => "bytes".into(),
            Value::List(_) => "a list".into(),
            Value::Tuple(_) => "a tuple".into(),
            Value::Dict(_) => "a dict".into(),
            Value::Set(_) => "a set".into(),
            Value::FrozenSet(_) => "a frozenset".into(),
            Value::Global { module, name } => {
                let shown: String = format!("{module}.{name}").chars().take(80).collect();
                format!("the name {}", shown.escape_debug())
            }
            Value::Persistent(_) => "a persistent id's object".into(),
            Value::Extension(code) => format!("extension {code}"),
            Value::Object(_) => "the result of a call".into(),
        }
    }

    /// Whether it is a value of the language itself, and not something that only Python could make.
    pub(super) fn is_plain(&self) -> bool {
        !matches!(
            self,
            Value::Global { .. } | Value::Persistent(_) | Value::Extension(_) | Value::Object(_)
        )
    }
}
