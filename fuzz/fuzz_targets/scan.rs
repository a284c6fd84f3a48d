//! `cargo +nightly fuzz run scan fuzz/corpus/scan fixtures/malicious fixtures/checkpoints -- -rss_limit_mb=1024`
#![no_main]

use libfuzzer_sys::fuzz_target;
use pthinspect::scan::{Level, Options, scan_bytes};

fuzz_target!(|bytes: &[u8]| {
    let mut options = Options::default();
    options.limits.pickle_memory = 64 << 20;
    options.limits.pickle_steps = 1 << 20;
    let Ok(report) = scan_bytes("model.pth", bytes.to_vec(), &options) else {
        return;
    };
    let worst = report.findings.iter().map(|finding| finding.level).max();
    assert_eq!(report.verdict, worst.unwrap_or(Level::Inert));
    // a name that nobody vouches for is never passed over
    assert!(report.verdict > Level::Inert || report.names.iter().all(|name| name.level == Level::Inert));
});
