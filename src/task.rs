//! The first floor: what one task is, how it is woken, and how it gets to its loop.
//!
//! A task is one allocation: a [`Header`](cell::Header) and then the future, which its outcome
//! later replaces. Pointers to the header travel: the loop has one, the join handle has one, each
//! waker has one; the injection stack and the ready queue link headers without a count of their own.
//!
//! Everything `unsafe` of the crate is on this floor, argued from these invariants:
//!
//! - **I1 (origin)**: every pointer to a task's header is that of a [`cell::Cell`] in memory of the
//!   allocator with its layout, and its vtable was made for that cell's type. The header is its first field (`repr(C)`).
//! - **I2 (counts)**: the loop, the join handle and every waker own one reference each, counted in
//!   the state word. The cell is freed by whoever gives the last one back, by nobody else.
//! - **I3 (the loop's reference)**: it exists from creation on, and a cell is in a queue, or being
//!   polled, only while it does. When a finished cell leaves the last of its plain queues, the loop
//!   gives the reference back, or, where `QUEUED` is set, transfers it to that entry by setting
//!   `QUEUE_OWNS_REF` with one exchange (`LoopSide::settle`). Whoever then clears `QUEUED` gives it back.
//! - **I4 (loop only)**: the notes, the ready link and the local queues, what a batch has in hand of them
//!   included, are touched by the loop's thread alone; by its creator before the cell is published. No
//!   user code runs meanwhile.
//! - **I5 (stage)**: until `ENDED` is noted the stage is a future, touched as in I4 but lent to that
//!   future while it is polled or dropped. `ENDED` is noted before its drop begins, and the stage is an
//!   outcome when that is left, by a return or by unwinding. With `DONE` the outcome is the handle's
//!   while `JOIN` is set and the loop's otherwise, and is read out, or dropped, once.
//! - **I6 (link)**: the injection link is written by the thread that set `QUEUED`, before its push
//!   succeeds; after that it is the loop's until it clears `QUEUED`.
//! - **I7 (slot)**: the join waker's slot is the handle's while `WAKER` is clear, the loop's once
//!   `DONE` is set with `WAKER`, and in between nobody writes it.
//! - **I8 (current loop)**: the current loop's address is null or was taken from a reference to the run queues
//!   of a loop whose run this thread is inside, and whose own side keeps it alive until it is left.
//! - **I9 (kept blocks)**: a block that is kept after its cell was freed is in one list, of its exact layout,
//!   and nobody else has it. In it is the header still, whose `owner` counts as one reference, and whose
//!   ready link is the loop's. It is kept inside of the loop's run alone, and given up with the loop.
//! - **I10 (unwinding)**: every call of user code may unwind. What it was called on has been noted as used
//!   before; what is owed after it, a reference, a mark, an outcome, is paid by the drop of a local. A poll or
//!   a destructor of a task that unwinds out of the floor leaves it `BROKEN`, registered and in the urgent
//!   queue: whoever pops it, or closes the loop, ends and completes it. No user code runs while unwinding,
//!   but at the end of the loop.

#![allow(unsafe_code)] // the one floor that has any; the invariants are above

pub(crate) mod batch;
pub(crate) mod cell;
pub(crate) mod counters;
pub(crate) mod injection;
pub(crate) mod join;
pub(crate) mod loop_side;
pub(crate) mod owned_task;
pub(crate) mod run;
pub(crate) mod run_queues;
pub(crate) mod shuffle;
pub(crate) mod spawn;
pub(crate) mod spawn_with;
pub(crate) mod state;
pub(crate) mod waker;

mod arrivals;
mod block_cache;
mod local_queues;
mod local_spawn;
mod loop_flags;
mod polls_overflow;
mod remote_drop;
mod urgent;
