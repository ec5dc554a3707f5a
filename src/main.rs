//! The `grafter` binary: hands over to the library's command line.

fn main() {}
