//! What can be seen of tasks from outside.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::id::TaskId;

/// What is known of one task.
#[derive(Debug, Clone)]
pub struct TaskInfo {
    /// Its id.
    pub id: TaskId,
    /// The name it was given.
    pub name: Option<Arc<str>>,
    /// Where it was spawned.
    pub location: &'static Location<'static>,
    /// What it was doing when it was looked at; of an ended task, [`TaskState::Idle`].
    pub state: TaskState,
    /// How often it has been polled.
    pub polls: u64,
    /// How long its loop has known it.
    pub age: Duration,
}

/// What a task is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// It waits to be woken.
    Idle,
    /// It waits to be polled.
    Ready,
    /// It is being polled.
    Running,
}
