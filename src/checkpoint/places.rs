//! Where the bytes of storages are: in which file, and there as they are, compressed, or not at all.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::bytes::ByteSource;
use crate::checkpoint::StorageId;
use crate::checkpoint::pieces::Pieces;
use crate::container::Zip;
use crate::container::zip::Record;
use crate::error::{Error, Result};
use crate::tensor::ByteOrder;

/// The bytes of all storages of a checkpoint.
#[derive(Debug)]
pub(crate) struct Bytes {
    /// The files, or the parts of files that are files of their own.
    pub(crate) files: Vec<DataFile>,
    /// Of each storage.
    pub(crate) places: Vec<Place>,
    /// What may be taken for one tensor.
    pub(crate) tensor_bytes: usize,
}

/// A file that holds storages.
#[derive(Debug)]
pub(crate) struct DataFile {
    /// The whole file.
    pub(crate) source: ByteSource,
    /// Where records may be compressed.
    pub(crate) zip: Option<Zip>,
    /// Of its elements.
    pub(crate) byte_order: ByteOrder,
}

impl DataFile {
    /// A file of little-endian elements, none of them compressed.
    pub(crate) fn little(source: ByteSource) -> Self {
        Self {
            source,
            zip: None,
            byte_order: ByteOrder::Little,
        }
    }
}

/// Where the bytes of one storage are.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// As they are, in that file.
    File(usize, Range<usize>),
    /// In a compressed record of that file, and how many of its bytes.
    Record(usize, Box<Record>, usize),
    /// Taken out of a pickle that has them as text.
    Owned(Arc<[u8]>),
    /// In several files, to be put together.
    Pieces(Arc<Pieces>),
}

impl Place {
    /// The same place where the files are numbered from `first` on.
    pub(crate) fn moved(self, first: usize) -> Self {
        match self {
            Place::File(file, range) => Place::File(first + file, range),
            Place::Record(file, record, nbytes) => Place::Record(first + file, record, nbytes),
            // of checkpoints in pieces none is a part of another
            Place::Owned(_) | Place::Pieces(_) => self,
        }
    }
}

fn of_another() -> Error {
    Error::usage("this storage is of another checkpoint")
}

impl Bytes {
    /// Of a checkpoint in one file.
    pub(crate) fn of_one(file: DataFile, places: Vec<Place>, tensor_bytes: usize) -> Self {
        Self {
            files: vec![file],
            places,
            tensor_bytes,
        }
    }

    /// The whole bytes of a storage: borrowed from the map, or inflated.
    pub(crate) fn get(&self, id: StorageId) -> Result<Cow<'_, [u8]>> {
        self.at(self.places.get(id.0).ok_or_else(of_another)?)
    }

    /// The bytes of a storage that lies in a file as it is, with that file.
    pub(crate) fn in_file(&self, id: StorageId) -> Option<(&ByteSource, &[u8])> {
        match self.places.get(id.0)? {
            Place::File(file, range) => {
                let source = &self.files.get(*file)?.source;
                Some((source, source.get(range.clone())?))
            }
            Place::Record(..) | Place::Owned(_) | Place::Pieces(_) => None,
        }
    }

    /// The bytes of that place.
    pub(crate) fn at(&self, place: &Place) -> Result<Cow<'_, [u8]>> {
        match place {
            Place::File(file, range) => {
                let source = &self.files.get(*file).ok_or_else(of_another)?.source;
                source
                    .get(range.clone())
                    .map(Cow::Borrowed)
                    .ok_or_else(of_another)
            }
            Place::Record(file, record, len) => {
                let file = self.files.get(*file).ok_or_else(of_another)?;
                let zip = file.zip.as_ref().ok_or_else(of_another)?;
                match zip.read_storage(record)? {
                    // of a damaged file's record fewer may be there
                    Cow::Borrowed(bytes) => Ok(Cow::Borrowed(bytes.get(..*len).unwrap_or(bytes))),
                    Cow::Owned(mut bytes) => {
                        bytes.truncate(*len);
                        Ok(Cow::Owned(bytes))
                    }
                }
            }
            // a copy, so that what is handed out does not hold on to the place
            Place::Owned(bytes) => Ok(Cow::Owned(bytes.to_vec())),
            Place::Pieces(pieces) => pieces.assemble(self).map(Cow::Owned),
        }
    }

    /// The byte order of a storage's elements.
    pub(crate) fn byte_order(&self, id: StorageId) -> ByteOrder {
        let place = self.places.get(id.0);
        place.map_or(ByteOrder::Little, |place| self.byte_order_at(place))
    }

    /// The byte order of the elements in that place.
    pub(crate) fn byte_order_at(&self, place: &Place) -> ByteOrder {
        let file = match place {
            Place::File(file, _) | Place::Record(file, ..) => self.files.get(*file),
            Place::Owned(_) | Place::Pieces(_) => None,
        };
        file.map_or(ByteOrder::Little, |file| file.byte_order)
    }
}
