//! What a cell is for: first the future, then what became of it, in one place.
//!
//! Both are polled, dropped and written where they are. An output may be larger than what a stack holds a
//! few times, and without optimisation each move by value is a copy in some function's frame.
//!
//! All code of the user's that a task has is called here, and any call may unwind: without `std` nothing is
//! caught. So `ENDED` is noted before a future is dropped, which so is dropped once; and by the drop of a
//! local there is an outcome when the call is left, in whichever way (I5, I10).

use core::future::Future;
use core::mem::{ManuallyDrop, MaybeUninit, needs_drop};
use core::pin::Pin;
use core::ptr::{self, NonNull};
use core::task::{Context, Poll};

use super::{Cell, End, Header, Label, TaskMeta};
use crate::error::{JoinError, PanicPayload, contain, forget_payload};
use crate::sync::UnsafeCell;
use crate::task::run::Parting;

/// The notes and the state word say which it is. Each begins where the stage does (`repr(C)`).
#[repr(C)]
pub(super) union Stage<F, T> {
    future: ManuallyDrop<F>,
    outcome: ManuallyDrop<Outcome<T>>,
    /// Before the future is written.
    pub(super) vacant: (),
}

/// As a join gives it.
type Outcome<T> = Result<T, JoinError>;

/// Makes a place an outcome when it is dropped: the value, which is moved out of where it is.
struct Finish<T> {
    place: *mut Outcome<T>,
    value: *const T,
}

impl<T> Drop for Finish<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: whoever made this gave the value up, and has it in place until now.
        let value = unsafe { ptr::read(self.value) };
        // SAFETY: whoever made this has the place to itself, and what was there is gone.
        unsafe { ptr::write(self.place, Ok(value)) };
    }
}

/// The same for a reason.
struct Fail<T> {
    place: *mut Outcome<T>,
    reason: Option<JoinError>,
}

impl<T> Drop for Fail<T> {
    fn drop(&mut self) {
        let Some(reason) = self.reason.take() else { return };
        // SAFETY: as in `Finish`.
        unsafe { ptr::write(self.place, Err(reason)) };
    }
}

impl<F: Future, L: Label> Cell<F, L> {
    /// # Safety
    ///
    /// `task` is of this type and alive.
    pub(super) unsafe fn stage<'a>(task: NonNull<Header>) -> &'a UnsafeCell<Stage<F, F::Output>> {
        // Not by a reference to the whole cell: its future may not have been written.
        let cell = task.cast::<Self>().as_ptr();
        // SAFETY: by I1 and the caller's promise the pointer is that of a live cell of this type.
        unsafe { &(*cell).stage }
    }

    /// # Safety
    ///
    /// `task` is of this type and not done; on the loop's thread (I5).
    pub(super) unsafe fn poll(task: NonNull<Header>, cx: &mut Context<'_>) -> Option<End> {
        // SAFETY: the caller's promise.
        let stage = unsafe { Self::stage(task) };
        let mut polled = MaybeUninit::uninit();
        let place = polled.as_mut_ptr();
        let ended = contain(|| {
            stage.with_mut(|stage| {
                // SAFETY: by I5 the stage is a future, and this poll has it to itself.
                let future = unsafe { &mut *stage.cast::<F>() };
                // SAFETY: the future is in its final allocation and is dropped there.
                let future = unsafe { Pin::new_unchecked(future) };
                // SAFETY: the place is a local's.
                unsafe { ptr::write(place, future.poll(cx)) };
                // SAFETY: as above; it has been written.
                let Poll::Ready(value) = (unsafe { &*place }) else { return false };
                let _outcome = Finish { place: stage.cast(), value };
                // SAFETY: as above; the future ended, and is not used again.
                unsafe { Self::drop_future(task, stage.cast()) };
                true
            })
        });
        match ended {
            Ok(false) => None,
            Ok(true) => Some(End::Finished),
            // SAFETY: the caller's promise.
            Err(payload) => Some(unsafe { Self::end_panicked(task, payload) }),
        }
    }

    /// A poll has panicked: of the future and its value what is there is dropped.
    ///
    /// # Safety
    ///
    /// As `poll`.
    #[cold]
    #[inline(never)]
    unsafe fn end_panicked(task: NonNull<Header>, payload: PanicPayload) -> End {
        // SAFETY: the caller's promise.
        let panicked = unsafe { Self::panicked(task, payload) };
        // SAFETY: the caller's promise.
        unsafe { Self::end(task, panicked) }
    }

    /// The reason that a task ends for by a panic, which names it.
    ///
    /// # Safety
    ///
    /// `task` is alive.
    unsafe fn panicked(task: NonNull<Header>, mut payload: PanicPayload) -> JoinError {
        // SAFETY: the caller's promise.
        payload.set_task(unsafe { TaskMeta::of(task) }.into());
        JoinError::Panicked(payload)
    }

    /// Drops the future, which has ended, whatever its destructor does.
    ///
    /// # Safety
    ///
    /// The stage is the future of `task`, which is of this type; the caller has it to itself (I5), and
    /// makes it an outcome then.
    #[inline]
    unsafe fn drop_future(task: NonNull<Header>, future: *mut F) {
        // SAFETY: the caller's promise.
        unsafe { task.as_ref() }.loop_flags.end();
        // SAFETY: the caller's promise.
        unsafe { ptr::drop_in_place(future) };
    }

    /// Drops what there is, then stores the reason. Of several panics the first is kept.
    ///
    /// # Safety
    ///
    /// As `poll`; or the outcome is there by a panic that was not caught, and has not been announced.
    pub(super) unsafe fn end(task: NonNull<Header>, reason: JoinError) -> End {
        // SAFETY: the caller's promise.
        let stage = unsafe { Self::stage(task) };
        // SAFETY: the caller's promise.
        let had_ended = unsafe { task.as_ref() }.loop_flags.has_ended();
        let has_panicked = matches!(reason, JoinError::Panicked(_));
        let dropped = contain(|| {
            stage.with_mut(|stage| {
                let _outcome = Fail::<F::Output> { place: stage.cast(), reason: Some(reason) };
                if had_ended {
                    // SAFETY: by I10 the stage is an outcome, and nobody else's yet.
                    unsafe { ptr::drop_in_place(stage.cast::<Outcome<F::Output>>()) }
                } else {
                    // SAFETY: by I5 the stage is a future, nobody else's, and is not used as one again.
                    unsafe { Self::drop_future(task, stage.cast()) }
                }
            });
        });
        match dropped {
            Ok(()) if !has_panicked => return End::Cancelled,
            Ok(()) => {}
            Err(second) if has_panicked => forget_payload(second),
            Err(payload) => stage.with_mut(|stage| {
                // SAFETY: the caller keeps the task alive.
                let reason = Some(unsafe { Self::panicked(task, payload) });
                drop(Fail::<F::Output> { place: stage.cast(), reason }); // over one without a destructor
            }),
        }
        End::Panicked
    }

    /// # Safety
    ///
    /// `task` is of this type and alive, its stage is an outcome that the caller owns (I5) and does
    /// not use again; `place` is valid for a write of a `Result<F::Output, JoinError>`.
    pub(super) unsafe fn take(task: NonNull<Header>, place: *mut ()) {
        // SAFETY: the caller's promise.
        let stage = unsafe { Self::stage(task) };
        stage.with(|stage| {
            // SAFETY: by I5 and the caller's promise the stage is an outcome, read out once.
            unsafe { ptr::copy_nonoverlapping(stage.cast::<Outcome<F::Output>>(), place.cast(), 1) }
        });
    }

    /// Drops the outcome where it is. On its loop's thread the task is the current one meanwhile.
    ///
    /// # Safety
    ///
    /// `task` is of this type and alive, its stage is an outcome that the caller owns (I5) and does
    /// not use again.
    pub(super) unsafe fn drop_outcome(task: NonNull<Header>) -> Option<PanicPayload> {
        // SAFETY: the caller's promise.
        let stage = unsafe { Self::stage(task) };
        stage.with_mut(|stage| {
            // SAFETY: by I5 and the caller's promise the stage is an outcome, and nobody else's.
            match unsafe { &mut *stage.cast::<Outcome<F::Output>>() } {
                Ok(value) if needs_drop::<F::Output>() => {
                    let value = &raw mut *value;
                    // SAFETY: the caller keeps the task alive.
                    let _current = unsafe { Parting::begin(task) };
                    // SAFETY: as above; it is dropped once.
                    contain(|| unsafe { ptr::drop_in_place(value) }).err()
                }
                // SAFETY: as above; it is read out once.
                Err(JoinError::Panicked(payload)) => Some(unsafe { ptr::read(payload) }),
                Ok(_) | Err(_) => None,
            }
        })
    }

    /// # Safety
    ///
    /// `task` is of this type and alive, its stage an outcome that the caller owns (I5).
    pub(super) unsafe fn is_plain(task: NonNull<Header>) -> bool {
        // SAFETY: the caller's promise.
        let stage = unsafe { Self::stage(task) };
        stage.with(|stage| {
            // SAFETY: by I5 the stage is an outcome, and nobody writes it meanwhile.
            match unsafe { &*stage.cast::<Outcome<F::Output>>() } {
                Ok(_) => !needs_drop::<F::Output>(),
                Err(error) => !matches!(error, JoinError::Panicked(_)),
            }
        })
    }
}
