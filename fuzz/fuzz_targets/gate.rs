//! The gate judges every text, and another clause never makes its verdict milder.
#![no_main]

use grafter::guard::{
    gate::{ShellFacts, judge},
    shell::parse::parse,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let facts = ShellFacts {
        root: "/repo".to_owned(),
        cwd: "/repo".to_owned(),
        home: "/home/ada".to_owned(),
        ..ShellFacts::default()
    };
    let text = String::from_utf8_lossy(bytes);
    let alone = judge(&text, &facts);
    let more = judge(&format!("true; {text}"), &facts);
    // A text that does not end where it did is another text.
    if parse(&text).is_ok() {
        assert!(alone.verdict <= more.verdict, "{text:?}");
    }
});
