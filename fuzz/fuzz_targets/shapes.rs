#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|bytes: &[u8]| pthinspect_fuzz::targets::shapes(bytes));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    pthinspect_fuzz::mutate_zip(data, size, max_size, seed, fuzzer_mutate)
});
