//! A task that is being made, and its way to its loop from another thread.

use core::future::Future;
use core::marker::PhantomData;
use core::mem;
use core::ptr::{self, NonNull};
use core::task::{Context, Waker};

use super::cell::{Cell, CellMemory, Header, Label, Origin, unmake};
use super::injection::Lane;
use super::join::Join;
use super::loop_flags::{CONTROL, LoopFlags, REMOTE};
use super::run_queues::{RunQueues, release};
use super::spawn_with::{Called, SpawnWith};
use super::state::{Completed, State};
use crate::error::{JoinError, contain, forget_payload};
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

/// A cell for a task whose future is still to be written. In two steps, so that a large future moves through
/// as few functions as can be: each that has it by value keeps a copy in its frame without optimisation.
///
/// Where it was made for decides where the task may go: see [`NewTask`].
#[must_use]
#[derive(Debug)]
pub(crate) struct Vacant<F: Future, L: Label> {
    task: NonNull<Header>,
    _type: PhantomData<(F, L)>,
}

/// A task that has been made and not been handed over: its maker's alone. By the ways in which one can be
/// made for another thread it may run there: it is unpolled, and what it holds so far is `Send`.
#[must_use]
#[derive(Debug)]
pub(crate) struct NewTask<F: Future, L: Label> {
    task: NonNull<Header>,
    _type: PhantomData<(F, L)>,
}

impl<F, L> Vacant<F, L>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    L: Label,
{
    /// A cell for a future that is handed to its loop from any thread.
    pub(crate) fn new(label: L, origin: Origin, owner: Arc<RunQueues>, kind: Kind) -> Self {
        let flags = match kind {
            Kind::Task => REMOTE,
            Kind::Timed => REMOTE | CONTROL,
            Kind::Control => CONTROL,
        };
        Self::allocate(
            label,
            origin,
            CellMemory::Fresh(owner),
            State::new(true),
            LoopFlags::new(0, flags),
        )
    }
}

impl<C, F, L> Vacant<SpawnWith<C, F>, L>
where
    C: FnOnce() -> F + Send + 'static,
    F: Future + 'static,
    F::Output: Send + 'static,
    L: Label,
{
    /// The same for a future that a closure is to make on the loop's thread.
    pub(crate) fn spawn_with(label: L, origin: Origin, owner: Arc<RunQueues>) -> Self {
        // Until its first poll the future holds the closure alone, which is `Send`.
        let (state, loop_flags) = (State::new(true), LoopFlags::new(0, REMOTE));
        Self::allocate(label, origin, CellMemory::Fresh(owner), state, loop_flags)
    }
}

impl<F: Future, L: Label> Vacant<F, L> {
    /// A cell for a future that the loop does not take, and which may not leave its thread: it is good
    /// for [`NewTask::end`] alone.
    pub(crate) fn refused(label: L, origin: Origin, owner: Arc<RunQueues>) -> Self {
        Self::allocate(
            label,
            origin,
            CellMemory::Fresh(owner),
            State::new(true),
            LoopFlags::new(0, 0),
        )
    }

    /// For the makers above, and for those on the loop's side.
    #[inline]
    pub(super) fn allocate(
        label: L,
        origin: Origin,
        room: CellMemory,
        state: State,
        loop_flags: LoopFlags,
    ) -> Self {
        Self {
            task: Cell::<F, L>::allocate(label, origin, room, state, loop_flags),
            _type: PhantomData,
        }
    }

    /// Writes the future where it stays.
    #[inline]
    pub(crate) fn fill(self, future: F) -> NewTask<F, L> {
        let task = self.into_task();
        // SAFETY: the cell is of these types, and nobody else's yet.
        let place = unsafe { Cell::<F, L>::place(task) };
        // SAFETY: as above; nothing is there so far.
        unsafe { ptr::write(place, future) };
        NewTask { task, _type: PhantomData }
    }

    fn into_task(self) -> NonNull<Header> {
        let task = self.task;
        mem::forget(self);
        task
    }
}

impl<C, F, L> Vacant<SpawnWith<C, F>, L>
where
    C: FnOnce() -> F,
    F: Future,
    L: Label,
{
    /// Writes the closure where its future will be.
    #[inline]
    pub(crate) fn plant(self, make: C) -> NewTask<SpawnWith<C, F>, L> {
        let task = self.into_task();
        // SAFETY: as in `fill`.
        let place = unsafe { Cell::<SpawnWith<C, F>, L>::place(task) };
        // SAFETY: as in `fill`.
        let place = unsafe { SpawnWith::begin(place) };
        // SAFETY: as in `fill`.
        unsafe { ptr::write(place, make) };
        NewTask { task, _type: PhantomData }
    }
}

impl<C, R, L> Vacant<Called<C>, L>
where
    C: FnOnce() -> R,
    L: Label,
{
    /// Writes the closure that is to be called.
    #[inline]
    pub(crate) fn plant_call(self, f: C) -> NewTask<Called<C>, L> {
        let task = self.into_task();
        // SAFETY: as in `fill`.
        let place = unsafe { Cell::<Called<C>, L>::place(task) };
        // SAFETY: as in `fill`.
        let place = unsafe { Called::begin(place) };
        // SAFETY: as in `fill`.
        unsafe { ptr::write(place, f) };
        NewTask { task, _type: PhantomData }
    }
}

impl<F: Future, L: Label> Drop for Vacant<F, L> {
    /// Only where its maker panicked in between: there is no future yet.
    fn drop(&mut self) {
        // SAFETY: both references are this one's, and of the stage nothing is dropped.
        unsafe { Cell::<F, L>::free(self.task) };
    }
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
        owner: Arc<RunQueues>,
        kind: Kind,
    ) -> Self {
        Vacant::new(label, origin, owner, kind).fill(future)
    }
}

impl<F: Future, L: Label> NewTask<F, L> {
    /// A request to the loop that nobody waits for. What the future holds must be fit for the loop's
    /// thread, and for this one where the loop has ended.
    pub(super) fn request(future: F, label: L, origin: Origin, owner: Arc<RunQueues>) -> Self {
        let (state, loop_flags) = (State::unobserved(), LoopFlags::new(0, CONTROL));
        Vacant::allocate(label, origin, CellMemory::Fresh(owner), state, loop_flags).fill(future)
    }

    /// The task itself, with its references: for the loop's side.
    #[inline]
    pub(super) fn into_task(self) -> NonNull<Header> {
        let task = self.task;
        mem::forget(self);
        task
    }

    /// Guards the task before anybody can ask it to end.
    #[cfg(feature = "std")]
    pub(crate) fn guarded(self) -> Self {
        // SAFETY: the maker holds both references.
        unsafe { self.task.as_ref() }.state.guard();
        self
    }

    /// Hands the task to its loop, whose run queues the caller keeps alive; gives it back if the loop has ended.
    pub(crate) fn push(self, run_queues: &Arc<RunQueues>) -> Result<Join<F::Output>, Self>
    where
        F::Output: Send,
    {
        let task = self.into_task();
        // SAFETY: the join handle's reference becomes the handle's (I2). It is this one before the task is
        // pushed, for the loop's hook may panic.
        let join = unsafe { Join::new(task) };
        // SAFETY: the task is the maker's, which has both references.
        if unsafe { Self::hand_over(task, run_queues) } {
            return Ok(join);
        }
        mem::forget(join); // the reference is the task's again
        Err(Self { task, _type: PhantomData })
    }

    /// Hands a [request](Self::request) to the loop; gives it back if the loop has ended.
    pub(super) fn post(self, run_queues: &Arc<RunQueues>) -> Result<(), Self> {
        let task = self.into_task();
        // SAFETY: as in `push`. Nothing of the task is touched after: its one reference is the loop's.
        if unsafe { Self::hand_over(task, run_queues) } {
            Ok(())
        } else {
            Err(Self { task, _type: PhantomData })
        }
    }

    /// As [`NewTask::push`], with `stop` between the push and the notification: for models.
    #[cfg(all(test, loom))]
    pub(crate) fn push_stopped(
        self,
        run_queues: &Arc<RunQueues>,
        stop: impl FnOnce(),
    ) -> Join<F::Output> {
        let task = self.into_task();
        // SAFETY: as in `push`.
        let join = unsafe { Join::new(task) };
        // SAFETY: as in `hand_over`.
        let pushed = unsafe { run_queues.stack(Lane::New).push(task) };
        stop();
        assert!(run_queues.ring(pushed), "the loop is open");
        join
    }

    /// `false`: the loop has ended, and the task is still the caller's.
    ///
    /// # Safety
    ///
    /// The caller owns the task, and gives the loop's reference up.
    unsafe fn hand_over(task: NonNull<Header>, run_queues: &Arc<RunQueues>) -> bool {
        // SAFETY: the caller's promise.
        let flags = unsafe { task.as_ref() }.loop_flags.flags();
        // PANICS: it cannot: nobody pushes what was made for another way. A task whose future may not leave
        // its thread would be unsound there, so this is checked at all times.
        assert!(flags & (REMOTE | CONTROL) != 0, "a task of this thread was pushed");
        // SAFETY: the task was made with `QUEUED` set, as its notes say, and has not been published (I6).
        unsafe {
            run_queues.push(task, if flags & CONTROL != 0 { Lane::Control } else { Lane::New })
        }
    }

    /// The future, as it was given.
    pub(crate) fn into_future(self) -> F {
        // SAFETY: made with these types, never published, and given up here.
        unsafe { unmake::<F, L>(self.into_task()) }
    }

    /// Runs the task here, which must be the loop's thread; its future is ready at its first poll.
    pub(crate) fn run_here(self) -> Join<F::Output> {
        let ending = Unannounced::<F>::new(self.into_task());
        let mut cx = Context::from_waker(Waker::noop());
        // SAFETY: nobody else knows the task, and it has not ended.
        let ended = unsafe { (ending.header().vtable().poll)(ending.0, &mut cx) };
        ending.announce(if ended.is_none() { Some(JoinError::Closed) } else { None })
    }

    /// Ends the task here, unpolled: its handle says `reason`, or what its destructor's panic said.
    pub(crate) fn end(self, reason: JoinError) -> Join<F::Output> {
        Unannounced::<F>::new(self.into_task()).announce(Some(reason))
    }
}

/// A task that is not published and is ended by its maker, on the thread where its future is.
struct Unannounced<F: Future>(NonNull<Header>, PhantomData<F>);

impl<F: Future> Unannounced<F> {
    fn new(task: NonNull<Header>) -> Self {
        Self(task, PhantomData)
    }

    fn header(&self) -> &Header {
        // SAFETY: the maker's references.
        unsafe { self.0.as_ref() }
    }

    /// Ends the task if there is a reason, and announces that it has ended.
    fn announce(self, reason: Option<JoinError>) -> Join<F::Output> {
        if let Some(reason) = reason {
            // SAFETY: nobody else knows the task, which has not left the thread of its maker.
            let _ = unsafe { (self.header().vtable().end)(self.0, reason) };
        }
        let task = self.0;
        mem::forget(self);
        // SAFETY: it has ended, which is announced here once.
        unsafe { Self::announced(task) }
    }

    /// # Safety
    ///
    /// The task is unpublished and its stage an outcome; the caller gives up both its references.
    unsafe fn announced(task: NonNull<Header>) -> Join<F::Output> {
        // SAFETY: the maker's references.
        let header = unsafe { task.as_ref() };
        let _ = header.state.take_in();
        let completed = header.state.complete(true);
        debug_assert_eq!(
            completed,
            Completed::Kept { wanted: true, has_waker: false },
            "an unpublished task is wanted"
        );
        // SAFETY: the loop's reference, which the loop never got.
        unsafe { release(task) };
        // SAFETY: the other reference becomes the handle's.
        unsafe { Join::new(task) }
    }
}

impl<F: Future> Drop for Unannounced<F> {
    /// Only where its code panicked, and nothing was caught: a future that is left is dropped after all.
    #[cold]
    fn drop(&mut self) {
        if !self.header().loop_flags.has_ended() {
            // SAFETY: as in `announce`.
            let _ = unsafe { (self.header().vtable().end)(self.0, JoinError::Closed) };
        }
        // SAFETY: as in `announce`.
        drop(unsafe { Self::announced(self.0) });
    }
}

impl<F: Future, L: Label> Drop for NewTask<F, L> {
    /// Only where its maker panicked in between: the future goes with the task.
    fn drop(&mut self) {
        // It is freed when the future is gone, also by a panic.
        let _cell = Vacant::<F, L> { task: self.task, _type: PhantomData };
        // SAFETY: as above.
        let future = unsafe { Cell::<F, L>::place(self.task) };
        // SAFETY: by I5 the stage of an unpublished cell is its future, which is dropped once.
        discard_in_place(|| unsafe { ptr::drop_in_place(future) });
    }
}

/// Runs a destructor; a panic in it ends here.
fn discard_in_place(destructor: impl FnOnce()) {
    if let Err(payload) = contain(destructor) {
        forget_payload(payload);
    }
}
