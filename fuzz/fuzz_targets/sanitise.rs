//! The sanitiser takes every text, and taking it twice is taking it once.
#![no_main]

use grafter::guard::sanitise::{clean::clean, secrets::Known};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let known = Known::default();
    let once = clean(&text, &known);
    assert_eq!(clean(&once, &known), once);
    assert!(!once.contains('\u{1b}'));
});
