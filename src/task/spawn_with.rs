//! Futures that begin as a closure: one that makes the future itself, and one that is merely called.
//!
//! Both are written into their cell as the closure and stay there: a future that is made by a closure takes
//! its place, and so does not move through the frames of whoever spawns it.

use core::fmt;
use core::future::Future;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::pin::Pin;
use core::ptr;
use core::task::{Context, Poll};

/// The future that a closure makes when it is first polled.
pub(crate) struct SpawnWith<C, F> {
    parts: Parts<C, F>,
    step: Written,
}

/// What [`Written`] says.
#[repr(C)]
union Parts<C, F> {
    make: ManuallyDrop<C>,
    future: ManuallyDrop<F>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    /// The closure is there.
    Closure,
    /// The future is there.
    Future,
    /// Neither: the closure runs, or has panicked.
    Neither,
}

impl<C, F> SpawnWith<C, F> {
    /// Where the closure of one at `place` is to be written, which is marked as being there.
    ///
    /// # Safety
    ///
    /// `place` is valid for a write.
    #[inline]
    pub(super) unsafe fn begin(place: *mut Self) -> *mut C {
        // SAFETY: the caller's promise.
        let step = unsafe { &raw mut (*place).step };
        // SAFETY: the caller's promise.
        unsafe { step.write(Written::Closure) };
        // SAFETY: the caller's promise. Each part begins where the union does.
        unsafe { &raw mut (*place).parts }.cast()
    }
}

impl<C: FnOnce() -> F, F> SpawnWith<C, F> {
    /// Puts the future in place of the closure.
    fn make(&mut self) {
        let parts = &raw mut self.parts;
        self.step = Written::Neither; // before the closure is called: it may panic
        // SAFETY: the step said that the closure is there; it is read out once.
        let make = unsafe { ptr::read(parts.cast::<C>()) };
        // SAFETY: nothing is there any more.
        unsafe { ptr::write(parts.cast::<F>(), make()) };
        self.step = Written::Future;
    }
}

impl<C: FnOnce() -> F, F: Future> Future for SpawnWith<C, F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the future is pinned with this one, and nothing is moved out of it; the closure is not.
        let this = unsafe { self.get_unchecked_mut() };
        if this.step == Written::Closure {
            this.make();
        }
        // PANICS: if it is polled again after its closure has panicked.
        assert!(this.step == Written::Future, "polled after a panic");
        let future = (&raw mut this.parts).cast::<F>();
        // SAFETY: the step says that the future is there.
        let future = unsafe { &mut *future };
        // SAFETY: it is pinned with this one, and dropped in place.
        unsafe { Pin::new_unchecked(future) }.poll(cx)
    }
}

impl<C, F> Drop for SpawnWith<C, F> {
    fn drop(&mut self) {
        let parts = &raw mut self.parts;
        match self.step {
            // SAFETY: the step says what is there.
            Written::Closure => unsafe { ptr::drop_in_place(parts.cast::<C>()) },
            // SAFETY: as above; it is dropped where it was polled.
            Written::Future => unsafe { ptr::drop_in_place(parts.cast::<F>()) },
            Written::Neither => {}
        }
    }
}

impl<C, F> fmt::Debug for SpawnWith<C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deferred").field("step", &self.step).finish_non_exhaustive()
    }
}

/// The future of a call: ready when it is first polled.
pub(crate) struct Called<C> {
    f: MaybeUninit<C>,
    /// Whether the closure is there.
    waits: bool,
}

impl<C> Called<C> {
    /// Where the closure of one at `place` is to be written, which is marked as being there.
    ///
    /// # Safety
    ///
    /// `place` is valid for a write.
    #[inline]
    pub(super) unsafe fn begin(place: *mut Self) -> *mut C {
        // SAFETY: the caller's promise.
        let waits = unsafe { &raw mut (*place).waits };
        // SAFETY: the caller's promise.
        unsafe { waits.write(true) };
        // SAFETY: the caller's promise.
        unsafe { &raw mut (*place).f }.cast()
    }
}

/// Nothing in it is pinned.
impl<C> Unpin for Called<C> {}

impl<C: FnOnce() -> R, R> Future for Called<C> {
    type Output = R;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<R> {
        // PANICS: if it is polled again after it was ready or has panicked.
        assert!(self.waits, "polled after its end");
        self.waits = false;
        // SAFETY: the closure was there; it is read out once.
        let f = unsafe { ptr::read(self.f.as_ptr()) };
        Poll::Ready(f())
    }
}

impl<C> Drop for Called<C> {
    fn drop(&mut self) {
        if self.waits {
            // SAFETY: the closure is there.
            unsafe { self.f.assume_init_drop() };
        }
    }
}

impl<C> fmt::Debug for Called<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Called").field("waits", &self.waits).finish_non_exhaustive()
    }
}
