//! Tensors as torch pickled them before it had rebuild functions for all of them.
//!
//! | pickled | since | what it is |
//! | --- | --- | --- |
//! | a number as persistent id | before 0.1.10 | a tensor in the member `tensors` of a tar |
//! | `FloatTensor` made by NEWOBJ, state (storage, offset, size, stride) | before 0.1.10 | a tensor |
//! | `Variable` or `Parameter` made by NEWOBJ, state (data, grad, hooks, requires_grad, volatile) | before 0.2 | data |
//! | `Parameter(data)` or `Variable(data)`, state (requires_grad, volatile, hooks) | 0.2 and 0.3 | data |
//!
//! torch 2.15 still reads all of them: `Tensor.__setstate__` in `torch/_tensor.py`.

use super::{Args, Rebuilder, Rebuilt};
use crate::error::Result;
use crate::pickle::Object;
use crate::pickle::ObjectKind;
use crate::pickle::ValueId;
use crate::tensor::Layout;

impl<'g> Rebuilder<'g, '_> {
    /// The tensor that lies outside the pickle under the number of the persistent id `id`.
    pub(super) fn outside(&mut self, id: ValueId) -> Result<Option<Rebuilt>> {
        let Some((storage, layout)) = self.storages.tensor_named_by(self.python, id)? else {
            return Ok(None);
        };
        let entry = self.over(storage, layout, None)?;
        Ok(Some(Rebuilt::plain(entry)))
    }

    /// What an object without a rebuild function is, if it is a tensor.
    pub(super) fn old(&mut self, object: &'g Object, depth: usize) -> Result<Option<Rebuilt>> {
        let (class, args) = self.class_and_arguments(object);
        let Some((module, name)) = self.python.global(class) else {
            return Ok(None);
        };
        let state = match object.state[..] {
            [state] => self.python.items(state).unwrap_or(&[]),
            _ => &[],
        };
        match (module, name) {
            ("torch.nn.parameter", "UninitializedParameter" | "UninitializedBuffer") => {
                self.uninitialized(args).map(Some)
            }
            ("torch.nn.parameter", "Parameter" | "Buffer")
            | ("torch.autograd" | "torch.autograd.variable", "Variable") => {
                self.variable(name, args, state, depth)
            }
            ("torch" | "torch.cuda" | "torch.tensor", name) if name.ends_with("Tensor") => {
                match (args, state) {
                    ([], [_, _, _, _]) => self.plain(state),
                    _ => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    /// `copyreg.__newobj__` has the class for its first argument.
    fn class_and_arguments(&self, object: &'g Object) -> (ValueId, Args<'g>) {
        let args = self.python.args(object);
        match (self.python.callable(object), args) {
            (Some(("copyreg", "__newobj__")), [class, rest @ ..])
                if object.kind == ObjectKind::Reduce =>
            {
                (*class, rest)
            }
            _ => (object.callable, args),
        }
    }

    fn variable(
        &mut self,
        class: &str,
        args: Args<'g>,
        state: Args<'g>,
        depth: usize,
    ) -> Result<Option<Rebuilt>> {
        let (data, requires_grad) = match (args, state) {
            ([], [data, _grad, _hooks, requires_grad, _volatile]) => (*data, Some(*requires_grad)),
            ([data, ..], [requires_grad, _, _]) => (*data, Some(*requires_grad)),
            ([data], []) => (*data, None),
            ([data, requires_grad, ..], []) => (*data, Some(*requires_grad)),
            _ => return Ok(None),
        };
        let mut inner = self.expect_tensor(data, depth)?;
        inner.entry.requires_grad = match requires_grad {
            Some(id) => self.python.bool(id).unwrap_or(false),
            None => class == "Parameter",
        };
        Ok(Some(inner))
    }

    /// `(storage, storage_offset, size, stride)`
    fn plain(&mut self, state: Args<'g>) -> Result<Option<Rebuilt>> {
        let Some(storage) = self.storages.named_by(self.python, state[0])? else {
            return Ok(None);
        };
        let offset = self.size(state[1], "storage_offset")?;
        let layout = Layout::new(
            self.sizes(state, 2, "size")?,
            self.sizes(state, 3, "stride")?,
            offset,
        )?;
        let entry = self.over(storage, layout, None)?;
        Ok(Some(Rebuilt::plain(entry)))
    }
}
