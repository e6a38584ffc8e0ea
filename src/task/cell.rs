//! The task's one allocation, and the few operations that know its future's type.

use alloc::sync::Arc as Shared;
use core::alloc::Layout;
use core::future::Future;
use core::mem::{self, ManuallyDrop};
use core::panic::Location;
use core::pin::Pin;
use core::ptr::{self, NonNull};
use core::task::{Context, Poll};

use super::blocks;
use super::mailbox::Mailbox;
use super::notes::Notes;
use super::state::State;
use super::waker::Packed;
use crate::error::{JoinError, PanicPayload, contain, discard, forget_payload};
use crate::id::{NO_KEY, TaskId};
use crate::sync::{Arc, AtomicU32, Ordering, UnsafeCell};

mod room;
pub(super) use room::{Room, unmake_header};

/// What every task has, whatever its future: 72 bytes.
#[repr(C)]
pub(crate) struct Header {
    // What a wake and a poll touch comes first, in one line of the cache.
    pub(crate) state: State,
    /// The next cell of the ready queue (I4).
    pub(super) next_ready: UnsafeCell<*const Header>,
    vtable: &'static VTable,
    /// The loop's mailbox, for wakes; taken out when the block is used again, or given up.
    owner: ManuallyDrop<Arc<Mailbox>>,
    /// What the loop alone knows (I4).
    pub(super) notes: Notes,
    /// The place in the registry. Written by the loop, read as a hint by anybody.
    key: AtomicU32,
    serial: u64,
    /// The join waker's slot (I7).
    pub(super) slot: UnsafeCell<Packed>,
    /// The next cell of the injection stack (I6).
    pub(super) link: UnsafeCell<*const Header>,
    location: &'static Location<'static>,
}

/// Where a task came from and what it is called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) serial: u64,
    pub(crate) location: &'static Location<'static>,
}

/// What there is to say of a task, for its whole life.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) id: TaskId,
    pub(crate) name: Option<Shared<str>>,
    pub(crate) location: &'static Location<'static>,
}

impl Subject {
    /// # Safety
    ///
    /// `task` is alive.
    pub(super) unsafe fn of(task: NonNull<Header>) -> Self {
        // SAFETY: the caller's promise.
        let header = unsafe { task.as_ref() };
        // SAFETY: the vtable is the task's (I1), which lives.
        let name = unsafe { (header.vtable().name)(task) };
        Self { id: header.id(), name, location: header.location() }
    }
}

/// A task's name, kept in its cell: `()` takes no room.
pub(crate) trait Label: Send + Sync + 'static {
    fn name(&self) -> Option<Shared<str>>;
}

impl Label for () {
    fn name(&self) -> Option<Shared<str>> {
        None
    }
}

impl Label for Option<Shared<str>> {
    fn name(&self) -> Option<Shared<str>> {
        self.clone()
    }
}

impl Label for Shared<str> {
    fn name(&self) -> Option<Shared<str>> {
        Some(self.clone())
    }
}

/// The operations that depend on the type of the future. Each states whose turn it must be.
pub(super) struct VTable {
    /// Polls the future; if it ended, the stage is its outcome.
    pub(super) poll: unsafe fn(NonNull<Header>, &mut Context<'_>) -> Option<End>,
    /// Drops the future and makes the stage an outcome: the given reason, or the destructor's panic.
    pub(super) end: unsafe fn(NonNull<Header>, JoinError) -> End,
    /// Moves the outcome out, to a place of type `Result<T, JoinError>`.
    pub(super) take: unsafe fn(NonNull<Header>, *mut ()),
    /// Drops the outcome; returns the panic that nobody else will see.
    pub(super) drop_outcome: unsafe fn(NonNull<Header>) -> Option<PanicPayload>,
    /// Whether to drop the outcome would do nothing.
    pub(super) is_plain: unsafe fn(NonNull<Header>) -> bool,
    /// Frees the cell, whose stage has been emptied.
    pub(super) free: unsafe fn(NonNull<Header>),
    /// The task's name.
    pub(super) name: unsafe fn(NonNull<Header>) -> Option<Shared<str>>,
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Its future was ready.
    Finished,
    /// It was ended from outside.
    Cancelled,
    /// A poll or a destructor panicked.
    Panicked,
}

/// One task.
#[repr(C)]
pub(super) struct Cell<F: Future, L> {
    header: Header,
    label: L,
    stage: UnsafeCell<Stage<F, F::Output>>,
}

/// First the future, then what became of it; the state word says which. Each begins where the
/// stage does (`repr(C)`).
#[repr(C)]
union Stage<F, T> {
    future: ManuallyDrop<F>,
    outcome: ManuallyDrop<Result<T, JoinError>>,
}

impl Header {
    #[inline]
    pub(crate) fn id(&self) -> TaskId {
        // ORDERING: Relaxed: the key is a hint that the registry verifies by the serial.
        TaskId::new(self.serial, self.key.load(Ordering::Relaxed))
    }

    pub(super) fn location(&self) -> &'static Location<'static> {
        self.location
    }

    pub(super) fn owner(&self) -> &Arc<Mailbox> {
        &self.owner
    }

    /// Takes the reference to the mailbox out.
    ///
    /// # Safety
    ///
    /// It is there, and is not used again.
    #[inline]
    pub(super) unsafe fn take_owner(&self) -> Arc<Mailbox> {
        // SAFETY: the caller's promise.
        unsafe { ptr::read(&raw const *self.owner) }
    }

    pub(super) fn vtable(&self) -> &'static VTable {
        self.vtable
    }

    /// The loop gave the task a place in its registry.
    #[inline]
    pub(crate) fn set_key(&self, key: u32) {
        // ORDERING: Relaxed: see `id`.
        self.key.store(key, Ordering::Relaxed);
    }
}

impl<F: Future, L: Label> Cell<F, L> {
    const VTABLE: VTable = VTable {
        poll: Self::poll,
        end: Self::end,
        take: Self::take,
        drop_outcome: Self::drop_outcome,
        is_plain: Self::is_plain,
        free: Self::free,
        name: Self::name,
    };

    pub(super) const LAYOUT: Layout = Layout::new::<Self>();

    /// Makes a task that has two references, the loop's and the join handle's, in a fresh block or in a
    /// kept one of its layout.
    pub(super) fn allocate(
        future: F,
        label: L,
        origin: Origin,
        room: Room,
        state: State,
        notes: Notes,
    ) -> NonNull<Header> {
        let (cell, owner) = match room {
            Room::Fresh(owner) => (blocks::fresh(Self::LAYOUT).cast(), owner),
            Room::Kept(kept) => kept.open(),
        };
        let header = Header {
            state,
            next_ready: UnsafeCell::new(ptr::null()),
            vtable: &Self::VTABLE,
            owner: ManuallyDrop::new(owner),
            notes,
            key: AtomicU32::new(NO_KEY),
            serial: origin.serial,
            slot: UnsafeCell::new(Packed::EMPTY),
            link: UnsafeCell::new(ptr::null()),
            location: origin.location,
        };
        let stage = UnsafeCell::new(Stage { future: ManuallyDrop::new(future) });
        let cell = cell.cast::<Self>();
        // SAFETY: the block is new or was given back, of the cell's layout, and nobody else's.
        unsafe { cell.write(Self { header, label, stage }) };
        cell.cast()
    }

    /// # Safety
    ///
    /// `task` is of this type and alive.
    unsafe fn stage<'a>(task: NonNull<Header>) -> &'a UnsafeCell<Stage<F, F::Output>> {
        // SAFETY: by I1 and the caller's promise the pointer is that of a live cell of this type.
        let cell = unsafe { task.cast::<Self>().as_ref() };
        &cell.stage
    }

    /// # Safety
    ///
    /// `task` is of this type and not done; on the loop's thread (I5).
    unsafe fn poll(task: NonNull<Header>, cx: &mut Context<'_>) -> Option<End> {
        // SAFETY: the caller's promise.
        let stage = unsafe { Self::stage(task) };
        let polled = contain(|| {
            stage.with_mut(|stage| {
                // SAFETY: by I5 the stage is a future, and this poll has it to itself.
                let future = unsafe { &mut *stage.cast::<F>() };
                // SAFETY: the future is in its final allocation and is dropped there.
                let future = unsafe { Pin::new_unchecked(future) };
                future.poll(cx)
            })
        });
        let outcome = match polled {
            Ok(Poll::Pending) => return None,
            Ok(Poll::Ready(value)) => Ok(value),
            Err(payload) => Err(JoinError::Panicked(payload)),
        };
        // SAFETY: as above; the future ended, so it is dropped and its outcome put in its place.
        Some(unsafe { Self::replace(task, outcome) })
    }

    /// # Safety
    ///
    /// As `poll`.
    unsafe fn end(task: NonNull<Header>, reason: JoinError) -> End {
        // SAFETY: the caller's promise.
        unsafe { Self::replace(task, Err(reason)) }
    }

    /// Drops the future, then stores the outcome. Of several panics the first is kept.
    ///
    /// # Safety
    ///
    /// As `poll`.
    unsafe fn replace(task: NonNull<Header>, outcome: Result<F::Output, JoinError>) -> End {
        // SAFETY: the caller's promise.
        let stage = unsafe { Self::stage(task) };
        let dropped = contain(|| {
            stage.with_mut(|stage| {
                // SAFETY: by I5 the stage is a future, nobody else's, and is not used as one again.
                unsafe { ptr::drop_in_place(stage.cast::<F>()) }
            });
        });
        let mut outcome = match (dropped, outcome) {
            (Ok(()), outcome) => outcome,
            (Err(second), Err(JoinError::Panicked(first))) => {
                forget_payload(second);
                Err(JoinError::Panicked(first))
            }
            (Err(payload), late) => {
                discard(late);
                Err(JoinError::Panicked(payload))
            }
        };
        let end = match &mut outcome {
            Ok(_) => End::Finished,
            Err(JoinError::Panicked(payload)) => {
                // SAFETY: the caller's promise.
                payload.set_task(unsafe { Subject::of(task) }.into());
                End::Panicked
            }
            Err(_) => End::Cancelled,
        };
        stage.with_mut(|stage| {
            // SAFETY: the future is gone (I5): the place is ours to write.
            unsafe { stage.write(Stage { outcome: ManuallyDrop::new(outcome) }) }
        });
        end
    }

    /// # Safety
    ///
    /// `task` is of this type and alive, its stage is an outcome that the caller owns (I5) and does
    /// not use again.
    unsafe fn outcome(task: NonNull<Header>) -> Result<F::Output, JoinError> {
        // SAFETY: the caller's promise.
        let stage = unsafe { Self::stage(task) };
        stage.with(|stage| {
            // SAFETY: by I5 and the caller's promise the stage is an outcome, read out once.
            unsafe { ptr::read(stage.cast()) }
        })
    }

    /// # Safety
    ///
    /// As `outcome`; `place` is valid for a write of a `Result<F::Output, JoinError>`.
    unsafe fn take(task: NonNull<Header>, place: *mut ()) {
        // SAFETY: the caller's promise.
        let outcome = unsafe { Self::outcome(task) };
        // SAFETY: the caller's promise.
        unsafe { place.cast::<Result<F::Output, JoinError>>().write(outcome) };
    }

    /// # Safety
    ///
    /// As `outcome`.
    unsafe fn drop_outcome(task: NonNull<Header>) -> Option<PanicPayload> {
        // SAFETY: the caller's promise.
        match unsafe { Self::outcome(task) } {
            Ok(value) => contain(|| drop(value)).err(),
            Err(JoinError::Panicked(payload)) => Some(payload),
            Err(_) => None,
        }
    }

    /// # Safety
    ///
    /// `task` is of this type and alive, its stage an outcome that the caller owns (I5).
    unsafe fn is_plain(task: NonNull<Header>) -> bool {
        // SAFETY: the caller's promise.
        let stage = unsafe { Self::stage(task) };
        stage.with(|stage| {
            // SAFETY: by I5 the stage is an outcome, and nobody writes it meanwhile.
            match unsafe { &*stage.cast::<Result<F::Output, JoinError>>() } {
                Ok(_) => !mem::needs_drop::<F::Output>(),
                Err(error) => !matches!(error, JoinError::Panicked(_)),
            }
        })
    }

    /// # Safety
    ///
    /// The caller gave the last reference back (I2).
    unsafe fn free(task: NonNull<Header>) {
        // SAFETY: by I1 the pointer is that of a cell of this type, and by the caller's promise nobody
        // else uses it any more.
        let cell = unsafe { task.cast::<Self>().as_mut() };
        cell.stage.with_mut(|_| ()); // for the models: whatever was done with it came before
        // SAFETY: the label is not used again. The stage is a union, of which nothing is dropped here.
        unsafe { ptr::drop_in_place(&raw mut cell.label) };
        // SAFETY: the block has the cell's layout, and what is left in it is the header.
        unsafe { Mailbox::take_back(task, Self::LAYOUT) };
    }

    /// # Safety
    ///
    /// `task` is of this type and alive.
    unsafe fn name(task: NonNull<Header>) -> Option<Shared<str>> {
        // SAFETY: the caller's promise, and I1. The label is never written after creation.
        let cell = unsafe { task.cast::<Self>().as_ref() };
        cell.label.name()
    }
}

/// Frees a cell without its future having been touched, and gives the future back.
///
/// # Safety
///
/// `task` was made by [`Cell::allocate`] of this very type, has not been published, and is not used again.
pub(super) unsafe fn unmake<F: Future, L: Label>(task: NonNull<Header>) -> F {
    // SAFETY: the caller's promise.
    let stage = unsafe { Cell::<F, L>::stage(task) };
    let future = stage.with(|stage| {
        // SAFETY: by I5 the stage of an unpublished cell is its future; it is read out once.
        unsafe { ptr::read(stage.cast()) }
    });
    // SAFETY: the caller's promise: all references are the caller's, and end here.
    unsafe { Cell::<F, L>::free(task) };
    future
}

#[cfg(all(test, not(loom), target_pointer_width = "64"))]
mod tests;
