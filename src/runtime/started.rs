//! The answer of a thread that was started: it comes, or the thread ends without one.
//!
//! Who waits is let go by the drop of the promise, kept or broken, so that no way out of the thread,
//! a panic included, leaves it waiting. Modelled in `tests/loom/gates.rs`.

use parking_lot::Mutex;

use crate::sync::{Arc, AtomicUsize, Monitor, Ordering};

/// Where the answer is left.
struct Place<T> {
    /// 1 when there is nothing more to wait for.
    over: AtomicUsize,
    value: Mutex<Option<T>>,
    waiting: Monitor,
}

/// The started thread's end.
pub(crate) struct Promise<T>(Arc<Place<T>>);

/// The end of who waits.
pub(crate) struct Answer<T>(Arc<Place<T>>);

pub(crate) fn promise<T>() -> (Promise<T>, Answer<T>) {
    let (over, value) = (AtomicUsize::new(0), Mutex::new(None));
    let place = Arc::new(Place { over, value, waiting: Monitor::default() });
    (Promise(place.clone()), Answer(place))
}

impl<T> Promise<T> {
    /// Answers.
    pub(crate) fn keep(self, value: T) {
        *self.0.value.lock() = Some(value);
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        // ORDERING: AcqRel, paired with the Acquire in `wait`: who sees that it is over sees the value.
        self.0.over.swap(1, Ordering::AcqRel);
        self.0.waiting.notify();
    }
}

impl<T> Answer<T> {
    /// Waits for the answer. `None`: the promise was dropped without one.
    pub(crate) fn wait(self) -> Option<T> {
        // ORDERING: Acquire, paired with the exchange in the promise's drop.
        self.0.waiting.wait_while(|()| self.0.over.load(Ordering::Acquire) == 0, None);
        self.0.value.lock().take()
    }
}
