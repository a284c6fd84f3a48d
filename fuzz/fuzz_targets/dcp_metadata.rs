//! `cargo +nightly fuzz run dcp_metadata fuzz/corpus/dcp_metadata fuzz/seeds/dcp_metadata -- -rss_limit_mb=512`
#![no_main]

use libfuzzer_sys::fuzz_target;
use pthinspect::bytes::Limits;
use pthinspect::checkpoint::distributed_names;

fuzz_target!(|bytes: &[u8]| {
    let mut limits = Limits::default();
    limits.pickle_memory = 64 << 20;
    limits.pickle_steps = 1 << 20;
    if let Ok(names) = distributed_names(bytes, &limits) {
        assert!(names.len() <= bytes.len());
    }
});
