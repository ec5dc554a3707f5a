//! Output within bounds: the first 60 % and the last 40 % of what a command prints.
//!
//! Memory never passes the cap, however much comes.

use std::collections::VecDeque;

/// Keeps the head and the tail of a stream.
#[derive(Debug)]
pub(super) struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    head_cap: usize,
    tail_cap: usize,
    dropped: u64,
}

impl Capture {
    /// Returns an empty capture that keeps `cap` bytes.
    pub(super) fn new(cap: usize) -> Self {
        let head_cap = cap - cap / 5 * 2;
        Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            head_cap,
            tail_cap: cap - head_cap,
            dropped: 0,
        }
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let to_head = bytes.len().min(self.head_cap - self.head.len());
        self.head.extend_from_slice(&bytes[..to_head]);
        let rest = &bytes[to_head..];
        let skipped = rest.len().saturating_sub(self.tail_cap);
        let kept = &rest[skipped..];
        let over = (self.tail.len() + kept.len()).saturating_sub(self.tail_cap);
        self.tail.drain(..over);
        self.tail.extend(kept);
        self.dropped += (skipped + over) as u64;
    }

    /// Returns what was kept and how many bytes between head and tail were not.
    pub(super) fn finish(self) -> (Vec<u8>, u64) {
        let mut kept = self.head;
        kept.extend(self.tail);
        (kept, self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    use super::Capture;

    #[test]
    fn the_middle_is_cut() {
        let mut capture = Capture::new(10);
        capture.push(b"0123456789abcdefghij");
        assert_eq!(capture.finish(), (b"012345ghij".to_vec(), 10));
    }

    proptest! {
        #[test]
        fn head_and_tail_are_the_streams_own(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12),
            cap in 0_usize..100,
        ) {
            let whole: Vec<u8> = chunks.concat();
            let mut capture = Capture::new(cap);
            for chunk in &chunks {
                capture.push(chunk);
            }
            let (kept, dropped) = capture.finish();
            prop_assert!(kept.len() <= cap);
            prop_assert_eq!(kept.len() as u64 + dropped, whole.len() as u64);
            let head = kept.len().min(cap - cap / 5 * 2);
            prop_assert_eq!(&kept[..head], &whole[..head]);
            prop_assert!(whole.ends_with(&kept[head..]));
        }
    }
}
