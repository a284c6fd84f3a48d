//! Which oneDNN a torch holds, as far as a rule depends on it.
//!
//! The commit of oneDNN is in the wheel's libtorch_cpu; releases of one minor version cut convolutions alike.

/// A version of oneDNN: major, minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Onednn(pub u32, pub u32);

impl Onednn {
    /// The one that the rules were written for: torch 2.15's.
    pub const NEWEST: Onednn = Onednn(3, 13);

    /// Reads `3.4.2`.
    pub fn parse(text: &str) -> Option<Onednn> {
        minor_version(text).map(|(major, minor)| Onednn(major, minor))
    }

    /// The one in `torch`: `2.4.1` or `2.4.1+cpu`.
    pub fn of_torch(torch: &str) -> Option<Onednn> {
        let version = minor_version(torch)?;
        let newest_not_after = TORCH.iter().rev().find(|(since, _)| *since <= version);
        newest_not_after.map(|&(_, onednn)| onednn)
    }
}

/// The first torch with each oneDNN.
const TORCH: [((u32, u32), Onednn); 8] = [
    ((2, 0), Onednn(2, 7)),
    ((2, 1), Onednn(3, 1)),
    ((2, 2), Onednn(3, 3)),
    ((2, 4), Onednn(3, 4)),
    ((2, 5), Onednn(3, 5)),
    ((2, 7), Onednn(3, 7)),
    ((2, 11), Onednn(3, 10)),
    ((2, 15), Onednn(3, 13)),
];

/// `2.4` of `2.4.1+cpu`.
fn minor_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().trim_start_matches('v').split('.');
    let major = parts.next()?.parse().ok()?;
    let digits = |part: &str| {
        part.chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
    };
    let minor = digits(parts.next()?).parse().ok()?;
    Some((major, minor))
}

#[cfg(test)]
mod tests {
    use super::Onednn;

    #[test]
    fn versions_are_read_from_what_torch_says() {
        assert_eq!(Onednn::parse("3.13.3"), Some(Onednn(3, 13)));
        assert_eq!(Onednn::of_torch("2.4.1+cpu"), Some(Onednn(3, 4)));
        assert_eq!(Onednn::of_torch("2.8.0"), Some(Onednn(3, 7)));
        assert_eq!(Onednn::of_torch("2.12.0a0"), Some(Onednn(3, 10)));
        assert_eq!(Onednn::of_torch("1.4"), None);
        assert_eq!(Onednn::of_torch("main"), None);
    }
}
