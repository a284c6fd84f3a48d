//! `cargo +nightly fuzz run container fuzz/corpus/container fuzz/seeds/container -- -rss_limit_mb=256`
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use pthinspect::bytes::{ByteSource, Limits};
use pthinspect::container::{FileKind, Zip};

fuzz_target!(|bytes: &[u8]| {
    let _ = FileKind::detect(bytes, Path::new("model.pth")).known();
    let Ok(zip) = Zip::open(&ByteSource::from(bytes.to_vec()), &Limits::default()) else {
        return;
    };
    for record in zip.records() {
        assert_eq!(zip.stored(record).len() as u64, record.stored_len);
        if let Ok(data) = zip.read(record, 1 << 20) {
            assert_eq!(data.len() as u64, record.len);
        }
        assert_eq!(zip.find(&record.name), Some(record));
    }
});
