//! `cargo +nightly fuzz run legacy fuzz/corpus/legacy fuzz/seeds/legacy -- -rss_limit_mb=1024`
//!
//! Legacy streams, tars and plain pickles. A stream's magic number is put in front of what begins with no known kind, so
//! that the fuzzer need not find those bytes itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pthinspect::bytes::Limits;
use pthinspect::checkpoint::Checkpoint;

const MAGIC: &[u8] = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.";

fuzz_target!(|bytes: &[u8]| {
    let mut limits = Limits::default();
    limits.pickle_memory = 64 << 20;
    limits.pickle_steps = 1 << 20;
    limits.tensor_bytes = 16 << 20;
    let known = bytes.starts_with(b"\x80") || bytes.get(257..262) == Some(b"ustar");
    let file = if known { bytes.to_vec() } else { [MAGIC, bytes].concat() };
    let length = file.len() as u64;
    let Ok(checkpoint) = Checkpoint::from_bytes("model.pth", file, &limits) else {
        return;
    };
    for (number, storage) in checkpoint.storages().iter().enumerate() {
        if let Some(offset) = storage.file_offset {
            assert!(offset + storage.nbytes as u64 <= length);
        }
        if let Some((root, start)) = storage.view_of {
            assert!(start + storage.nbytes <= checkpoint.storages()[root.0].nbytes);
        }
        let id = pthinspect::checkpoint::StorageId(number);
        assert_eq!(checkpoint.storage_bytes(id).map(|b| b.len()).ok(), Some(storage.nbytes));
    }
    for tensor in checkpoint.tensors().iter().take(64) {
        if let Ok(view) = checkpoint.view(tensor) {
            let mut out = Vec::new();
            view.write_logical(&mut out).expect("a Vec");
            assert_eq!(out.len(), tensor.nbytes());
        }
    }
});
