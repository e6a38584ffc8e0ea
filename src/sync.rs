//! The one switch between real and modelled concurrency: atomics, cells and `Arc` come from here.
//!
//! With `--cfg loom` they are loom's, so that `tests/loom.rs` can run the task floor under every
//! interleaving; with `--cfg shuttle` they are shuttle's, so that `tests/shuttle.rs` can run whole
//! scenarios under many; otherwise they are those of `core` and `alloc`. No other file names an atomic
//! module. Locks are here too, channels, and where threads start and wait, for the protocols of the shell that are modelled.

#[cfg(any(loom, shuttle))]
pub(crate) mod channel;
#[cfg(all(test, not(any(loom, shuttle)), feature = "std", target_has_atomic = "64"))]
pub(crate) mod counted;
#[cfg(feature = "std")]
mod monitor;
#[cfg(any(test, not(target_has_atomic = "64")))]
mod wide;

#[cfg(any(loom, shuttle))]
pub(crate) use self::modelled::*;
#[cfg(feature = "std")]
pub(crate) use self::monitor::Monitor;
#[cfg(not(any(loom, shuttle)))]
pub(crate) use self::real::*;

/// Atomics that sit in a `static`, which loom's cannot: counters that no protocol depends on. A
/// `Counter` has the size of a pointer where there is none of 64 bits.
pub(crate) mod fixed {
    #[cfg(any(test, not(target_has_atomic = "64")))]
    pub(crate) use core::sync::atomic::AtomicU32 as Half;
    #[cfg(all(
        target_has_atomic = "64",
        not(all(test, not(any(loom, shuttle)), feature = "std"))
    ))]
    pub(crate) use core::sync::atomic::AtomicU64 as Counter;
    #[cfg(not(target_has_atomic = "64"))]
    pub(crate) use core::sync::atomic::AtomicUsize as Counter;
    pub(crate) use core::sync::atomic::Ordering;

    #[cfg(all(test, not(any(loom, shuttle)), feature = "std", target_has_atomic = "64"))]
    pub(crate) use super::counted::AtomicU64 as Counter;

    /// What is counted.
    #[cfg(all(test, not(any(loom, shuttle)), feature = "std", target_has_atomic = "64"))]
    pub(crate) mod plain {
        pub(crate) use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize};
    }

    #[cfg(not(target_has_atomic = "64"))]
    pub(crate) use super::wide::Wide as Serial;

    /// A counter whose numbers never come again: at one in a nanosecond it lasts 584 years.
    #[cfg(target_has_atomic = "64")]
    #[derive(Debug)]
    pub(crate) struct Serial(Counter);

    #[cfg(target_has_atomic = "64")]
    impl Serial {
        pub(crate) const fn new(first: u32) -> Self {
            Self(Counter::new(first as u64))
        }

        /// Draws `count` numbers in a row and returns the first.
        #[inline]
        pub(crate) fn draw(&self, count: u16) -> u64 {
            // ORDERING: Relaxed: the counter's own modification order makes the numbers distinct
            // and, for each thread, increasing; nothing else is published through it.
            self.0.fetch_add(count.into(), Ordering::Relaxed)
        }
    }
}

/// Orders a sequentially consistent write before it and a read behind it in models: loom takes such accesses
/// for acquire and release (loom#180), and knows this fence. Elsewhere the accesses are enough.
#[inline(always)]
pub(crate) fn order_for_models() {
    // ORDERING: SeqCst, paired with the same fence of the other side, `park` with `ring`: of the two reads
    // behind them one at least sees the write before the other's fence.
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
}

#[cfg(not(loom))]
mod lent {
    /// `core`'s cell with loom's interface: the pointer is lent to a closure.
    #[derive(Debug)]
    #[repr(transparent)]
    pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(core::cell::UnsafeCell::new(value))
        }

        #[inline(always)]
        pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }
}

#[cfg(not(any(loom, shuttle)))]
mod real {
    pub(crate) use super::lent::UnsafeCell;
    #[cfg(not(all(test, feature = "std", target_has_atomic = "64")))]
    pub(crate) use alloc::sync::Arc;
    pub(crate) use core::sync::atomic::Ordering;
    #[cfg(not(all(test, feature = "std", target_has_atomic = "64")))]
    pub(crate) use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize};

    #[cfg(all(test, feature = "std", target_has_atomic = "64"))]
    pub(crate) use super::counted::{Arc, AtomicPtr, AtomicU32, AtomicUsize};

    #[cfg(feature = "std")]
    pub(crate) use parking_lot::{Mutex, MutexGuard};

    #[cfg(feature = "std")]
    pub(crate) use crossbeam_channel as channel;

    /// A thread that was started, to be joined or let go.
    #[cfg(feature = "std")]
    #[derive(Debug)]
    pub(crate) struct Thread {
        thread: std::thread::JoinHandle<()>,
        process: u32,
    }

    #[cfg(feature = "std")]
    impl Thread {
        /// Waits until the thread has ended. In a forked child, where it is not, there is nothing to wait for.
        pub(crate) fn join(self) {
            if self.process == std::process::id() {
                let _ = self.thread.join();
            }
        }
    }

    /// Starts a thread.
    #[cfg(feature = "std")]
    pub(crate) fn start_thread(
        name: &str,
        f: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Thread> {
        let thread = std::thread::Builder::new().name(name.into()).spawn(f)?;
        Ok(Thread { thread, process: std::process::id() })
    }

    /// What rouses those who wait under a lock.
    #[cfg(feature = "std")]
    #[derive(Debug, Default)]
    pub(crate) struct Condvar(parking_lot::Condvar);

    #[cfg(feature = "std")]
    impl Condvar {
        /// Gives the lock up until the bell rings; says whether the deadline has come.
        #[inline]
        pub(super) fn wait<'a, T>(
            &self,
            mut guard: MutexGuard<'a, T>,
            deadline: Option<std::time::Instant>,
        ) -> (MutexGuard<'a, T>, bool) {
            let over = match deadline {
                None => {
                    self.0.wait(&mut guard);
                    false
                }
                Some(at) => self.0.wait_until(&mut guard, at).timed_out(),
            };
            (guard, over)
        }

        #[inline]
        pub(super) fn ring(&self) {
            self.0.notify_all();
        }
    }

    #[cfg(feature = "std")]
    std::thread_local! {
        /// The loop whose run the thread is inside: the address of its run queues, or null.
        static CURRENT: core::cell::Cell<*const ()> = const { core::cell::Cell::new(core::ptr::null()) };

        /// What waits on this thread until the output that is dropped on it is gone.
        static LATE: core::cell::Cell<*const ()> = const { core::cell::Cell::new(core::ptr::null()) };
    }

    /// What waits until the output that this thread is dropping is gone; null if it drops none.
    ///
    /// Without `std` the answer is always null: nothing belongs to a thread.
    pub(crate) fn late<T>() -> *const T {
        #[cfg(feature = "std")]
        return LATE.get().cast();
        #[cfg(not(feature = "std"))]
        core::ptr::null()
    }

    pub(crate) fn set_late<T>(late: *const T) {
        #[cfg(feature = "std")]
        LATE.set(late.cast());
        #[cfg(not(feature = "std"))]
        let _ = late;
    }

    /// The loop whose run this thread is inside, as the address of its run queues; null for none.
    ///
    /// Without `std` there is no thread-local storage, every wake takes the remote path, and the
    /// answer is always null.
    #[inline(always)]
    pub(crate) fn current() -> *const () {
        #[cfg(feature = "std")]
        return CURRENT.get();
        #[cfg(not(feature = "std"))]
        core::ptr::null()
    }

    /// Makes `loop_` the current loop of this thread and returns the one that was.
    #[inline]
    pub(crate) fn replace_current(loop_: *const ()) -> *const () {
        #[cfg(feature = "std")]
        return CURRENT
            .try_with(|current| current.replace(loop_)) // `replace` would not be inlined
            .unwrap_or(core::ptr::null());
        #[cfg(not(feature = "std"))]
        {
            let _ = loop_;
            core::ptr::null()
        }
    }
}

#[cfg(any(loom, shuttle))]
mod modelled {
    #[cfg(loom)]
    pub(crate) use loom::cell::UnsafeCell;
    #[cfg(loom)]
    pub(super) use loom::thread;
    #[cfg(loom)]
    use loom::{sync, thread_local};
    #[cfg(shuttle)]
    pub(super) use shuttle::thread;
    #[cfg(shuttle)]
    use shuttle::{sync, thread_local};

    #[cfg(shuttle)]
    pub(crate) use super::lent::UnsafeCell;
    pub(crate) use sync::Arc;
    pub(crate) use sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

    pub(crate) use sync::MutexGuard;

    /// As the real one.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("models do not panic under a lock")
        }
    }

    /// As the real one, but that a deadline has come already: then the lock is not given up.
    #[derive(Debug, Default)]
    pub(crate) struct Condvar(sync::Condvar);

    impl Condvar {
        pub(super) fn wait<'a, T>(
            &self,
            guard: MutexGuard<'a, T>,
            deadline: Option<std::time::Instant>,
        ) -> (MutexGuard<'a, T>, bool) {
            if deadline.is_some() {
                return (guard, true);
            }
            (self.0.wait(guard).expect("models do not panic under a lock"), false)
        }

        pub(super) fn ring(&self) {
            self.0.notify_all();
        }
    }

    /// As the real one.
    #[derive(Debug)]
    pub(crate) struct Thread(thread::JoinHandle<()>);

    impl Thread {
        pub(crate) fn join(self) {
            self.0.join().expect("models do not panic");
        }
    }

    /// As the real one; it always starts.
    pub(crate) fn start_thread(
        _name: &str,
        f: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Thread> {
        Ok(Thread(thread::spawn(f)))
    }

    thread_local! {
        static CURRENT: core::cell::Cell<*const ()> = core::cell::Cell::new(core::ptr::null());
        static LATE: core::cell::Cell<*const ()> = core::cell::Cell::new(core::ptr::null());
    }

    pub(crate) fn late<T>() -> *const T {
        LATE.with(core::cell::Cell::get).cast()
    }

    pub(crate) fn set_late<T>(late: *const T) {
        LATE.with(|own| own.set(late.cast()));
    }

    pub(crate) fn current() -> *const () {
        CURRENT.with(core::cell::Cell::get)
    }

    pub(crate) fn replace_current(loop_: *const ()) -> *const () {
        CURRENT.with(|current| current.replace(loop_))
    }
}
