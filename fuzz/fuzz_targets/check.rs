//! `cargo +nightly fuzz run check fuzz/corpus/check fixtures/checkpoints fixtures/malformed -- -rss_limit_mb=1024`
#![no_main]

use libfuzzer_sys::fuzz_target;
use pthinspect::bytes::Limits;
use pthinspect::check::check_bytes;

fuzz_target!(|bytes: &[u8]| {
    let mut limits = Limits::default();
    limits.pickle_memory = 64 << 20;
    limits.pickle_steps = 1 << 20;
    let Ok(report) = check_bytes("model.pth", bytes.to_vec(), &limits, true) else {
        return;
    };
    let mut at = 0;
    for span in report.map.expect("it was asked for") {
        assert!(span.from == at && span.to > at);
        at = span.to;
    }
    assert_eq!(at, bytes.len() as u64);
});
