//! Modules whose `forward` is known: torch's own, and those of torchvision's models.
//!
//! A pickle holds a module's parts and not what it does with them. What these classes do is written down in the
//! language that TorchScript's code has, one file per library, so that one interpreter follows all of them. A class is
//! looked up by the module that it comes from and its name; where torch moved it, `# module` lists both places.

use std::collections::HashMap;
use std::rc::Rc;

use crate::error::Result;
use crate::script;
use crate::script::{Class, Function};

/// Classes that a class is derived from, at most.
const ANCESTORS: usize = 8;

/// The known classes.
pub(super) struct Known {
    /// By module and name: `torch.nn.Conv2d` stands for all of `torch.nn.modules`.
    classes: HashMap<(String, String), Rc<Class>>,
    functions: HashMap<String, Rc<Function>>,
}

const TEXTS: [&str; 3] = [
    include_str!("torch_nn.py"),
    include_str!("torchvision_models.py"),
    include_str!("torchvision_transformers.py"),
];

impl Known {
    pub(super) fn load() -> Result<Self> {
        let mut known = Self {
            classes: HashMap::new(),
            functions: HashMap::new(),
        };
        for text in TEXTS {
            for part in text.split("# module ").skip(1) {
                let (modules, code) = part.split_once('\n').unwrap_or((part, ""));
                let source = script::parse(code).map_err(|e| e.in_record(modules.trim()))?;
                for class in source.classes {
                    let class = Rc::new(class);
                    for module in modules.split_whitespace() {
                        let key = (module.to_owned(), class.name.clone());
                        known.classes.insert(key, class.clone());
                    }
                }
                for function in source.functions {
                    known.functions.insert(function.name.clone(), function);
                }
            }
        }
        Ok(known)
    }

    fn class(&self, module: &str, name: &str) -> Option<&Rc<Class>> {
        let module = match module.strip_prefix("torch.nn.") {
            Some(_) => "torch.nn",
            None => module,
        };
        self.classes.get(&(module.to_owned(), name.to_owned()))
    }

    /// The method of a class, or of one that it is derived from.
    pub(super) fn method(&self, class: &str, name: &str) -> Option<Rc<Function>> {
        let (module, class) = class.rsplit_once('.')?;
        let mut found = self.class(module, class)?;
        for _ in 0..ANCESTORS {
            if let Some(method) = found.methods.iter().find(|method| method.name == name) {
                return Some(method.clone());
            }
            found = self
                .class(module, &found.base)
                .or_else(|| self.class("torch.nn", &found.base))?;
        }
        None
    }

    pub(super) fn function(&self, name: &str) -> Option<Rc<Function>> {
        self.functions.get(name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::Known;

    #[test]
    fn the_texts_are_read_and_classes_found() {
        let known = Known::load().unwrap();
        assert!(
            known
                .method("torch.nn.modules.conv.Conv2d", "forward")
                .is_some()
        );
        assert!(
            known
                .method("torchvision.models.resnet.Bottleneck", "forward")
                .is_some()
        );
        assert!(known.method("somebody.Net", "forward").is_none());
        // by way of what it is derived from
        assert!(
            known
                .method("torchvision.ops.misc.Conv2dNormActivation", "forward")
                .is_some()
        );
    }
}
