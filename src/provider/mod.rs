//! Models behind one streaming trait.
//!
//! Wire formats, retries, breaker and prices; the only room with an HTTP client.
