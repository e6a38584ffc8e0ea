//! A task on its way to its loop from another thread.

mod here;

use core::future::Future;
use core::marker::PhantomData;
use core::mem;
use core::pin::pin;
use core::ptr::NonNull;
use core::task::{Context, Waker};

use super::cell::{Cell, Header, Label, Origin, Room, unmake};
use super::injection::Lane;
use super::join::Join;
use super::mailbox::{Mailbox, release};
use super::notes::{FOREIGN, Notes, TIMED};
use super::state::State;
use crate::error::{JoinError, forget_payload};
use crate::sync::Arc;

/// What a task is to its loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A task like any other.
    Task,
    /// A call for later, whose first poll arms its timer, and does nothing else.
    Timed,
    /// A request to the loop itself, ahead of any backlog. Its future is ready at its first poll.
    Control,
}

/// A task that has been made and not been handed over: its maker's alone. By the ways in which one
/// can be made it may run on another thread: it is unpolled, and what it holds so far is `Send`.
#[must_use]
#[derive(Debug)]
pub(crate) struct NewTask<F: Future, L: Label> {
    task: NonNull<Header>,
    lane: Lane,
    _type: PhantomData<(F, L)>,
}

impl<F, L> NewTask<F, L>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    L: Label,
{
    /// Allocates a task for the future. From any thread.
    pub(crate) fn new(
        future: F,
        label: L,
        origin: Origin,
        owner: Arc<Mailbox>,
        kind: Kind,
    ) -> Self {
        Self::allocate(future, label, origin, owner, kind)
    }
}

/// Allocates a task for the future that `make` will make on the loop's thread. From any thread.
pub(crate) fn deferred<C, F, L>(
    make: C,
    label: L,
    origin: Origin,
    owner: Arc<Mailbox>,
) -> NewTask<impl Future<Output = F::Output>, L>
where
    C: FnOnce() -> F + Send + 'static,
    F: Future + 'static,
    F::Output: Send + 'static,
    L: Label,
{
    // Until its first poll this holds `make` alone, which is `Send`.
    NewTask::allocate(made(make), label, origin, owner, Kind::Task)
}

/// The future that `make` makes when it is first polled. Should its destructor panic, the output is a
/// local of its own by then, and is dropped: the value of an `.await` in place would be leaked.
pub(crate) async fn made<C: FnOnce() -> F, F: Future>(make: C) -> F::Output {
    let output;
    {
        let future = pin!(make());
        output = future.await;
    }
    output
}

/// Makes a task and ends it at once, because it was refused: for a future that cannot leave its thread.
pub(crate) fn refused<F: Future>(
    future: F,
    origin: Origin,
    owner: Arc<Mailbox>,
) -> Join<F::Output> {
    NewTask::allocate(future, (), origin, owner, Kind::Task).end(JoinError::Closed)
}

impl<F: Future, L: Label> NewTask<F, L> {
    /// A request to the loop that nobody waits for. What the future holds must be fit for the loop's
    /// thread, and for this one where the loop has ended.
    pub(super) fn request(future: F, label: L, origin: Origin, owner: Arc<Mailbox>) -> Self {
        let (room, notes) = (Room::Fresh(owner), Notes::new(0, 0));
        let task = Cell::allocate(future, label, origin, room, State::unobserved(), notes);
        Self { task, lane: Lane::Control, _type: PhantomData }
    }

    /// For the makers above, and for [`refused`], which pushes nothing.
    fn allocate(future: F, label: L, origin: Origin, owner: Arc<Mailbox>, kind: Kind) -> Self {
        let (lane, flags) = match kind {
            Kind::Task => (Lane::New, FOREIGN),
            Kind::Timed => (Lane::Control, FOREIGN | TIMED),
            Kind::Control => (Lane::Control, 0),
        };
        let notes = Notes::new(0, flags);
        let room = Room::Fresh(owner);
        let task = Cell::allocate(future, label, origin, room, State::new(true), notes);
        Self { task, lane, _type: PhantomData }
    }

    /// Guards the task before anybody can ask it to end.
    #[cfg(feature = "std")]
    pub(crate) fn guarded(self) -> Self {
        // SAFETY: the maker holds both references.
        unsafe { self.task.as_ref() }.state.guard();
        self
    }

    /// Hands the task to its loop, whose mailbox the caller keeps alive; gives it back if the loop has ended.
    pub(crate) fn push(self, mailbox: &Arc<Mailbox>) -> Result<Join<F::Output>, Self>
    where
        F::Output: Send,
    {
        // Once it is pushed it is not this one's to free, also if the loop's hook panics.
        let this = mem::ManuallyDrop::new(self);
        // SAFETY: the task was made with `QUEUED` set and has not been published (I6). The join
        // handle's reference, which is not given away before this returns, keeps it alive.
        if unsafe { mailbox.push(this.task, this.lane) } {
            // SAFETY: the loop has its reference now; the other one becomes the handle's (I2).
            Ok(unsafe { Join::new(this.task) })
        } else {
            Err(mem::ManuallyDrop::into_inner(this))
        }
    }

    /// As [`NewTask::push`], with `stop` between the push and the notification: for models.
    #[cfg(loom)]
    pub(crate) fn push_stopped(
        self,
        mailbox: &Arc<Mailbox>,
        stop: impl FnOnce(),
    ) -> Join<F::Output> {
        let this = mem::ManuallyDrop::new(self);
        // SAFETY: as in `push`.
        let pushed = unsafe { mailbox.stack(this.lane).push(this.task) };
        stop();
        assert!(mailbox.ring(pushed), "the loop is open");
        // SAFETY: as in `push`.
        unsafe { Join::new(this.task) }
    }

    /// Hands a [request](Self::request) to the loop; drops it here if the loop has ended.
    pub(super) fn post(self, mailbox: &Arc<Mailbox>) {
        let this = mem::ManuallyDrop::new(self);
        // SAFETY: as in `push`. Nothing of the task is touched after: its one reference is the loop's.
        if !unsafe { mailbox.push(this.task, this.lane) } {
            drop(mem::ManuallyDrop::into_inner(this));
        }
    }

    /// The future, as it was given.
    pub(crate) fn into_future(self) -> F {
        // SAFETY: made by `new` with these types, never published, and given up here.
        unsafe { unmake::<F, L>(mem::ManuallyDrop::new(self).task) }
    }

    /// Runs the task here, which must be the loop's thread; its future is ready at its first poll.
    pub(crate) fn run_here(self) -> Join<F::Output> {
        let task = self.task;
        // SAFETY: the maker holds both references.
        let header = unsafe { task.as_ref() };
        let mut cx = Context::from_waker(Waker::noop());
        // SAFETY: nobody else knows the task, and it has not ended.
        if unsafe { (header.vtable().poll)(task, &mut cx) }.is_none() {
            return self.end(JoinError::Closed);
        }
        // SAFETY: it has ended, which is announced here once.
        unsafe { Self::announce(mem::ManuallyDrop::new(self).task) }
    }

    /// Ends the task here, unpolled: its handle says `reason`, or what its destructor's panic said.
    pub(crate) fn end(self, reason: JoinError) -> Join<F::Output> {
        let task = mem::ManuallyDrop::new(self).task;
        // SAFETY: the maker holds both references.
        let header = unsafe { task.as_ref() };
        // SAFETY: nobody else knows the task, which has not left the thread of its maker.
        let _ = unsafe { (header.vtable().end)(task, reason) };
        // SAFETY: it has ended, which is announced here once.
        unsafe { Self::announce(task) }
    }

    /// # Safety
    ///
    /// The task is unpublished and its stage an outcome; the caller gives up both its references.
    unsafe fn announce(task: NonNull<Header>) -> Join<F::Output> {
        // SAFETY: the maker's references.
        let header = unsafe { task.as_ref() };
        let _ = header.state.take_in();
        let completed = header.state.complete(true);
        debug_assert!(
            completed.is_ok_and(|c| c.wanted && !c.has_waker),
            "an unpublished task is wanted"
        );
        // SAFETY: the loop's reference, which the loop never got.
        unsafe { release(task) };
        // SAFETY: the other reference becomes the handle's.
        unsafe { Join::new(task) }
    }
}

impl<F: Future, L: Label> Drop for NewTask<F, L> {
    /// Only where its maker panicked in between: the future goes with the task.
    fn drop(&mut self) {
        // SAFETY: as in `into_future`, and the other ways out forget themselves.
        let future = unsafe { unmake::<F, L>(self.task) };
        if let Err(payload) = crate::error::contain(|| drop(future)) {
            forget_payload(payload);
        }
    }
}
