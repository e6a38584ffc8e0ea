//! Which task it was, for errors that outlive it.

use alloc::sync::Arc;
use core::fmt;
use core::panic::Location;

use crate::id::TaskId;

/// Names the task of an error: its id, its name, and where it was spawned.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let side = sideloop::LoopThread::start()?;
/// let task = side.handle().task().name("parser").spawn(async { panic!("bad input") });
/// let id = task.id();
/// let error = task.join().unwrap_err();
/// let task = error.task().ok_or("it panicked")?;
/// assert_eq!((task.id(), task.name()), (id, Some("parser")));
/// assert!(task.location().file().ends_with(".rs"));
/// assert!(task.to_string().starts_with(&format!("task {id} \"parser\" (")));
/// # Ok(()) }
/// # #[cfg(not(feature = "std"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct TaskIdentity {
    id: TaskId,
    name: Option<Arc<str>>,
    location: &'static Location<'static>,
}

impl TaskIdentity {
    pub(crate) fn new(
        id: TaskId,
        name: Option<Arc<str>>,
        location: &'static Location<'static>,
    ) -> Self {
        Self { id, name, location }
    }

    /// The task's id.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The task's name, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where the task was spawned.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

impl fmt::Display for TaskIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "task {} {name:?} ({})", self.id, self.location),
            None => write!(f, "task {} ({})", self.id, self.location),
        }
    }
}
