//! `FILE[:KEY]`: arrays on the command line.

use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::bytes::output::write_whole;
use crate::checkpoint::Checkpoint;
use crate::container::Record;
use crate::container::Zip;
use crate::error::Error;
use crate::error::Result;
use crate::export::array;
use crate::export::array::Array;
use crate::export::array::ArrayFormat;
use crate::npy;
use crate::tensor::TensorView;

/// `x.npy`, `x.npz:KEY`, `x.safetensors:KEY`, `x.pt[:KEY]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ArrayFile {
    pub(super) path: PathBuf,
    key: Option<String>,
    format: ArrayFormat,
}

impl FromStr for ArrayFile {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if let Some(format) = ArrayFormat::of(text) {
            return Ok(Self {
                path: text.into(),
                key: None,
                format,
            });
        }
        // the first colon after a known ending, since keys may hold colons and so may Windows paths
        let split = text
            .match_indices(':')
            .find_map(|(at, _)| Some((at, ArrayFormat::of(&text[..at])?)));
        match split {
            Some((at, format)) => Ok(Self {
                path: text[..at].into(),
                key: Some(text[at + 1..].to_owned()),
                format,
            }),
            None => Err("expected .npy, .npz:KEY, .safetensors:KEY or .pt[:KEY]".into()),
        }
    }
}

impl ArrayFile {
    /// Reads an array of any dtype.
    pub(super) fn read(&self, limits: &Limits) -> Result<Array> {
        self.load(limits).map_err(|e| e.in_file(&self.path))
    }

    fn load(&self, limits: &Limits) -> Result<Array> {
        let copied = |view: &TensorView<'_>| {
            Ok(Array {
                dtype: view.dtype(),
                shape: view.layout().shape().to_vec(),
                elements: view.to_bytes()?.into_owned(),
            })
        };
        match self.format {
            ArrayFormat::Npy if self.key.is_some() => {
                Err(Error::usage("a .npy holds one array: leave out the :KEY"))
            }
            ArrayFormat::Npy => {
                let source = ByteSource::open(&self.path)?;
                copied(&npy::view(&source, limits)?)
            }
            ArrayFormat::Npz => {
                let source = ByteSource::open(&self.path)?;
                let zip = Zip::open(&source, limits)?;
                let record = npz_record(&zip, self.key.as_deref())?;
                let bytes = zip.read_storage(record)?;
                copied(&npy::view(&bytes, limits).map_err(|e| e.in_record(record.name.clone()))?)
            }
            ArrayFormat::Safetensors | ArrayFormat::Torch => {
                let file = Checkpoint::open(&self.path, limits)?;
                let tensor = match (&self.key, file.tensors()) {
                    (Some(key), _) => file.find_tensor(key)?,
                    (None, [only]) => only,
                    (None, tensors) => {
                        let names: Vec<_> =
                            tensors.iter().take(8).map(|t| t.name.as_str()).collect();
                        return Err(Error::usage(format!(
                            "has {} tensors, and no :KEY says which",
                            tensors.len()
                        ))
                        .with_hint(format!("among them {}", names.join(", "))));
                    }
                };
                copied(&file.view(tensor)?)
            }
        }
    }

    /// Writes an array; the file appears whole or not at all.
    pub(super) fn write(&self, array: &Array) -> Result<()> {
        let bytes = array::encode(self.format, self.key.as_deref(), array)
            .map_err(|e| e.in_file(&self.path))?;
        write_whole(Path::new(&self.path), |out| out.write_all(&bytes))
    }
}

/// The member that holds the array `key`; without a key, the only one.
fn npz_record<'a>(zip: &'a Zip, key: Option<&str>) -> Result<&'a Record> {
    let arrays: Vec<_> = zip
        .records()
        .iter()
        .filter_map(|record| Some((record.name.strip_suffix(".npy")?, record)))
        .collect();
    let chosen = match (key, arrays.as_slice()) {
        (Some(key), arrays) => arrays.iter().find(|(name, _)| *name == key),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    chosen.map(|(_, record)| *record).ok_or_else(|| {
        let names: Vec<_> = arrays.iter().take(8).map(|(name, _)| *name).collect();
        let what = match key {
            Some(key) => format!("has no array {key:?}"),
            None => format!("has {} arrays, and no :KEY says which", arrays.len()),
        };
        Error::usage(what).with_hint(format!("among them {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::ArrayFile;

    #[test]
    fn keys_follow_a_colon() {
        let parse = |text: &str| {
            let file: ArrayFile = text.parse().unwrap();
            (file.path.to_str().unwrap().to_owned(), file.key)
        };
        assert_eq!(parse("x.npy"), ("x.npy".into(), None));
        assert_eq!(parse("a/x.npz:k"), ("a/x.npz".into(), Some("k".into())));
        assert_eq!(
            parse("C:\\x.pt:a:b"),
            ("C:\\x.pt".into(), Some("a:b".into()))
        );
        assert!("x.txt".parse::<ArrayFile>().is_err());
    }
}
