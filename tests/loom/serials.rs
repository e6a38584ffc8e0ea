//! The serials of machines without atomics of 64 bits, drawn by two threads.

use std::sync::OnceLock;

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

use crate::floor::narrow::wide::Wide;
use crate::sync::Arc;

/// Loom's atomic, made when it is first used: the counter is made by a `const fn`.
#[derive(Debug)]
pub(crate) struct Half {
    first: u32,
    word: OnceLock<AtomicU32>,
}

impl Half {
    pub(crate) const fn new(first: u32) -> Self {
        Self { first, word: OnceLock::new() }
    }

    fn word(&self) -> &AtomicU32 {
        self.word.get_or_init(|| AtomicU32::new(self.first))
    }

    pub(crate) fn load(&self, ordering: Ordering) -> u32 {
        self.word().load(ordering)
    }

    pub(crate) fn fetch_add(&self, count: u32, ordering: Ordering) -> u32 {
        self.word().fetch_add(count, ordering)
    }
}

/// C6: two threads draw while the low word passes the middle of its range: no number comes twice, and none is left
/// out.
///
/// Faults: `late_note_taken_as_it_is`.
#[test]
fn two_draw_past_an_edge() {
    const EDGE: u32 = 1 << 31;
    loom::model(|| {
        let serials = Arc::new(Wide::new(EDGE - 2));
        serials.draw(0); // both words are there before the threads
        let others = serials.clone();
        let other = thread::spawn(move || [others.draw(1), others.draw(1)]);
        let own = [serials.draw(1), serials.draw(1)];
        let other = other.join().expect("ends");
        assert!(own.is_sorted() && other.is_sorted(), "{own:?} {other:?}");
        let mut all = [own, other].concat();
        all.sort();
        let edge = u64::from(EDGE);
        assert_eq!(all, [edge - 2, edge - 1, edge, edge + 1]);
    });
}
