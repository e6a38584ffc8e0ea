//! What the scheduler asks of the floor above it, and what it tells it.

use super::TaskMeta;
use crate::id::TaskId;
use crate::task::cell::End;
use crate::task::loop_side::UnobservedPanic;
use crate::task::state::Request;
use crate::tick::Tick;

/// What the scheduler asks of the floor above it. All of it is called outside of every borrow.
pub(crate) trait Host {
    /// The time of this turn.
    fn now(&self) -> Tick;
    /// A panic that no handle will report.
    fn lost(&self, lost: UnobservedPanic);
    /// Whether ends are to be reported: from the request to shut down on.
    fn records(&self) -> bool;
    /// A task ended; called before its joiner can know.
    fn ended(&self, report: Ended);
    /// Whether new tasks of other threads are asked to end when they are taken in.
    fn cancels_new(&self) -> bool;
    /// A submission of another thread was taken in. Whether it holds a place at the gate.
    fn takes_in(&self) -> bool;
    /// Such a submission is about to run for the first time, or to end.
    fn admitted(&self);
    /// Whether to be told of each poll, or there is a gate.
    fn looks_on(&self) -> bool;
    /// Whether to be told of each poll.
    fn watches(&self) -> bool;
    /// A task's code is about to be run.
    fn begins(&self, subject: TaskMeta);
    /// It came back.
    fn returns(&self);
    /// A timer of the host's own future is due: see [`HostWaker`](super::timer_target::HostWaker).
    fn wake_main(&self);
    /// A guarded task is asked to end: who waits for that is to be woken.
    fn asked(&self, id: TaskId);
    /// A task is let go: nothing need be kept for it any more.
    fn retired(&self, id: TaskId);
}

/// One task's end, for whoever keeps a record.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) how: End,
    /// What had been asked of it.
    pub(crate) request: Option<Request>,
    pub(crate) details: TaskSnapshot,
}

/// What there is to say of a task at some time.
#[derive(Debug, Clone)]
pub(crate) struct TaskSnapshot {
    pub(crate) subject: TaskMeta,
    pub(crate) activity: Activity,
    pub(crate) polls: u64,
    pub(crate) since: Tick,
}

/// What a task is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activity {
    Idle,
    Ready,
    Running,
}
