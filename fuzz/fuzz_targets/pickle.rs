//! `cargo +nightly fuzz run pickle fuzz/corpus/pickle fuzz/seeds/pickle -- -rss_limit_mb=256`
#![no_main]

use libfuzzer_sys::fuzz_target;
use pthinspect::bytes::Limits;
use pthinspect::pickle::{self, Listing};

fuzz_target!(|bytes: &[u8]| {
    let mut limits = Limits::default();
    limits.pickle_memory = 16 << 20;
    limits.pickle_steps = 1 << 20;
    if let Ok(graph) = pickle::read(bytes, &limits) {
        assert_eq!(graph.values.len(), graph.offsets.len());
        assert!(graph.consumed <= bytes.len());
        // what was run can be listed
        assert!(Listing::new(bytes, &limits).all(|line| line.is_ok()));
    } else {
        Listing::new(bytes, &limits).for_each(drop);
    }
});
