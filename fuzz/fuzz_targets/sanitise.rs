//! The sanitiser takes every text, and taking it twice is taking it once.
#![no_main]

use grafter::guard::sanitise::sanitise;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let once = sanitise(&text);
    assert_eq!(sanitise(&once), once);
    assert!(!once.contains('\u{1b}'));
});
