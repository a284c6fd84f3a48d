//! Zip archives: what records there are, where their bytes lie, and those bytes.
//!
//! The central directory is read here and held against the local headers (the `zip` crate drops duplicates and accepts
//! headers that disagree); inflating is the crate's. What it then sees must be what was seen here.

mod audit;
mod checks;
mod directory;
mod row;
pub mod survey;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::io::{Cursor, Read};
use std::sync::OnceLock;

use zip::ZipArchive;
use zip::read::{ArchiveOffset, Config, ZipReadOptions};

use crate::bytes::Access;
use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::error::{Error, Result};

use audit::Names;
use checks::Checks;
use directory::Directory;
pub use row::one_after_another;
pub use survey::{Member, Problem, ProblemKind, Survey};

/// How a record's bytes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// As they are (method 0).
    Stored,
    /// Deflated (method 8).
    Deflated,
}

impl Method {
    /// `stored`, `deflated`.
    pub fn name(self) -> &'static str {
        match self {
            Method::Stored => "stored",
            Method::Deflated => "deflated",
        }
    }
}

/// A named run of bytes. All offsets are absolute, all lengths in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Full name, root folder included: `model/data/0`.
    pub name: String,
    /// Where its local header begins.
    pub header_at: u64,
    /// Where its bytes begin, as kept.
    pub data_at: u64,
    /// Length, inflated.
    pub len: u64,
    /// Length as kept; [`Record::len`] where stored.
    pub stored_len: u64,
    /// CRC-32 of the inflated bytes, as declared.
    pub crc32: u32,
    /// How they are kept.
    pub method: Method,
}

impl Record {
    /// Where its bytes end, as kept. A data descriptor of up to 24 bytes may follow.
    pub fn end(&self) -> u64 {
        self.data_at.saturating_add(self.stored_len)
    }

    /// Whether it stands for a folder.
    pub fn is_folder(&self) -> bool {
        self.name.ends_with('/')
    }
}

/// Bytes of the file that belong to no record. No correct writer leaves any; torch reads such files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oddity {
    /// Where they begin.
    pub at: u64,
    /// How many.
    pub len: u64,
}

/// An opened zip archive, audited: every record has one name, one place and one meaning.
pub struct Zip {
    source: ByteSource,
    records: Vec<Record>,
    names: Names,
    oddities: Vec<Oddity>,
    limits: Limits,
    /// Opened when something must be inflated, which most checkpoints never need.
    inflater: OnceLock<ZipArchive<Cursor<ByteSource>>>,
    /// Of a damaged zip: what was found of each record.
    wreck: Option<Vec<Member>>,
    checks: Checks,
}

impl std::fmt::Debug for Zip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Zip")
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}

impl Zip {
    /// Reads and audits the directory of `source`; one page per record is touched, no data.
    ///
    /// # Errors
    ///
    /// `Malformed` for a zip that is cut off or contradicts itself, naming the record and the places; `Unsupported`
    /// for encryption, split zips and methods other than stored and deflated; `Limit` for more than
    /// [`Limits::records`] records.
    pub fn open(source: &ByteSource, limits: &Limits) -> Result<Self> {
        let directory = Directory::read(source, limits)?;
        source.expect(Access::Scattered);
        let records = audit::records(source, directory.at, &directory.entries);
        source.expect(Access::Runs);
        let records = records?;
        let names = audit::names(&records)?;
        let oddities = audit::gaps(&records, directory.at, directory.end, source.len() as u64)?;
        Ok(Self {
            records,
            names,
            oddities,
            limits: limits.clone(),
            source: source.clone(),
            inflater: OnceLock::new(),
            wreck: None,
            checks: Checks::new(source.len(), limits),
        })
    }

    /// What is left of a damaged zip, whatever is wrong with it: the members of its survey, of which bytes may be
    /// missing. Of several with one name it is the first that lies whole in the file, else the first.
    pub fn of_survey(source: &ByteSource, survey: &Survey, limits: &Limits) -> Self {
        let mut names = Names::new();
        let mut members: Vec<Member> = Vec::new();
        for member in survey.members.iter().filter(|member| member.readable) {
            let known = *names
                .entry(member.record.name.to_ascii_lowercase().into())
                .or_insert(members.len());
            match members.get_mut(known) {
                None => members.push(member.clone()),
                Some(first) if !first.is_whole() && member.is_whole() => *first = member.clone(),
                Some(_) => {}
            }
        }
        Self {
            source: source.clone(),
            records: members.iter().map(|member| member.record.clone()).collect(),
            names,
            oddities: Vec::new(),
            limits: limits.clone(),
            inflater: OnceLock::new(),
            wreck: Some(members),
            checks: Checks::new(source.len(), limits),
        }
    }

    /// Whether bytes of its records may be missing.
    pub fn is_wreck(&self) -> bool {
        self.wreck.is_some()
    }

    /// How many bytes a record of a damaged zip has, inflated, as far as they are there, and their CRC. It is read once,
    /// however often this is asked.
    ///
    /// # Errors
    ///
    /// `Malformed` where its data is damaged; `Limit` where it inflates too far, or all records together are far more
    /// than the file.
    pub fn checksum(&self, member: &Member) -> Result<(u64, u32)> {
        self.checks.of(member, &self.source, &self.limits)
    }

    /// How many bytes a record of a damaged zip has.
    ///
    /// # Errors
    ///
    /// As [`Zip::checksum`]; `Malformed` where its CRC is another.
    pub fn measure(&self, member: &Member) -> Result<u64> {
        let (len, crc32) = self.checksum(member)?;
        let stated = member.record.crc32;
        if stated != 0 && member.is_whole() && stated != crc32 {
            return Err(wrong_crc(&member.record, crc32));
        }
        Ok(len)
    }

    /// What was found of that record of a damaged zip.
    pub fn found(&self, name: &str) -> Option<&Member> {
        self.wreck.as_ref()?.get(self.position(name)?)
    }

    /// Every record, in the order of the central directory.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Runs of bytes that belong to no record: before, between and after them.
    pub fn oddities(&self) -> &[Oddity] {
        &self.oddities
    }

    /// The record of that full name. As in torch, upper and lower case are the same.
    pub fn find(&self, name: &str) -> Option<&Record> {
        self.position(name).map(|i| &self.records[i])
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.names.get(name.to_ascii_lowercase().as_str()).copied()
    }

    /// The root folder, without its slash: what torch takes the first record's name to begin with.
    pub fn root(&self) -> Option<&str> {
        let (root, _) = self.records.first()?.name.split_once('/')?;
        Some(root)
    }

    /// The record `name` inside the root folder: `data.pkl`, `data/0`.
    pub fn find_in_root(&self, name: &str) -> Option<&Record> {
        self.find(&format!("{}/{name}", self.root()?))
    }

    /// The bytes of a record as kept in the file: not inflated.
    pub fn stored(&self, record: &Record) -> &[u8] {
        let range = usize::try_from(record.data_at)
            .ok()
            .zip(usize::try_from(record.end()).ok());
        range
            .and_then(|(from, to)| self.source.get(from..to))
            .unwrap_or(&[]) // a record of another zip
    }

    /// The bytes of a record of which at most `most` make sense: borrowed where stored, inflated and checked against
    /// their CRC where deflated.
    ///
    /// # Errors
    ///
    /// `Malformed` if it has more than `most` bytes, before memory is taken, or if the deflated data is damaged,
    /// shorter or longer than declared, or has another CRC.
    pub fn read(&self, record: &Record, most: usize) -> Result<Cow<'_, [u8]>> {
        if record.len > most as u64 {
            let message = format!(
                "has {} bytes, it should have no more than {most}",
                record.len
            );
            return Err(Error::malformed(message).in_record(&record.name));
        }
        self.content(record, most)
    }

    /// The bytes of a record that holds a pickle, a header or code: at most `limit`, which is [`Limits::table`]'s
    /// `name`, and at most what [`Limits::inflate_ratio`] allows.
    ///
    /// # Errors
    ///
    /// `Limit` if it has more, before memory is taken; `Malformed` as [`Zip::read`].
    pub fn read_limited(
        &self,
        record: &Record,
        limit: usize,
        name: &'static str,
    ) -> Result<Cow<'_, [u8]>> {
        let inflated = self.limits.inflated(record.stored_len);
        within(record, limit, name).and_then(|()| ratio(record, inflated))?;
        self.content(record, inflated.min(limit))
    }

    /// The bytes of a record that holds a storage: at most [`Limits::tensor_bytes`] of the limits that the zip was
    /// opened with, and at most what [`Limits::inflate_ratio`] allows.
    ///
    /// # Errors
    ///
    /// As [`Zip::read_limited`].
    pub fn read_storage(&self, record: &Record) -> Result<Cow<'_, [u8]>> {
        let inflated = self.limits.inflated_storage(record.stored_len);
        within(record, self.limits.tensor_bytes, "tensor_bytes")
            .and_then(|()| ratio(record, inflated))?;
        self.content(record, inflated.min(self.limits.tensor_bytes))
    }

    /// `most`: of a damaged zip's records, whose headers may say anything.
    fn content(&self, record: &Record, most: usize) -> Result<Cow<'_, [u8]>> {
        if let Some(member) = self.found(&record.name) {
            let bytes = member.content(&self.source, most);
            let bytes = bytes.map_err(|e| e.in_record(&record.name))?;
            return match member.wrong_crc(&bytes) {
                Some(crc32) if record.method == Method::Deflated => Err(wrong_crc(record, crc32)),
                _ => Ok(bytes),
            };
        }
        match record.method {
            Method::Stored => Ok(Cow::Borrowed(self.stored(record))),
            Method::Deflated => {
                let bytes = self
                    .inflate(record)
                    .map_err(|e| e.in_record(&record.name))?;
                let crc32 = crc32fast::hash(&bytes);
                if crc32 != record.crc32 {
                    return Err(wrong_crc(record, crc32));
                }
                Ok(Cow::Owned(bytes))
            }
        }
    }

    /// Checks the bytes of a record, stored or deflated, against their declared CRC. Reads all of them.
    ///
    /// # Errors
    ///
    /// As [`Zip::read`].
    pub fn check_crc(&self, record: &Record, limit: usize) -> Result<()> {
        let crc32 = crc32fast::hash(&self.read(record, limit)?);
        if crc32 != record.crc32 {
            return Err(wrong_crc(record, crc32));
        }
        Ok(())
    }

    fn inflate(&self, record: &Record) -> Result<Vec<u8>> {
        let mut archive = self.inflater()?.clone(); // shares the directory
        let position = self.position(&record.name).unwrap_or(usize::MAX);
        // the CRC is checked by read(), with a message that says which it is
        let options = ZipReadOptions::new().ignore_crc32(true);
        let mut entry = archive
            .by_index_with_options(position, options)
            .map_err(|e| damaged(record, &e))?;
        if entry.header_start() != record.header_at
            || entry.data_start() != Some(record.data_at)
            || entry.size() != record.len
            || entry.compressed_size() != record.stored_len
        {
            return Err(Error::malformed(
                "two readers of this zip disagree about where it lies",
            ));
        }
        // grows as it comes, so that a declared size alone takes no memory; more than declared is an error of the crate,
        // and is cut off here if it were not
        let mut bytes = Vec::new();
        let mut data = entry.by_ref().take(record.len.saturating_add(1));
        data.read_to_end(&mut bytes)
            .map_err(|e| damaged(record, &e))?;
        if bytes.len() as u64 != record.len {
            return Err(Error::malformed(format!(
                "inflates to {} bytes, it should have {}",
                bytes.len(),
                record.len
            )));
        }
        Ok(bytes)
    }

    fn inflater(&self) -> Result<&ZipArchive<Cursor<ByteSource>>> {
        if let Some(archive) = self.inflater.get() {
            return Ok(archive);
        }
        let config = Config {
            archive_offset: ArchiveOffset::Known(0),
        };
        let archive = ZipArchive::with_config(config, Cursor::new(self.source.clone()))
            .map_err(|e| Error::malformed(format!("the zip's directory: {e}")))?;
        Ok(self.inflater.get_or_init(|| archive))
    }
}

fn within(record: &Record, limit: usize, name: &str) -> Result<()> {
    if record.len <= limit as u64 {
        return Ok(());
    }
    let message = format!("has {} bytes, the limit is {limit} ({name})", record.len);
    Err(Error::limit(message).in_record(&record.name))
}

fn ratio(record: &Record, most: usize) -> Result<()> {
    if record.method == Method::Stored || record.len <= most as u64 {
        return Ok(());
    }
    Err(Error::limit(format!(
        "inflates from {} bytes to {}, the limit is {most} (inflate_ratio)",
        record.stored_len, record.len
    ))
    .in_record(&record.name))
}

fn damaged(record: &Record, error: &dyn std::error::Error) -> Error {
    Error::malformed(format!(
        "its deflated data at byte {} is damaged: {error}",
        record.data_at
    ))
}

fn wrong_crc(record: &Record, crc32: u32) -> Error {
    Error::malformed(format!(
        "its bytes (from byte {} of the file) have the CRC {crc32:08x}, it should be {:08x}: they are damaged",
        record.data_at, record.crc32
    ))
    .in_record(&record.name)
}
