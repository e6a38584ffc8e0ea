//! Panics that no handle will report, as the hook of the loop receives them.

use std::fmt;
use std::panic::Location;

use crate::error::PanicPayload;
use crate::id::TaskId;
use crate::task::loop_side::UnobservedPanic;

/// The hook of [`Builder::on_panic`](crate::Builder::on_panic).
pub(crate) type PanicHook = Box<dyn Fn(&TaskPanic<'_>) + Send>;

/// A panic in a task whose handle is gone.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::mpsc;
///
/// let (tell, told) = mpsc::channel();
/// let side = sideloop::LoopThread::builder()
///     .on_panic(move |panic| {
///         let _ = tell.send(format!("{:?} at {}", panic.payload().message(), panic.location().line()));
///     })
///     .start()?;
/// side.handle().call(|| panic!("nobody looks")).detach();
/// assert!(told.recv()?.starts_with("Some(\"nobody looks\")"));
/// # Ok(()) }
/// ```
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::mpsc;
///
/// let (tell, told) = mpsc::channel();
/// let side = sideloop::LoopThread::builder()
///     .on_panic(move |panic| drop(tell.send((panic.id(), panic.name().map(String::from)))))
///     .start()?;
/// let task = side.handle().task().name("parser").spawn(async { panic!("bad input") });
/// let id = task.id();
/// task.detach();
/// assert_eq!(told.recv()?, (id, Some(String::from("parser"))));
/// # Ok(()) }
/// ```
pub struct TaskPanic<'a>(&'a UnobservedPanic);

impl<'a> TaskPanic<'a> {
    pub(crate) fn new(lost: &'a UnobservedPanic) -> Self {
        Self(lost)
    }

    /// The task's id.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.0.subject.id
    }

    /// The task's name, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.subject.name.as_deref()
    }

    /// Where the task was spawned.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.0.subject.location
    }

    /// The panic's payload.
    #[must_use]
    pub fn payload(&self) -> &PanicPayload {
        &self.0.payload
    }
}

impl fmt::Debug for TaskPanic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskPanic")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("location", &self.location())
            .field("payload", &self.payload())
            .finish()
    }
}
