//! Fuzz target: records of known shapes against the walk (tests/it/naive/target.rs).
#![no_main]

#[path = "../../tests/it/naive/mod.rs"]
#[allow(dead_code, reason = "other targets use it")]
mod naive;

libfuzzer_sys::fuzz_target!(|data: &[u8]| naive::target::shapes(data));
