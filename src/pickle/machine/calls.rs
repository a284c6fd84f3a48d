//! Names, persistent ids and calls: written down, never followed.

use super::{HEAP_BLOCK, Machine};
use crate::error::Result;
use crate::pickle::opcode::{Argument, Opcode};
use crate::pickle::value::{Object, ObjectKind, Value, ValueId};

impl Machine<'_> {
    pub(super) fn global(&mut self) -> Result<()> {
        let (module, name) = match self.now.argument {
            Argument::Lines(module, name) => (module, name),
            _ => {
                let name = self.pop();
                let module = self.pop();
                return self.stack_global(module, name);
            }
        };
        let global = self.named(module, name)?;
        self.push(global)
    }

    fn named(&mut self, module: &[u8], name: &[u8]) -> Result<Value> {
        if module.is_empty() || name.is_empty() {
            return Err(self.malformed("a name is empty".to_owned()));
        }
        self.budget
            .spend(module.len() + name.len() + 2 * HEAP_BLOCK)?;
        let (module, name) = (self.name(module)?, self.name(name)?);
        Ok(Value::Global { module, name })
    }

    fn stack_global(&mut self, module: ValueId, name: ValueId) -> Result<()> {
        let Self { values, budget, .. } = self;
        let (module, name) = (&values[module.0 as usize], &values[name.0 as usize]);
        let (Value::Str(m), Value::Str(n)) = (module, name) else {
            let (m, n) = (module.kind(), name.kind());
            return Err(self.malformed(format!(
                "module and name must be text, they are {m} and {n}"
            )));
        };
        budget.spend(m.len() + n.len() + 2 * HEAP_BLOCK)?;
        let (module, name) = (m.clone(), n.clone());
        self.push(Value::Global { module, name })
    }

    pub(super) fn extension(&mut self) -> Result<()> {
        let code = match self.now.argument {
            Argument::Signed(code) => code,
            _ => i32::try_from(self.unsigned()).unwrap_or(0), // at most 16 bits
        };
        if code <= 0 {
            return Err(self.malformed(format!("extension codes are positive, this is {code}")));
        }
        self.push(Value::Extension(code))
    }

    pub(super) fn persistent(&mut self) -> Result<()> {
        let id = match self.now.opcode {
            Opcode::BinPersId => self.pop(),
            _ => {
                let line = self.bytes();
                self.budget.spend(line.len() + HEAP_BLOCK)?;
                let text = self.name(line)?;
                self.alloc(Value::Str(text))?
            }
        };
        self.push(Value::Persistent(id))
    }

    pub(super) fn call(&mut self) -> Result<()> {
        let args = self.pop();
        let callable = self.pop();
        let kind = match self.now.opcode {
            Opcode::Reduce => ObjectKind::Reduce,
            _ => ObjectKind::NewObj,
        };
        self.object(kind, callable, args, None)
    }

    pub(super) fn call_with_kwargs(&mut self) -> Result<()> {
        let kwargs = self.pop();
        let args = self.pop();
        let callable = self.pop();
        if self.value(kwargs).is_plain() && !matches!(self.value(kwargs), Value::Dict(_)) {
            return Err(self.malformed(format!(
                "its keyword arguments are {}, not a dict",
                self.value(kwargs).kind()
            )));
        }
        self.object(ObjectKind::NewObj, callable, args, Some(kwargs))
    }

    /// INST names the class in its argument, OBJ has it first above the mark.
    pub(super) fn instance(&mut self) -> Result<()> {
        let mark = self.pop_mark();
        let callable = match self.now.argument {
            Argument::Lines(module, name) => {
                let global = self.named(module, name)?;
                self.alloc(global)?
            }
            _ => self.stack[mark],
        };
        let first = mark + usize::from(self.now.opcode == Opcode::Obj);
        let args = self.take_from(first)?;
        self.stack.truncate(mark);
        let args = self.alloc(Value::Tuple(args))?;
        self.object(ObjectKind::Instance, callable, args, None)
    }

    fn object(
        &mut self,
        kind: ObjectKind,
        callable: ValueId,
        args: ValueId,
        kwargs: Option<ValueId>,
    ) -> Result<()> {
        if self.value(callable).is_plain() {
            let what = self.value(callable).kind();
            return Err(self.malformed(format!("calls {what}")));
        }
        if self.value(args).is_plain() && !matches!(self.value(args), Value::Tuple(_)) {
            let what = self.value(args).kind();
            return Err(self.malformed(format!("its arguments are {what}, not a tuple")));
        }
        self.budget.spend(size_of::<Object>())?;
        self.push(Value::Object(Box::new(Object {
            kind,
            callable,
            args,
            kwargs,
            state: Vec::new(),
            items: Vec::new(),
            entries: Vec::new(),
        })))
    }

    pub(super) fn build(&mut self) -> Result<()> {
        let state = self.pop();
        let target = self.top();
        match &mut self.values[target.0 as usize] {
            Value::Object(object) => self.budget.push(&mut object.state, state),
            other => {
                let kind = other.kind();
                Err(self.malformed(format!("sets the state of {kind}, which has none")))
            }
        }
    }
}
