//! The walk as JSON.

use serde_json::{Map, Value, json};

use crate::shapes::{AxisFormula, Broken, Fits, Origin, Sizes, Step, Walk};

/// The document; its keys are stable.
pub fn json(walk: &Walk) -> Value {
    let steps: Vec<Value> = walk
        .steps
        .iter()
        .enumerate()
        .map(|(number, step)| self::step(number, step))
        .collect();
    let inputs: Vec<Value> = walk
        .inputs
        .iter()
        .map(|input| json!({"name": input.name, "shape": input.shape}))
        .collect();
    let assumed: Vec<Value> = walk
        .assumed
        .iter()
        .map(|(path, class)| json!({"module": path, "class": class}))
        .collect();
    json!({
        "file": walk.file.display().to_string(),
        "format": walk.format,
        "module": walk.module,
        "class": walk.class,
        "inputs": inputs,
        "verdict": verdict(walk),
        "steps": steps,
        "outputs": walk.outputs,
        "broken": walk.broken.as_ref().map(broken),
        "lost": walk.lost,
        "assumed_order": assumed,
        "would_fit_after": walk.would_fit.iter().map(|insert| {
            json!({"module": insert.after, "op": insert.op, "arguments": insert.numbers})
        }).collect::<Vec<_>>(),
        "warnings": walk.warnings,
        "totals": {
            "parameters": walk.parameters,
            "macs": walk.macs(),
            "activation_bytes": walk.bytes(),
            "steps": walk.steps.len(),
        },
        "exported_for": walk.exported_for,
        "fits": walk.fits.as_ref().map(fits),
    })
}

/// Several walks for a page: no more of each step than the page shows.
pub fn page(walks: &[Walk]) -> Value {
    let walks = walks.iter().map(|walk| {
        let mut document = json(walk);
        if let Some(object) = document.as_object_mut() {
            object.retain(|key, _| PAGE.contains(&key.as_str()));
            let steps = walk
                .steps
                .iter()
                .filter(|step| step.live || step.unknown.is_some());
            let steps: Vec<Value> = steps.map(page_step).collect();
            object.insert("steps".into(), steps.into());
        }
        document
    });
    json!({"walks": walks.collect::<Vec<_>>()})
}

/// Keys of a walk that a page shows.
const PAGE: [&str; 12] = [
    "module",
    "class",
    "inputs",
    "verdict",
    "outputs",
    "broken",
    "lost",
    "assumed_order",
    "warnings",
    "totals",
    "exported_for",
    "fits",
];

fn page_step(step: &Step) -> Value {
    let outputs = step.outputs.iter().flatten().map(|(shape, _)| shape);
    let formulas = step.formulas.iter().map(|axis| {
        let unread = axis.window.unread();
        json!([axis.axis, axis.window.formula(), unread])
    });
    json!({
        "module": step.path,
        "op": step.op,
        "outputs": outputs.collect::<Vec<_>>(),
        "formulas": formulas.collect::<Vec<_>>(),
        "detail": step.detail,
        "parameters": step.parameters,
        "macs": step.macs,
        "assumed": step.assumed,
        "unknown": step.unknown,
    })
}

/// One word for how it went.
pub(super) fn verdict(walk: &Walk) -> &'static str {
    match (&walk.broken, walk.arrives()) {
        (Some(broken), _) if broken.assumed => "assumed-order-breaks",
        (Some(_), _) => "breaks",
        (None, true) => "fits",
        (None, false) => "unknown",
    }
}

fn origin(origin: &Origin) -> Value {
    match origin {
        Origin::Step(number) => json!({"step": number + 1}),
        Origin::Input(number) => json!({"input": number}),
        Origin::File(_) | Origin::Nothing => Value::Null,
    }
}

fn formula(formula: &AxisFormula) -> Value {
    let window = &formula.window;
    json!({
        "axis": formula.axis,
        "input": window.input,
        "output": window.output().ok(),
        "formula": window.formula(),
        "kernel": window.kernel,
        "stride": window.stride,
        "padding": [window.padding.0, window.padding.1],
        "dilation": window.dilation,
        "unread": window.unread(),
    })
}

fn step(number: usize, step: &Step) -> Value {
    let mut map = Map::new();
    map.insert("step".into(), json!(number + 1));
    map.insert("module".into(), json!(step.path));
    map.insert("op".into(), json!(step.op));
    map.insert(
        "inputs".into(),
        json!(step.inputs.iter().map(origin).collect::<Vec<_>>()),
    );
    map.insert("input_shapes".into(), json!(step.input_shapes));
    let outputs = step.outputs.as_ref().map(|outputs| {
        let outputs = outputs
            .iter()
            .map(|(shape, dtype)| json!({"shape": shape, "dtype": dtype.name()}));
        outputs.collect::<Vec<_>>()
    });
    map.insert("outputs".into(), json!(outputs));
    map.insert(
        "formulas".into(),
        json!(step.formulas.iter().map(formula).collect::<Vec<_>>()),
    );
    map.insert("detail".into(), json!(step.detail));
    map.insert("parameters".into(), json!(step.parameters));
    map.insert("macs".into(), json!(step.macs));
    map.insert("bytes".into(), json!(step.bytes));
    map.insert("from_input".into(), json!(step.live));
    map.insert("assumed".into(), json!(step.assumed));
    map.insert("unknown".into(), json!(step.unknown));
    Value::Object(map)
}

fn broken(broken: &Broken) -> Value {
    json!({
        "module": broken.path,
        "op": broken.op,
        "inputs": broken.inputs.iter().map(origin).collect::<Vec<_>>(),
        "input_shapes": broken.input_shapes,
        "why": broken.why,
        "what": broken.what.name(),
        "expected": broken.expected,
        "got": broken.got,
        "formulas": broken.formulas.iter().map(formula).collect::<Vec<_>>(),
        "assumed": broken.assumed,
    })
}

fn fits(fits: &Fits) -> Value {
    let sizes = match &fits.sizes {
        Sizes::None => json!([]),
        Sizes::From(low) => json!([[low, null]]),
        Sizes::Range(low, high) => json!([[low, high]]),
        Sizes::Multiples(step, low) => json!({"multiples_of": step, "from": low}),
        Sizes::Ranges(ranges) => json!(ranges),
    };
    json!({
        "channels": fits.channels,
        "axes": fits.axes,
        "sizes": sizes,
        "axes_may_differ": fits.apart,
        "tried_to": fits.tried,
        "pinned_by": fits.pinned_by,
        "reaches_it_from": fits.reaches,
    })
}
