//! File names made of tensor names, which a hostile file chooses.

use std::collections::HashSet;

/// Longest file name, ending included; file systems take 255 bytes.
const LONGEST: usize = 200;

/// A file name for the tensor `name`, different from all in `taken` even where case does not count. Never holds a
/// separator, never starts with a dot, never is a name that Windows keeps for itself.
pub(super) fn unique(name: &str, ending: &str, taken: &mut HashSet<String>) -> String {
    let safe = safe(name);
    let mut file = format!("{safe}.{ending}");
    let mut number = 2;
    while !taken.insert(file.to_lowercase()) {
        file = format!("{safe}~{number}.{ending}");
        number += 1;
    }
    file
}

fn safe(name: &str) -> String {
    let keep = |c: char| {
        if c.is_alphanumeric() || "._-+=@".contains(c) {
            c
        } else {
            '_'
        }
    };
    let mut safe: String = name.chars().map(keep).collect();
    if safe.starts_with('.') || safe.starts_with('-') {
        safe.insert(0, '_');
    }
    while safe.len() > LONGEST {
        // the end of a tensor's name says more than its start
        safe.remove(0);
    }
    if safe.is_empty() {
        return "tensor".to_owned();
    }
    let stem = safe
        .split('.')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let reserved = matches!(stem.as_str(), "con" | "prn" | "aux" | "nul")
        || (stem.len() == 4 && (stem.starts_with("com") || stem.starts_with("lpt")));
    if reserved { format!("_{safe}") } else { safe }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::unique;

    #[test]
    fn hostile_names_stay_in_the_folder() {
        for (name, file) in [
            ("conv1.weight", "conv1.weight.bin"),
            ("../../etc/passwd", "_.._.._etc_passwd.bin"),
            ("/abs", "_abs.bin"),
            ("C:\\x", "C__x.bin"),
            ("", "tensor.bin"),
            (".hidden", "_.hidden.bin"),
            ("nul.weight", "_nul.weight.bin"),
            ("a\0b\n", "a_b_.bin"),
            ("größe", "größe.bin"),
        ] {
            assert_eq!(unique(name, "bin", &mut HashSet::new()), file);
        }
        assert!(unique(&"x".repeat(5000), "bin", &mut HashSet::new()).len() < 255);
        assert!(unique(&"ü".repeat(5000), "bin", &mut HashSet::new()).len() < 255);
    }

    #[test]
    fn collisions_are_resolved() {
        let mut taken = HashSet::new();
        assert_eq!(unique("a/b", "bin", &mut taken), "a_b.bin");
        assert_eq!(unique("a:b", "bin", &mut taken), "a_b~2.bin");
        assert_eq!(
            unique("A_B", "bin", &mut taken),
            "A_B~2.bin".replace("~2", "~3")
        );
    }
}
