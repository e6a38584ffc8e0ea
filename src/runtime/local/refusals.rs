//! The drop of futures that were refused on the loop's own thread.
//!
//! A destructor may spawn a future whose destructor spawns again. When the loop accepts nothing any more, each
//! such future is dropped inside the drop of the one before. A few levels of that are allowed, so that the handle
//! has its answer at once. Futures that are refused deeper are dropped after those, one by one; and if that does
//! not end, the rest is leaked, because the loop has to end (H9).

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::mem;

use crate::error::discard;

/// How many refused futures are dropped inside of one another.
const NESTED: u32 = 8;
/// How many more are dropped after them.
const LATE: usize = 1_000;

/// The refused futures of one loop that are being dropped.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    depth: Cell<u32>,
    late: RefCell<Vec<Box<dyn Any>>>,
}

impl Refusals {
    /// Lets `end` drop a refused future. `None`: it is dropped later.
    pub(super) fn end<T: 'static, R>(&self, refused: T, end: impl FnOnce(T) -> R) -> Option<R> {
        let depth = self.depth.get();
        if depth == NESTED {
            self.late.borrow_mut().push(Box::new(refused));
            return None;
        }
        self.depth.set(depth + 1);
        let result = end(refused);
        if depth == 0 {
            self.drop_late();
        }
        self.depth.set(depth);
        Some(result)
    }

    fn drop_late(&self) {
        for _ in 0..LATE {
            let Some(refused) = self.late.borrow_mut().pop() else { return };
            discard(refused);
        }
        mem::take(&mut *self.late.borrow_mut()).into_iter().for_each(mem::forget);
    }
}
