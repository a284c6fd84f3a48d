//! `cargo +nightly fuzz run recover fuzz/corpus/recover fixtures/checkpoints fixtures/malformed -- -rss_limit_mb=1024`
#![no_main]

use libfuzzer_sys::fuzz_target;
use pthinspect::bytes::Limits;
use pthinspect::checkpoint::Salvage;

fuzz_target!(|bytes: &[u8]| {
    let mut limits = Limits::default();
    limits.pickle_memory = 64 << 20;
    limits.pickle_steps = 1 << 20;
    limits.tensor_bytes = 16 << 20;
    let Ok(salvage) = Salvage::from_bytes("model.pth", bytes.to_vec(), &limits) else {
        return;
    };
    assert_eq!(salvage.damage.len(), salvage.checkpoint.storages().len());
    for tensor in salvage.checkpoint.tensors().iter().take(64) {
        let strided = tensor.storage.is_some() && tensor.nbytes() <= limits.tensor_bytes;
        if salvage.lost(tensor).is_none() && strided {
            let view = salvage.checkpoint.view(tensor).expect("its bytes are there");
            assert_eq!(view.to_bytes().expect("memory").len(), tensor.nbytes());
        }
    }
});
