//! The parts of a value that are still to be shown, in their order.

use crate::checkpoint::NodeId;
use crate::checkpoint::NodeValue;
use crate::checkpoint::python::Python;
use crate::checkpoint::rebuild;
use crate::pickle::Value;
use crate::pickle::ValueId;

/// The parts of a value that are still to come, in order.
pub(super) enum Items<'g> {
    /// By their positions.
    Indexed(std::iter::Enumerate<std::slice::Iter<'g, ValueId>>),
    /// By their keys.
    Pairs(std::iter::Enumerate<std::slice::Iter<'g, (ValueId, ValueId)>>),
    Named(std::vec::IntoIter<(String, ValueId)>),
}

pub(super) struct Group<'g> {
    pub(super) items: Items<'g>,
    pub(super) shown: Shown,
}

/// How the parts of a group are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Tensors among them are listed.
    Listed,
    /// Tensors among them are not: they are attributes of a module.
    Unlisted,
    /// Listed, and numbers are tensors too: `state_dict()` makes such of them.
    Numbers,
}

/// One part.
pub(super) struct Part {
    pub(super) key: String,
    pub(super) id: ValueId,
    pub(super) shown: Shown,
    /// The tensor that the key is, if it is one.
    pub(super) tensor_key: Option<ValueId>,
}

/// A value on the path from the root.
pub(super) struct Frame<'g> {
    pub(super) id: ValueId,
    pub(super) node: NodeId,
    pub(super) path_len: usize,
    pub(super) listed: bool,
    groups: std::vec::IntoIter<Group<'g>>,
    current: Option<Group<'g>>,
}

/// What a value shows, and its parts.
pub(super) struct Unfolding<'g> {
    pub(super) value: NodeValue,
    /// Parts that are no values of the pickle.
    pub(super) said: serde_json::Map<String, serde_json::Value>,
    pub(super) groups: Vec<Group<'g>>,
}

impl<'g> Frame<'g> {
    pub(super) fn new(
        id: ValueId,
        node: NodeId,
        path_len: usize,
        listed: bool,
        groups: Vec<Group<'g>>,
    ) -> Self {
        Self {
            id,
            node,
            path_len,
            listed,
            groups: groups.into_iter(),
            current: None,
        }
    }

    /// The next part.
    pub(super) fn next(&mut self, python: Python<'g>) -> Option<Part> {
        loop {
            if let Some(group) = &mut self.current
                && let Some((key, id, tensor_key)) = group.items.next(python)
            {
                let shown = match self.listed {
                    true => group.shown,
                    false => Shown::Unlisted,
                };
                return Some(Part {
                    key,
                    id,
                    shown,
                    tensor_key,
                });
            }
            self.current = Some(self.groups.next()?);
        }
    }
}

impl<'g> Items<'g> {
    pub(super) fn of(items: &'g [ValueId]) -> Self {
        Items::Indexed(items.iter().enumerate())
    }

    pub(super) fn pairs(pairs: &'g [(ValueId, ValueId)]) -> Self {
        Items::Pairs(pairs.iter().enumerate())
    }

    fn next(&mut self, python: Python<'g>) -> Option<(String, ValueId, Option<ValueId>)> {
        match self {
            Items::Indexed(items) => {
                let (number, id) = items.next()?;
                Some((number.to_string(), *id, None))
            }
            Items::Pairs(pairs) => {
                let (number, (key, id)) = pairs.next()?;
                // a tensor as a key prints as all of its elements: its place says which it is, as in an
                // optimizer's state
                let is_tensor = rebuild::is_tensor(python, *key);
                Some(match is_tensor {
                    true => (number.to_string(), *id, Some(*key)),
                    false => (python.key(*key), *id, None),
                })
            }
            Items::Named(named) => named.next().map(|(key, id)| (key, id, None)),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Items::Indexed(items) => items.len() == 0,
            Items::Pairs(pairs) => pairs.len() == 0,
            Items::Named(named) => named.len() == 0,
        }
    }
}

impl<'g> Group<'g> {
    pub(super) fn of(items: Items<'g>) -> Option<Self> {
        (!items.is_empty()).then_some(Self {
            items,
            shown: Shown::Listed,
        })
    }

    pub(super) fn named(items: Vec<(String, ValueId)>) -> Self {
        Self {
            items: Items::Named(items.into_iter()),
            shown: Shown::Listed,
        }
    }
}

impl<'g> Unfolding<'g> {
    pub(super) fn of(value: NodeValue, groups: Vec<Group<'g>>) -> Self {
        Self {
            value,
            said: serde_json::Map::new(),
            groups,
        }
    }
}

pub(super) fn leaf<'g>(value: NodeValue) -> Unfolding<'g> {
    Unfolding::of(value, Vec::new())
}

pub(super) fn branch<'g>(value: NodeValue, items: Items<'g>) -> Unfolding<'g> {
    Unfolding::of(value, Group::of(items).into_iter().collect())
}

/// The entries that a dict is made of: another dict, or (Python 2) a list of pairs.
pub(super) fn entries_of(python: Python<'_>, id: ValueId) -> Items<'_> {
    if let Value::Dict(entries) = python.get(id) {
        return Items::pairs(entries);
    }
    let pairs = python.items(id).unwrap_or(&[]).iter();
    let pairs = pairs.map(|&pair| match python.items(pair) {
        Some([key, value]) => (python.key(*key), *value),
        _ => ("?".into(), pair), // no dict could be made of it
    });
    Items::Named(pairs.collect::<Vec<_>>().into_iter())
}

/// What BUILD would have set: attributes by their names, from a dict, or a pair of dicts (the second of slots).
pub(super) fn state_groups<'g>(
    python: Python<'g>,
    states: &[ValueId],
) -> impl Iterator<Item = Group<'g>> + use<'g> {
    let mut groups = Vec::new();
    for &state in states {
        let dict = |id: ValueId| match python.get(id) {
            Value::None => Some(&[][..]),
            Value::Dict(entries) => Some(&entries[..]),
            _ => None,
        };
        let pair = match python.get(state) {
            Value::Tuple(pair) if pair.len() == 2 => dict(pair[0]).zip(dict(pair[1])),
            _ => None,
        };
        if let Some(entries) = dict(state) {
            groups.extend(Group::of(Items::pairs(entries)));
        } else if let Some((attributes, slots)) = pair {
            groups.extend(Group::of(Items::pairs(attributes)));
            groups.extend(Group::of(Items::pairs(slots)));
        } else {
            groups.push(Group::named(vec![("state".into(), state)]));
        }
    }
    groups.into_iter()
}
