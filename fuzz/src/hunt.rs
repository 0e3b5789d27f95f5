//! One target under libFuzzer, by the name in `ROADBED_FUZZ_TARGET`: `cargo xtask fuzz` builds and starts it.

#![no_main]
#![expect(unsafe_code, reason = "libFuzzer calls us by a C symbol, which its macro declares")]

use std::sync::LazyLock;

static TARGET: LazyLock<fuzz::Target> = LazyLock::new(|| {
    let name = std::env::var("ROADBED_FUZZ_TARGET").unwrap_or_default();
    fuzz::target(&name).unwrap_or_else(|| panic!("ROADBED_FUZZ_TARGET={name:?} is no target"))
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET(bytes));
