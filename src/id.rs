//! Names of tasks: serial numbers that no two tasks of a process ever share.
//!
//! The serial is the whole identity. Beside it an id may carry a *hint*, the task's place in its
//! loop's registry: it makes a lookup quick, is verified by the serial, and takes no part in
//! equality, order, hash or display.

mod identity;

use core::cell::Cell;
use core::fmt;
use core::hash::{Hash, Hasher};

pub use self::identity::TaskIdentity;
use crate::sync::fixed::Serial;

/// How many serials a loop draws at once for the tasks that are spawned on its own thread.
const BLOCK: u16 = 256;

/// A place in the registry that no task has: the task was not there yet when the id was made.
pub(crate) const NO_KEY: u32 = u32::MAX;

/// Another such place: the id was made of a number alone, and may be that of a task with a key.
pub(crate) const BY_NUMBER: u32 = u32::MAX - 1;

static NEXT: Serial = Serial::new(1);

/// Names one task among all loops of the process; never reused.
///
/// Ids are ordered by spawning: of two tasks spawned by one thread on one loop, the later has the
/// larger id.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let side = sideloop::LoopThread::start()?;
/// let (a, b) = (side.handle().call(|| 1), side.handle().call(|| 2));
/// assert_ne!(a.id(), b.id());
/// assert!(a.id() < b.id(), "{} was issued before {}", a.id(), b.id());
/// # Ok(()) }
/// # #[cfg(not(feature = "std"))] fn main() {}
/// ```
#[derive(Clone, Copy)]
pub struct TaskId {
    serial: u64,
    key: u32,
}

impl TaskId {
    pub(crate) const fn new(serial: u64, key: u32) -> Self {
        Self { serial, key }
    }

    /// The id as a number: unique in the process, increasing, without further meaning.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let side = sideloop::LoopThread::start()?;
    /// let id = side.handle().call(|| ()).id();
    /// assert_eq!(id.to_string(), id.as_u64().to_string()); // for logs and other languages
    /// # Ok(()) }
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// ```
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.serial
    }

    /// The id with this number, as returned by [`as_u64`](Self::as_u64): for ids that went through another
    /// language, a log or a socket. `None` for zero, which is never an id.
    ///
    /// This does not check that the task exists or existed: a request by the id of no task finds
    /// [`CancelRequest::NotFound`](crate::CancelRequest::NotFound).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{LoopThread, TaskId};
    ///
    /// let side = LoopThread::start()?;
    /// let stuck = side.handle().spawn(std::future::pending::<()>());
    /// let number = stuck.id().as_u64(); // what a caller in C keeps
    /// let id = TaskId::from_u64(number).ok_or("no id")?;
    /// side.handle().cancel(id).join()?;
    /// assert!(stuck.join().is_err());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// ```
    #[must_use]
    pub const fn from_u64(id: u64) -> Option<Self> {
        match id {
            0 => None,
            serial => Some(Self { serial, key: BY_NUMBER }),
        }
    }

    /// Where the registry may find the task, [`NO_KEY`] or [`BY_NUMBER`].
    pub(crate) const fn key(self) -> u32 {
        self.key
    }
}

impl PartialEq for TaskId {
    fn eq(&self, other: &Self) -> bool {
        self.serial == other.serial
    }
}

impl Eq for TaskId {}

impl PartialOrd for TaskId {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TaskId {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.serial.cmp(&other.serial)
    }
}

impl Hash for TaskId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.serial.hash(state);
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serial.fmt(f)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskId({})", self.serial)
    }
}

/// Draws one serial number. From any thread.
pub(crate) fn draw() -> u64 {
    NEXT.draw(1)
}

/// The serials of one loop's own thread: drawn in blocks, handed out by a plain counter.
#[derive(Debug, Default)]
pub(crate) struct Serials {
    next: Cell<u64>,
    end: Cell<u64>,
}

impl Serials {
    /// The next serial of this loop's thread.
    #[inline]
    pub(crate) fn draw(&self) -> u64 {
        if self.next.get() == self.end.get() {
            let first = NEXT.draw(BLOCK);
            self.next.set(first);
            self.end.set(first + u64::from(BLOCK));
        }
        let serial = self.next.get();
        self.next.set(serial + 1);
        serial
    }

    /// Keeps serial order and spawn order the same: after a task with `serial` came in from
    /// another thread, this thread hands out no smaller number.
    pub(crate) fn passed(&self, serial: u64) {
        if serial >= self.end.get() {
            self.end.set(self.next.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_runs_out_and_the_next_is_drawn() {
        let serials = Serials::default();
        let drawn: alloc::vec::Vec<u64> = (0..=BLOCK * 2).map(|_| serials.draw()).collect();
        assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]), "{drawn:?}");
    }

    #[test]
    fn a_block_may_lie_across_the_end_of_32_bits() {
        let (first, end) = ((1 << 32) - 2, (1 << 32) + 2);
        let serials = Serials { next: Cell::new(first), end: Cell::new(end) };
        serials.passed(first - 1);
        let ids: alloc::vec::Vec<TaskId> =
            (first..end).map(|_| TaskId::new(serials.draw(), NO_KEY)).collect();
        assert!(ids.iter().map(|id| id.as_u64()).eq(first..end), "{ids:?}");
        assert!(ids.is_sorted() && ids[3] != TaskId::new(1, NO_KEY), "{ids:?}");
    }

    #[test]
    fn after_a_later_serial_came_in_no_smaller_one_is_handed_out() {
        let serials = Serials::default();
        let first = serials.draw();
        let remote = draw();
        assert!(remote > first);
        serials.passed(remote);
        assert!(serials.draw() > remote);
    }

    #[test]
    fn an_earlier_serial_that_comes_in_late_wastes_no_block() {
        let serials = Serials::default();
        let remote = draw();
        let first = serials.draw();
        serials.passed(remote);
        assert_eq!(serials.draw(), first + 1);
    }

    #[test]
    fn the_hint_takes_no_part_in_identity() {
        let (a, b) = (TaskId::new(7, 1), TaskId::new(7, NO_KEY));
        assert_eq!(a, b);
        assert_eq!(a.cmp(&b), core::cmp::Ordering::Equal);
        assert_eq!(
            (alloc::format!("{a}"), alloc::format!("{a:?}")),
            ("7".into(), "TaskId(7)".into())
        );
    }
}
