//! The task's one allocation, and the few operations that know its future's type.

use alloc::sync::Arc as Shared;
use core::alloc::Layout;
use core::future::Future;
use core::mem::ManuallyDrop;
use core::panic::Location;
use core::ptr::{self, NonNull};
use core::task::Context;

use super::block_cache;
use super::loop_flags::LoopFlags;
use super::run_queues::RunQueues;
use super::state::State;
use super::waker::Packed;
use crate::error::{JoinError, PanicPayload};
use crate::id::{NO_KEY, TaskId};
use crate::sync::{Arc, AtomicU32, Ordering, UnsafeCell};

mod room;
mod stage;
pub(super) use room::{CellMemory, unmake_header};
use stage::Stage;

/// What every task has, whatever its future: 72 bytes.
#[repr(C)]
pub(crate) struct Header {
    // What a wake and a poll touch comes first, in one line of the cache.
    pub(crate) state: State,
    /// The next cell of the ready queue (I4).
    pub(super) next_ready: UnsafeCell<*const Header>,
    vtable: &'static VTable,
    /// The loop's run queues, for wakes; taken out when the block is used again, or given up.
    owner: ManuallyDrop<Arc<RunQueues>>,
    /// What the loop alone knows (I4).
    pub(super) loop_flags: LoopFlags,
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
pub(crate) struct TaskMeta {
    pub(crate) id: TaskId,
    pub(crate) name: Option<Shared<str>>,
    pub(crate) location: &'static Location<'static>,
}

impl TaskMeta {
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
    /// Drops the future and makes the stage an outcome: the given reason, or the destructor's panic. Where
    /// it is an outcome already, because of a panic that was not caught, that is dropped instead.
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
    /// Written whole only by what is in [`stage`].
    stage: UnsafeCell<Stage<F, F::Output>>,
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

    pub(super) fn owner(&self) -> &Arc<RunQueues> {
        &self.owner
    }

    /// Takes the reference to the run queues out.
    ///
    /// # Safety
    ///
    /// It is there, and is not used again.
    #[inline]
    pub(super) unsafe fn take_owner(&self) -> Arc<RunQueues> {
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

    /// Makes a cell whose future is still to be written to its [place](Self::place), in a fresh block or
    /// in a kept one of its layout. The state says which references it has.
    pub(super) fn allocate(
        label: L,
        origin: Origin,
        room: CellMemory,
        state: State,
        loop_flags: LoopFlags,
    ) -> NonNull<Header> {
        let (cell, owner) = match room {
            CellMemory::Fresh(owner) => (block_cache::fresh(Self::LAYOUT).cast(), owner),
            CellMemory::CachedBlock(kept) => kept.open(),
        };
        let header = Header {
            state,
            next_ready: UnsafeCell::new(ptr::null()),
            vtable: &Self::VTABLE,
            owner: ManuallyDrop::new(owner),
            loop_flags,
            key: AtomicU32::new(NO_KEY),
            serial: origin.serial,
            slot: UnsafeCell::new(Packed::EMPTY),
            link: UnsafeCell::new(ptr::null()),
            location: origin.location,
        };
        // SAFETY: the block is new or was given back, of the cell's layout, and nobody else's.
        unsafe { cell.write(header) };
        let task = cell.cast::<Self>().as_ptr();
        // SAFETY: as above: the place is in the block.
        let place = unsafe { &raw mut (*task).label };
        // SAFETY: as above.
        unsafe { place.write(label) };
        #[cfg(loom)] // whose cells have more in them than their value
        {
            // SAFETY: as above.
            let place = unsafe { &raw mut (*task).stage };
            // SAFETY: as above.
            unsafe { place.write(UnsafeCell::new(Stage { vacant: () })) };
        }
        cell
    }

    /// Where the future of a new cell is to be written.
    ///
    /// # Safety
    ///
    /// `task` is of this type, alive, and not published.
    pub(super) unsafe fn place(task: NonNull<Header>) -> *mut F {
        // SAFETY: the caller's promise.
        unsafe { Self::stage(task) }.with_mut(<*mut _>::cast)
    }

    /// # Safety
    ///
    /// The caller gave the last reference back (I2).
    pub(super) unsafe fn free(task: NonNull<Header>) {
        // SAFETY: by I1 the pointer is that of a cell of this type, and by the caller's promise nobody
        // else uses it any more.
        let cell = unsafe { task.cast::<Self>().as_mut() };
        cell.stage.with_mut(|_| ()); // for the models: whatever was done with it came before
        // SAFETY: the label is not used again. The stage is a union, of which nothing is dropped here.
        unsafe { ptr::drop_in_place(&raw mut cell.label) };
        // SAFETY: the block has the cell's layout, and what is left in it is the header.
        unsafe { RunQueues::take_back(task, Self::LAYOUT) };
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

/// Frees a cell whose future has not been touched, and gives the future back.
///
/// # Safety
///
/// `task` was made by [`Cell::allocate`] of this very type, has not been published, and is not used again.
pub(super) unsafe fn unmake<F: Future, L: Label>(task: NonNull<Header>) -> F {
    // SAFETY: the caller's promise.
    let place = unsafe { Cell::<F, L>::place(task) };
    // SAFETY: by I5 the stage of an unpublished cell is its future; it is read out once.
    let future = unsafe { ptr::read(place) };
    // SAFETY: the caller's promise: all references are the caller's, and end here.
    unsafe { Cell::<F, L>::free(task) };
    future
}

#[cfg(all(test, not(loom), target_pointer_width = "64"))]
mod tests;
