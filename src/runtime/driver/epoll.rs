//! Our own driver: `epoll` with an `eventfd` for a bell, by `rustix`'s safe functions.
//!
//! An object is registered edge-triggered, for the directions in which somebody has waited for it, and stays so until its
//! [`Async`](super::super::super::io::Async) goes: one system call for each object and direction, none for each wait. The
//! bell is edge-triggered, too, so it is never read: each write is an edge. A sleep is one `epoll_pwait2` (Linux 5.11),
//! whose time limit is in nanoseconds; where there is none, the first registration says so.
//!
//! # Long sleeps
//!
//! The kernel lets the time limit of `epoll` be late by a thousandth of it (for a process that is `nice`, by five), at most
//! by 100 ms, whatever the timer slack of the thread. A sleep is therefore ended early by a little more than that, and the
//! rest slept anew: a sleep of an hour takes four waits, one of less than [`EXACT`] one.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::io::{Errno, write};

use super::{Direction, Event, Key, Made, Sleeper, Wanted};

/// How many events are taken at a time; the others wait their turn in the kernel.
const EVENTS: usize = 256;

/// What the bell's events say.
const BELL: u64 = u64::MAX;

/// A wait that is not longer than this is late by some microseconds at most.
const EXACT: Duration = Duration::from_millis(1);

/// The part of a wait, and the most of it, that is slept anew.
const REST: (u32, Duration) = (128, Duration::from_millis(150));

/// The events in which `direction` is ready.
fn interest(direction: Direction) -> epoll::EventFlags {
    use epoll::EventFlags as Flags;
    match direction {
        Direction::Read => Flags::IN | Flags::PRI | Flags::RDHUP,
        Direction::Write => Flags::OUT,
    }
}

/// The driver.
pub(crate) struct Epoll {
    list: Arc<OwnedFd>,
    /// Those of the last look or wait; of which so many are done with.
    events: Vec<epoll::Event>,
    done: usize,
    /// What the bell writes to, which closes with the driver.
    _bell: Arc<OwnedFd>,
}

impl Epoll {
    /// A driver and its bell, and the list of its objects.
    pub(crate) fn make() -> io::Result<(Made, Arc<OwnedFd>)> {
        let list = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let edge = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&list, &bell, epoll::EventData::new_u64(BELL), edge)?;
        let ring = ring(Arc::downgrade(&bell));
        let events = Vec::with_capacity(EVENTS);
        let mut driver = Self { list: list.clone(), events, done: 0, _bell: bell };
        driver.take(Some(Duration::ZERO))?; // whether the kernel can
        Ok(((Box::new(driver), Box::new(ring)), list))
    }

    /// Takes what is ready within `limit`.
    fn take(&mut self, limit: Option<Duration>) -> Result<(), Errno> {
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        self.events.clear();
        self.done = 0;
        match epoll::wait(&self.list, spare_capacity(&mut self.events), limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Ends a wait of the driver, as long as there is one.
fn ring(bell: Weak<OwnedFd>) -> impl Fn() + Send + Sync + 'static {
    move || {
        if let Some(bell) = bell.upgrade() {
            // It fails where 2^64 - 1 rings have been counted: those have rung.
            let _ = write(&*bell, &1_u64.to_ne_bytes());
        }
    }
}

/// How long to wait first where `left` is left.
fn first(left: Duration) -> Duration {
    let (part, most) = REST;
    if left <= EXACT { left } else { left - (left / part).min(most) }
}

impl Sleeper for Epoll {
    fn is_one_shot(&self) -> bool {
        false
    }

    fn look(&mut self) -> io::Result<()> {
        Ok(self.take(Some(Duration::ZERO))?)
    }

    fn wait(&mut self, until: Option<Instant>) -> io::Result<()> {
        let Some(until) = until else { return Ok(self.take(None)?) };
        loop {
            let left = until.saturating_duration_since(Instant::now());
            self.take(Some(first(left)))?;
            if left <= EXACT || !self.events.is_empty() {
                return Ok(());
            }
        }
    }

    fn register(&mut self, wanted: Wanted<'_>) -> io::Result<()> {
        let Wanted { key, object, direction, has_other, .. } = wanted;
        // The last place stands for the bell; a list of so many objects has no room in memory.
        let place = u32::try_from(key.place).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let data = epoll::EventData::new_u64(u64::from(place) << 32 | u64::from(key.half));
        let edge = interest(direction) | epoll::EventFlags::ET;
        if !has_other {
            return Ok(epoll::add(&self.list, object, data, edge)?);
        }
        let both = interest(Direction::Read) | interest(Direction::Write);
        Ok(epoll::modify(&self.list, object, data, both | epoll::EventFlags::ET)?)
    }

    fn next_event(&mut self) -> Option<Event> {
        while let Some(event) = self.events.get(self.done).copied() {
            self.done += 1;
            if event.data.u64() != BELL {
                return Some(read(event));
            }
        }
        None
    }
}

/// What an event of the kernel says.
#[allow(clippy::cast_possible_truncation)] // halves
fn read(event: epoll::Event) -> Event {
    use epoll::EventFlags as Flags;
    let (flags, data) = (event.flags, event.data.u64());
    let broken = flags.intersects(Flags::HUP | Flags::ERR);
    let read_over = broken || flags.intersects(Flags::RDHUP | Flags::PRI);
    Event {
        key: Key { place: (data >> 32) as usize, half: data as u32 },
        ready: [read_over || flags.contains(Flags::IN), broken || flags.contains(Flags::OUT)],
        over: [read_over, broken],
    }
}

/// Takes an object out of a list, from any thread.
pub(crate) fn unlist(list: &OwnedFd, object: impl AsFd) {
    // One that is not in it is what was wanted.
    let _ = epoll::delete(list, object);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// N2: no part of a wait that is slept at once is so long that its lateness reaches beyond the deadline.
    #[test]
    fn the_rest_of_a_wait_covers_the_lateness_of_its_beginning() {
        for nanos in [1, 1_000_000, 1_000_001, 10_000_000, 1_000_000_000, 3_600_000_000_000_u64] {
            let (left, mut waits) = (Duration::from_nanos(nanos), 0);
            let mut now = Duration::ZERO;
            while now < left {
                let part = first(left - now);
                let late = (part / 200).min(Duration::from_millis(100));
                let is_last = part == left - now;
                assert!(is_last || now + part + late <= left, "{left:?} at {now:?}");
                now += part;
                waits += 1;
            }
            assert!(waits <= 5, "{left:?} takes {waits} waits");
        }
    }
}
