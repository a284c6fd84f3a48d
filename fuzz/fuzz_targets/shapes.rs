//! `cargo +nightly fuzz run shapes fuzz/corpus/shapes fixtures/shapes -- -rss_limit_mb=1024`
#![no_main]

use libfuzzer_sys::fuzz_target;
use pthinspect::bytes::Limits;
use pthinspect::checkpoint::Checkpoint;
use pthinspect::shapes::{Walk, WalkOptions};

fuzz_target!(|bytes: &[u8]| {
    let mut limits = Limits::default();
    limits.pickle_memory = 64 << 20;
    limits.pickle_steps = 1 << 20;
    limits.program_steps = 1 << 16;
    let Ok(checkpoint) = Checkpoint::from_bytes("model.pt", bytes.to_vec(), &limits) else {
        return;
    };
    for shape in [vec![1, 1, 28, 28], vec![2, 3, 32, 32], vec![0, 7], vec![usize::MAX, 3]] {
        let options = WalkOptions {
            inputs: vec![(None, shape)],
            ..WalkOptions::default()
        };
        let _ = Walk::of(&checkpoint, &options, &limits);
    }
});
