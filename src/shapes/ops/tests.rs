//! Every recorded answer of torch's operators, as `scripts/record_shapes.py` wrote them down.

use serde_json::Value as Json;

use super::super::call::Trouble;
use super::super::value::{Tensor, Value};
use super::table;
use crate::tensor::DType;

fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::None,
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => n
            .as_i64()
            .map_or_else(|| Value::Float(n.as_f64().unwrap()), Value::Int),
        Json::String(text) => Value::text(text),
        Json::Array(items) => Value::list(items.iter().map(value).collect()),
        Json::Object(object) => {
            let dtype = object
                .get("d")
                .map_or("float32", |name| name.as_str().unwrap());
            Value::Tensor(Tensor::new(
                shape(&object["t"]),
                DType::from_name(dtype).unwrap(),
            ))
        }
    }
}

fn shape(json: &Json) -> Vec<usize> {
    let sizes = json.as_array().unwrap().iter();
    sizes
        .map(|size| usize::try_from(size.as_u64().unwrap()).unwrap())
        .collect()
}

/// The shapes that come out; `None` where the arguments are refused.
fn ours(name: &str, arguments: &[Value]) -> Result<Option<Vec<Vec<usize>>>, String> {
    match super::call(name, arguments, &[]) {
        None => Err("nobody knows it".to_owned()),
        Some(Ok(done)) => Ok(Some(
            done.value
                .tensors()
                .iter()
                .map(|tensor| tensor.shape.to_vec())
                .collect(),
        )),
        Some(Err(Trouble::Refused(_))) => Ok(None),
        Some(Err(other)) => Err(format!("{other:?}")),
    }
}

#[test]
fn every_recorded_answer_of_torch() {
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/shapes/operators.json"
    ));
    let recorded: Json = serde_json::from_str(text).unwrap();
    let cases = recorded["cases"].as_array().unwrap();
    assert!(cases.len() > 1000, "only {} cases", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let name = case[0].as_str().unwrap();
        let arguments: Vec<Value> = case[1].as_array().unwrap().iter().map(value).collect();
        let expected = case[2]
            .as_array()
            .map(|shapes| shapes.iter().map(shape).collect::<Vec<_>>());
        match ours(name, &arguments) {
            Ok(found) if found == expected => {}
            found => wrong.push(format!("{case}\n    torch {expected:?}\n    we {found:?}")),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn no_operator_is_in_the_table_twice_and_none_panics_without_arguments() {
    let mut seen = std::collections::HashSet::new();
    for name in table::names() {
        assert!(seen.insert(name), "{name} has two rows");
        let _ = super::call(name, &[], &[]);
        let _ = super::call(name, &[Value::Unknown], &[]);
        for tensor in [
            Tensor::new([], DType::Float32),
            Tensor::new([0, 3], DType::Bool),
        ] {
            let arguments = vec![Value::Tensor(tensor); 4];
            let _ = super::call(name, &arguments, &[]);
        }
        assert!(super::call(name, &[Value::Int(i64::MIN), Value::Int(i64::MAX)], &[]).is_some());
    }
}

proptest::proptest! {
    #[test]
    fn strange_numbers_are_survived(shape in proptest::collection::vec(0usize..7, 0..5), a in -9i64..9, b in proptest::num::i64::ANY, at in 0usize..400) {
        let names: Vec<&str> = table::names().collect();
        let name = names[at % names.len()];
        let tensor = Value::Tensor(Tensor::new(shape, DType::Float32));
        let list = Value::list(vec![Value::Int(a), Value::Int(b)]);
        for second in [Value::Int(a), Value::Int(b), list.clone(), tensor.clone()] {
            let _ = super::call(name, &[tensor.clone(), second.clone(), list.clone(), Value::Int(b), second], &[]);
        }
    }
}
