#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fleet_fuzz_targets::run("snapshots", data));
