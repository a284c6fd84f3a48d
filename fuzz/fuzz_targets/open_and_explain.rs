//! `cargo +nightly fuzz run open_and_explain fuzz/corpus/open_and_explain fixtures/checkpoints -- -rss_limit_mb=1024`
#![no_main]

use libfuzzer_sys::fuzz_target;
use pthinspect::bytes::Limits;
use pthinspect::checkpoint::Checkpoint;

fuzz_target!(|bytes: &[u8]| {
    let mut limits = Limits::default();
    limits.pickle_memory = 64 << 20;
    limits.pickle_steps = 1 << 20;
    limits.tensor_bytes = 16 << 20;
    let Ok(checkpoint) = Checkpoint::from_bytes("model.pth", bytes.to_vec(), &limits) else {
        return;
    };
    let nodes = &checkpoint.tree().nodes;
    assert!(nodes.iter().flat_map(|node| &node.children).all(|child| child.0 < nodes.len()));
    for tensor in checkpoint.tensors().iter().take(64) {
        if let Some(offset) = checkpoint.file_offset(tensor) {
            assert!(offset < bytes.len() as u64);
        }
        if let Ok(view) = checkpoint.view(tensor) {
            let mut out = Vec::new();
            view.write_logical(&mut out).expect("a Vec");
            assert_eq!(out.len(), tensor.nbytes());
        }
        let _ = checkpoint.find_layer(&tensor.name);
    }
});
