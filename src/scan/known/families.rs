//! Packages whose classes are all modules, configurations or records.
//!
//! A model that was saved whole names each of its classes, and such packages gain classes with every version. A class
//! of theirs is made by `__new__` without arguments, and its attributes are set: that runs the class's `__setstate__`
//! and no more. `scripts/list_known_names.py --families` walks the packages and fails where a class has a `__setstate__`
//! or `__new__` that has not been reviewed. Functions are not among them, nor anything that is called with arguments.

use super::{RECORD, Use};

/// Modules, part by part: `*` stands for one part or the rest of one, `**` for any number of parts.
#[rustfmt::skip]
const CLASSES: &[&str] = &[
    "transformers.models.*.modeling_*", "transformers.models.*.configuration_*", "transformers.activations",
    "transformers.cache_utils", "timm.models.*", "timm.layers.*", "timm.optim.*", "timm.scheduler.*",
    "ultralytics.nn.tasks", "ultralytics.nn.modules.*", "ultralytics.utils.loss", "ultralytics.utils.tal",
    "diffusers.models.**", "peft.tuners.**", "peft.config", "peft.peft_model",
];

/// Modules that are pickled with arguments for `__new__`: the letters of their own names.
const MADE_WITH_ARGUMENTS: &[&str] = &["torchmetrics.**"];

/// Dataclasses that are called with their fields.
const RECORDS: &[&str] = &["transformers.modeling_outputs"];

/// How a name of such a package may be used.
pub(super) fn usage(module: &str, name: &str) -> Option<Use> {
    let any = |patterns: &[&str]| patterns.iter().any(|pattern| matches(pattern, module));
    if !is_class(name) {
        return None;
    }
    if any(RECORDS) {
        return Some(Use::Call(&RECORD));
    }
    if any(MADE_WITH_ARGUMENTS) {
        return Some(Use::New);
    }
    any(CLASSES).then_some(Use::Class)
}

fn is_identifier(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(is_part) && !name.starts_with("__")
}

/// By the naming of classes: a capital, perhaps behind an underscore.
fn is_class(name: &str) -> bool {
    is_identifier(name)
        && name
            .trim_start_matches('_')
            .starts_with(|c: char| c.is_ascii_uppercase())
}

fn matches(pattern: &str, module: &str) -> bool {
    let mut parts = module.split('.');
    for wanted in pattern.split('.') {
        if wanted == "**" {
            return parts.all(is_identifier);
        }
        let Some(part) = parts.next().filter(|part| is_identifier(part)) else {
            return false;
        };
        let fits = match wanted.strip_suffix('*') {
            // a registry of models, which imports what it is asked for
            Some(start) => part.starts_with(start) && part != "auto",
            None => part == wanted,
        };
        if !fits {
            return false;
        }
    }
    parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::usage;

    #[test]
    fn classes_of_models_and_nothing_beside_them() {
        for (module, name) in [
            ("transformers.models.bert.modeling_bert", "BertModel"),
            ("timm.layers.mlp", "Mlp"),
            ("torchmetrics.classification.accuracy", "MulticlassAccuracy"),
            ("peft.tuners.lora.layer", "Linear"),
            ("transformers.modeling_outputs", "BaseModelOutput"),
        ] {
            assert!(usage(module, name).is_some(), "{module}.{name}");
        }
        for (module, name) in [
            (
                "transformers.models.bert.modeling_bert",
                "load_tf_weights_in_bert",
            ),
            ("transformers.models.bert.modeling_bert", "os.system"),
            (
                "transformers.models.bert.tokenization_bert",
                "BertTokenizer",
            ),
            ("transformers.models.auto.modeling_auto", "AutoModel"),
            ("transformers.models.bert", "BertModel"),
            ("transformers.models.bert.modeling_bert.x", "BertModel"),
            ("timm.layers.mlp", "__Builtins__"),
            ("timm.layers.", "Mlp"),
            ("timmy.layers.mlp", "Mlp"),
            ("torchmetrics..x", "A b"),
            ("diffusers.pipelines.pipeline_utils", "DiffusionPipeline"),
        ] {
            assert!(usage(module, name).is_none(), "{module}.{name}");
        }
    }
}
