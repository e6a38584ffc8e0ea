//! Atomics and an `Arc` that count the read-modify-writes of each thread, for the unit tests.

use alloc::sync;
use core::fmt;
use core::ops::Deref;
use std::cell::Cell;

use super::fixed::{Ordering, plain as atomic};

std::thread_local! {
    static DONE: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread that ends goes on counting for nobody.
    let _ = DONE.try_with(|done| done.set(done.get() + 1));
}

/// How many read-modify-writes `f` makes on this thread.
pub(crate) fn exchanges(f: impl FnOnce()) -> usize {
    let before = DONE.get();
    f();
    DONE.get() - before
}

macro_rules! counted {
    ($name:ident $(<$of:ident>)?, $value:ty, $($also:ident),*) => {
        pub(crate) struct $name$(<$of>)?(atomic::$name$(<$of>)?);

        impl$(<$of>)? fmt::Debug for $name$(<$of>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        #[allow(dead_code)] // not each is used of each
        impl$(<$of>)? $name$(<$of>)? {
            pub(crate) const fn new(value: $value) -> Self {
                Self(atomic::$name::new(value))
            }

            pub(crate) fn load(&self, order: Ordering) -> $value {
                self.0.load(order)
            }

            pub(crate) fn store(&self, value: $value, order: Ordering) {
                self.0.store(value, order);
            }

            pub(crate) fn compare_exchange(
                &self,
                old: $value,
                new: $value,
                order: Ordering,
                failed: Ordering,
            ) -> Result<$value, $value> {
                count();
                self.0.compare_exchange(old, new, order, failed)
            }

            pub(crate) fn compare_exchange_weak(
                &self,
                old: $value,
                new: $value,
                order: Ordering,
                failed: Ordering,
            ) -> Result<$value, $value> {
                count();
                self.0.compare_exchange_weak(old, new, order, failed)
            }

            counted!(@each $value, swap $(, $also)*);
        }
    };
    (@each $value:ty, $($method:ident),*) => {
        $(pub(crate) fn $method(&self, value: $value, order: Ordering) -> $value {
            count();
            self.0.$method(value, order)
        })*
    };
}

counted!(AtomicUsize, usize, fetch_add, fetch_sub, fetch_and, fetch_or);
counted!(AtomicU32, u32, fetch_add, fetch_sub);
counted!(AtomicU64, u64, fetch_add);
counted!(AtomicPtr<T>, *mut T,);

impl Default for AtomicU64 {
    fn default() -> Self {
        Self::new(0)
    }
}

/// An `Arc` whose clones and drops are counted.
pub(crate) struct Arc<T>(sync::Arc<T>);

impl<T> Arc<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(sync::Arc::new(value))
    }

    pub(crate) fn strong_count(this: &Self) -> usize {
        sync::Arc::strong_count(&this.0)
    }
}

impl<T: fmt::Debug> fmt::Debug for Arc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T> Clone for Arc<T> {
    fn clone(&self) -> Self {
        count();
        Self(self.0.clone())
    }
}

impl<T> Drop for Arc<T> {
    fn drop(&mut self) {
        count();
    }
}

impl<T> Deref for Arc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
