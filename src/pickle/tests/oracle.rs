//! What the crate `serde-pickle` writes, read back.

use proptest::prelude::*;
use serde_pickle::HashableValue;

use super::{graph, show};
use crate::pickle::{Graph, Value, ValueId};

fn oracle_value() -> impl Strategy<Value = serde_pickle::Value> {
    use serde_pickle::Value as V;
    let leaf = prop_oneof![
        Just(V::None),
        any::<bool>().prop_map(V::Bool),
        any::<i64>().prop_map(V::I64),
        any::<f64>().prop_map(V::F64),
        any::<Vec<u8>>().prop_map(V::Bytes),
        any::<String>().prop_map(V::String),
    ];
    let key = prop_oneof![
        any::<i64>().prop_map(HashableValue::I64),
        ".{0,3}".prop_map(HashableValue::String),
        any::<(i64, bool)>().prop_map(|(a, b)| HashableValue::Tuple(vec![
            HashableValue::I64(a),
            HashableValue::String(b.to_string())
        ])),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(V::List),
            prop::collection::vec(inner.clone(), 0..6).prop_map(V::Tuple),
            prop::collection::btree_map(key.clone(), inner, 0..6).prop_map(V::Dict),
            prop::collection::btree_set(key.clone(), 0..6).prop_map(V::Set),
        ]
    })
}

/// The graph against the value that `serde-pickle` wrote.
fn same(graph: &Graph, id: ValueId, expected: &serde_pickle::Value) -> bool {
    use serde_pickle::Value as V;
    let all = |ids: &[ValueId], values: &[V]| {
        ids.len() == values.len()
            && ids
                .iter()
                .zip(values)
                .all(|(&id, value)| same(graph, id, value))
    };
    match (graph.get(id), expected) {
        (Value::None, V::None) => true,
        (Value::Bool(a), V::Bool(b)) => a == b,
        (Value::Int(a), V::I64(b)) => a == b,
        (Value::Float(a), V::F64(b)) => a.to_bits() == b.to_bits(),
        (Value::Bytes(a), V::Bytes(b)) => a[..] == b[..],
        (Value::Str(a), V::String(b)) => a[..] == b[..],
        (Value::List(a), V::List(b)) | (Value::Tuple(a), V::Tuple(b)) => all(a, b),
        (Value::Dict(a), V::Dict(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|(&(k, v), (bk, bv))| {
                    same(graph, k, &bk.clone().into_value()) && same(graph, v, bv)
                })
        }
        (Value::Set(a), V::Set(b)) => {
            let values: Vec<V> = b.iter().map(|k| k.clone().into_value()).collect();
            all(a, &values)
        }
        // `serde-pickle` writes sets as calls, and bytes as protocol 2 must
        (Value::Object(call), _) => {
            let Value::Tuple(args) = graph.get(call.args) else {
                return false;
            };
            match (graph.get(args[0]), expected) {
                (Value::List(items), V::Set(b)) => {
                    let values: Vec<V> = b.iter().map(|k| k.clone().into_value()).collect();
                    all(items, &values)
                }
                (Value::Str(latin1), V::Bytes(b)) => latin1
                    .chars()
                    .map(u32::from)
                    .eq(b.iter().map(|&b| u32::from(b))),
                _ => false,
            }
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn reads_what_serde_pickle_writes(value in oracle_value(), protocol_3 in any::<bool>()) {
        let options = serde_pickle::SerOptions::new();
        let options = if protocol_3 { options } else { options.proto_v2() };
        let pickle = serde_pickle::value_to_vec(&value, options).unwrap();
        let graph = graph(&pickle);
        prop_assert!(same(&graph, graph.root, &value), "{} from {:?}", show(&graph, graph.root), value);
    }
}
