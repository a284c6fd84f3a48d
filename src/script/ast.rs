//! Statements and expressions.

use std::rc::Rc;

/// One file: what it defines.
#[derive(Debug, Default)]
pub struct Source {
    /// Classes, in order.
    pub classes: Vec<Class>,
    /// Functions outside of classes.
    pub functions: Vec<Rc<Function>>,
}

/// A class.
#[derive(Debug, Default)]
pub struct Class {
    /// Name, without its module.
    pub name: String,
    /// What it is derived from: `Module`, `NamedTuple`, `Enum`, ...
    pub base: String,
    /// Attributes that are parameters.
    pub parameters: Vec<String>,
    /// Annotated attributes, in order: for a named tuple, its fields.
    pub fields: Vec<String>,
    /// Attributes with a value in the class itself (`Final`).
    pub constants: Vec<(String, Expr)>,
    /// Methods.
    pub methods: Vec<Rc<Function>>,
}

/// A function or method.
#[derive(Debug)]
pub struct Function {
    /// Name.
    pub name: String,
    /// Parameters, `self` included.
    pub parameters: Vec<Parameter>,
    /// Body.
    pub body: Vec<Stmt>,
}

/// A parameter of a function.
#[derive(Debug)]
pub struct Parameter {
    /// Name.
    pub name: Rc<str>,
    /// Value where the caller gives none.
    pub default: Option<Expr>,
}

/// A statement, and the line it is on.
#[derive(Debug)]
pub enum Stmt {
    /// `target = value`, `a, b, = value`
    Assign(Vec<Target>, Expr, u32),
    /// A call whose result is not used.
    Do(Expr, u32),
    /// `if`, and its two branches.
    If(Expr, Vec<Stmt>, Vec<Stmt>, u32),
    /// `while`
    While(Expr, Vec<Stmt>, u32),
    /// `for name in items:`
    For(Vec<Target>, Expr, Vec<Stmt>, u32),
    /// `return value`
    Return(Expr),
}

/// What a value is assigned to.
#[derive(Debug)]
pub enum Target {
    /// A variable.
    Name(Rc<str>),
    /// `object.attribute`
    Attribute(Expr, Rc<str>),
    /// `list[index]`
    Item(Expr, Expr),
    /// Several, in one of several places: `for i, (a, b) in ...`.
    Tuple(Vec<Target>),
}

/// An expression.
#[derive(Clone, Debug)]
pub enum Expr {
    /// `None`
    None,
    /// `True`, `False`
    Bool(bool),
    /// `3`
    Int(i64),
    /// `1.5`, `inf`, `nan`
    Float(f64),
    /// `"text"`
    Str(Rc<str>),
    /// A variable, or the first part of a dotted name.
    Name(Rc<str>),
    /// `object.attribute`
    Attribute(Box<Expr>, Rc<str>),
    /// `object[index]`
    Item(Box<Expr>, Box<Expr>),
    /// `function(positional, ..., name=value)`
    Call(Box<Expr>, Vec<(Option<Rc<str>>, Expr)>),
    /// `[a, b]`
    List(Vec<Expr>),
    /// `(a, b)`
    Tuple(Vec<Expr>),
    /// `{a: b}`
    Dict(Vec<(Expr, Expr)>),
    /// `a if condition else b`: condition, a, b.
    Choice(Box<(Expr, Expr, Expr)>),
    /// An operator, by the name of the function that does the same: `add`, `__not__`, `__and__`, ...
    Operator(&'static str, Vec<Expr>),
}

impl Expr {
    /// `torch.nn.functional.relu`, where it is nothing but names and dots.
    pub fn dotted(&self) -> Option<String> {
        match self {
            Expr::Name(name) => Some(name.to_string()),
            Expr::Attribute(object, name) => {
                let mut path = object.dotted()?;
                path.push('.');
                path.push_str(name);
                Some(path)
            }
            _ => None,
        }
    }
}
