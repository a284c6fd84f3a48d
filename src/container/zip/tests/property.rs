//! Zips that nobody wrote, and zips that the `zip` crate wrote: it is the oracle.

use std::io::Write;

use proptest::prelude::*;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::{TORCH, deflated, open};

/// Everything in a file that must not panic, whatever the bytes.
fn must_not_panic(bytes: &[u8]) {
    if let Ok(zip) = open(bytes) {
        for record in zip.records() {
            let _ = zip.read(record, 1 << 16);
            let _ = zip.check_crc(record, 1 << 16);
            assert!(zip.stored(record).len() as u64 == record.stored_len);
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>()) {
        must_not_panic(&bytes);
    }

    #[test]
    fn mutated_zips_never_panic(deflate in any::<bool>(), edits in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..5)) {
        let mut file = if deflate { deflated("m/data.pkl", &b"abc".repeat(50)) } else { TORCH.to_vec() };
        // the directory is where changes matter
        let from = if deflate { 0 } else { file.len() / 2 };
        for (at, byte) in edits {
            let at = from + at.index(file.len() - from);
            file[at] = byte;
        }
        must_not_panic(&file);
    }

    /// The `zip` crate is the oracle: what it writes is read, and both readers see the same.
    #[test]
    fn agrees_with_the_zip_crate(files in prop::collection::btree_map("[a-z]{1,8}", (any::<Vec<u8>>(), any::<bool>()), 0..6)) {
        let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, (data, deflate)) in &files {
            let method = if *deflate { CompressionMethod::Deflated } else { CompressionMethod::Stored };
            let options = SimpleFileOptions::default().compression_method(method);
            writer.start_file(name.as_str(), options).unwrap();
            writer.write_all(data).unwrap();
        }
        let file = writer.finish().unwrap().into_inner();
        let ours = open(&file).unwrap();
        let mut theirs = zip::ZipArchive::new(std::io::Cursor::new(file)).unwrap();
        prop_assert_eq!(ours.records().len(), theirs.len());
        prop_assert_eq!(ours.oddities(), []);
        for (i, record) in ours.records().iter().enumerate() {
            let entry = theirs.by_index(i).unwrap();
            prop_assert_eq!(entry.name().unwrap(), record.name.as_str());
            prop_assert_eq!(entry.header_start(), record.header_at);
            prop_assert_eq!(entry.data_start(), Some(record.data_at));
            prop_assert_eq!((entry.size(), entry.compressed_size()), (record.len, record.stored_len));
            prop_assert_eq!(entry.crc32(), record.crc32);
            prop_assert_eq!(&*ours.read(record, 1 << 20).unwrap(), &files[&record.name].0[..]);
        }
    }
}
