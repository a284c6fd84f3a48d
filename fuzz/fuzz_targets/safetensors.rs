//! `cargo +nightly fuzz run safetensors fuzz/corpus/safetensors fixtures/checkpoints -- -rss_limit_mb=256`
#![no_main]

use libfuzzer_sys::fuzz_target;
use pthinspect::bytes::Limits;
use pthinspect::safetensors::Header;

fuzz_target!(|bytes: &[u8]| {
    let Ok(header) = Header::read(bytes, &Limits::default()) else {
        return;
    };
    let described: usize = header.entries.iter().map(|entry| entry.data.len()).sum();
    assert_eq!(header.data_at + described, bytes.len());
    for entry in &header.entries {
        let name: String = serde_json::from_slice(&bytes[entry.key_span.clone()]).expect("a name");
        assert_eq!(name, entry.name);
    }
});
