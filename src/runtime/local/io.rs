//! How a loop waits for I/O: when it looks, where it sleeps, and whom it wakes.
//!
//! The driver comes with the loop, or with the first registration; until then nothing here does anything. No user code is
//! called while anything here is borrowed, except for a driver of the user's, which is borrowed while it is asked: what it
//! wakes meanwhile is noted, and done afterwards.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::Local;
use crate::error::{StartError, contain, discard, forget_payload};
use crate::id::TaskId;
use crate::runtime::bells::Bells;
use crate::runtime::context::LoopNumber;
use crate::runtime::driver::{Direction, Event, Made, Make, Sleeper};
use crate::runtime::objects::{Objects, Source, Waiter};
use crate::runtime::parker::fall_asleep;
use crate::scheduler::TimerTarget;

/// A busy loop looks for readiness after so many turns, or after so long.
const TURNS: u32 = 61;
const AFTER: Duration = Duration::from_millis(1);

/// So many operations in a row may one task do; then it yields.
const OPERATIONS: u32 = 128;

/// What a loop waits for I/O with.
pub(crate) struct Io {
    bells: Bells,
    pub(super) driver: RefCell<Option<Box<dyn Sleeper>>>,
    /// Whether there is a driver.
    is_used: Cell<bool>,
    /// Whether the driver failed when it was asked last.
    has_failed: Cell<bool>,
    pub(super) objects: RefCell<Objects>,
    /// What a driver woke while it was being asked.
    noted: RefCell<Vec<Event>>,
    /// The list of our own driver, which a host may look at as long as the loop is there.
    pub(super) list: OnceCell<Arc<OwnedFd>>,
    /// The last number given to a future that waits.
    tickets: Cell<u64>,
    /// Whether the loop was declared asleep for its host, and has not been driven since.
    pub(super) is_resting: Cell<bool>,
    /// The turns since the last look or sleep, and when the first of them was.
    turns: Cell<u32>,
    since: Cell<Option<Instant>>,
    /// Whose operations are counted, and how many it has left.
    budget: Cell<(Option<TaskId>, u32)>,
}

/// A future that waits on some loop: which loop, and its number there.
pub(crate) type IoTicket = Option<(LoopNumber, u64)>;

impl Io {
    pub(super) fn new(bells: Bells) -> Self {
        Self {
            bells,
            driver: RefCell::new(None),
            is_used: Cell::new(false),
            has_failed: Cell::new(false),
            objects: RefCell::default(),
            noted: RefCell::default(),
            list: OnceCell::new(),
            tickets: Cell::new(0),
            is_resting: Cell::new(false),
            turns: Cell::new(0),
            since: Cell::new(None),
            budget: Cell::new((None, OPERATIONS)),
        }
    }

    /// The loop ends: whoever waits is dropped, and the driver after them.
    pub(super) fn close(&self) {
        self.is_used.set(false);
        self.bells.name_parker();
        let waiters = self.objects.borrow_mut().clear();
        waiters.into_iter().for_each(discard);
        let noted = std::mem::take(&mut *self.noted.borrow_mut());
        let driver = self.driver.borrow_mut().take();
        drop(noted);
        discard(driver);
    }

    /// From here on the loop sleeps in this driver.
    fn use_driver(&self, (driver, bell): Made) {
        *self.driver.borrow_mut() = Some(driver);
        self.is_used.set(true);
        self.bells.hang(bell);
    }

    /// Asks the driver. A panic of it is an error.
    pub(super) fn ask<R>(
        &self,
        what: impl FnOnce(&mut dyn Sleeper) -> io::Result<R>,
    ) -> io::Result<R> {
        let answer = {
            let Ok(mut driver) = self.driver.try_borrow_mut() else {
                return Err(io::Error::other("the loop's I/O driver was used from inside itself"));
            };
            let Some(driver) = driver.as_deref_mut() else { return Err(ended()) };
            contain(|| what(driver))
        };
        answer.unwrap_or_else(|payload| {
            let message = payload.message().unwrap_or("(no message)");
            let error = io::Error::other(format!("the loop's I/O driver panicked: {message}"));
            forget_payload(payload);
            Err(error)
        })
    }

    fn is_one_shot(&self) -> bool {
        // A driver that is being asked by its own wakes is one of the user's.
        let Ok(driver) = self.driver.try_borrow() else { return true };
        driver.as_deref().is_some_and(Sleeper::is_one_shot)
    }

    fn next_event(&self) -> Option<Event> {
        self.driver.borrow_mut().as_deref_mut()?.next_event()
    }

    /// The next look is far.
    fn begin_anew(&self) {
        self.turns.set(0);
        self.since.set(None);
    }

    fn draw_ticket(&self) -> u64 {
        self.tickets.set(self.tickets.get() + 1);
        self.tickets.get()
    }
}

fn ended() -> io::Error {
    io::Error::other("the loop that waits for this I/O has ended")
}

/// The error of a driver, for each of those who waited.
fn copy(error: &Arc<io::Error>) -> io::Error {
    let copied = error.raw_os_error().map(io::Error::from_raw_os_error);
    copied.unwrap_or_else(|| io::Error::new(error.kind(), error.clone()))
}

impl Local {
    /// Has a driver of the user's made. Before the first turn.
    pub(crate) fn make_driver(&self, make: Make) -> Result<(), StartError> {
        make().map(|made| self.io.use_driver(made))
    }

    /// Has our own driver, if there is none yet.
    pub(super) fn need_driver(&self) -> io::Result<()> {
        if self.io.is_used.get() {
            return Ok(());
        }
        if self.has_ended() {
            return Err(ended());
        }
        self.use_own_driver()
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn use_own_driver(&self) -> io::Result<()> {
        let (made, list) = crate::runtime::driver::epoll::Epoll::make()?;
        let _ = self.io.list.set(list);
        self.io.use_driver(made);
        Ok(())
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn use_own_driver(&self) -> io::Result<()> {
        let why = "there is no I/O driver for this system: Builder::driver takes one of yours";
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }

    /// The descriptor that is readable when the loop of a host has something to do.
    pub(crate) fn descriptor(&self) -> io::Result<BorrowedFd<'_>> {
        if self.io.list.get().is_none() {
            // The host may have been told that nothing is to be done: what comes in from here on rings another bell.
            self.shared.run_queues.notify();
            self.scheduler.side.resume();
            self.need_driver()?;
            self.io.bells.ring_driver();
        }
        let why = "a driver of the user's has no descriptor that a host could wait for";
        let list = self.io.list.get();
        list.map(AsFd::as_fd).ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, why))
    }

    /// Sleeps in the driver until something comes in, is ready, or the deadline passes. `false`: there is none.
    pub(super) fn sleep_in_driver(&self, deadline: Option<Instant>) -> bool {
        let io = &self.io;
        if !io.is_used.get() {
            return false;
        }
        io.begin_anew();
        if io.has_failed.take() {
            io.bells.name_parker();
            self.parker.sleep(&self.scheduler.side, deadline);
            io.bells.name_driver();
            return true;
        }
        let mut outcome = Ok(());
        fall_asleep(&self.scheduler.side, || {
            self.scheduler.side.counters().io_waits.add(1);
            outcome = io.ask(|driver| driver.wait(deadline));
        });
        self.take_events(outcome);
        true
    }

    /// Looks for what is ready, and wakes those who wait for it. Says whether there is something to be polled now.
    pub(crate) fn look_for_io(&self) -> bool {
        let io = &self.io;
        if !io.is_used.get() {
            return false;
        }
        io.begin_anew();
        self.leave_turn();
        io.has_failed.set(false);
        let outcome = io.ask(|driver| driver.look());
        self.take_events(outcome);
        let main = self.main.borrow();
        !self.scheduler.is_idle() || main.as_ref().is_some_and(|main| main.is_woken())
    }

    /// Looks for what is ready if the host was told that there was nothing, or a busy loop has not for long enough.
    pub(crate) fn look_for_host(&self) {
        if self.io.is_resting.take() {
            self.look_for_io();
        } else {
            self.look_if_due();
        }
    }

    /// Looks for what is ready if a busy loop has not for long enough.
    #[inline]
    pub(crate) fn look_if_due(&self) {
        if self.io.is_used.get() {
            self.count_turn();
        }
    }

    fn count_turn(&self) {
        let (io, now) = (&self.io, Instant::now());
        io.turns.set(io.turns.get() + 1);
        let since = io.since.get().unwrap_or(now);
        io.since.set(Some(since));
        if io.turns.get() >= TURNS || now.saturating_duration_since(since) >= AFTER {
            self.look_for_io();
        }
    }

    /// Does what the driver has said when it was asked, and what it woke meanwhile.
    fn take_events(&self, outcome: io::Result<()>) {
        while let Some(event) = self.io.next_event() {
            self.wake_for(event);
        }
        self.take_noted();
        if let Err(error) = outcome {
            self.fail(error);
        }
    }

    fn take_noted(&self) {
        let noted = std::mem::take(&mut *self.io.noted.borrow_mut());
        noted.into_iter().for_each(|event| self.wake_for(event));
    }

    /// A driver of the user's has woken for an object: now, or when it is done with what it was asked.
    pub(crate) fn take_event(&self, event: Event) {
        if self.io.driver.try_borrow().is_err() {
            return self.io.noted.borrow_mut().push(event);
        }
        let _entered = self.scheduler.side.enter();
        self.wake_for(event);
    }

    fn wake_for(&self, event: Event) {
        let is_one_shot = self.io.is_one_shot();
        let Some(waiters) = self.io.objects.borrow_mut().take_event(event, is_one_shot) else {
            return;
        };
        self.scheduler.side.counters().io_events.add(1);
        for (direction, mut list) in Direction::BOTH.into_iter().zip(waiters) {
            self.wake_all(list.drain(..));
            self.io.objects.borrow_mut().keep(event.key.place, direction, list);
        }
    }

    pub(super) fn wake_all(&self, waiters: impl IntoIterator<Item = Waiter>) {
        waiters.into_iter().for_each(|waiter| self.scheduler.fire(waiter.timer_target, self));
    }

    /// The driver has failed: who waits for I/O learns it, and the next sleep is elsewhere.
    #[cold]
    fn fail(&self, error: io::Error) {
        self.io.has_failed.set(true);
        let is_one_shot = self.io.is_one_shot();
        let waiters = self.io.objects.borrow_mut().fail(&Arc::new(error), is_one_shot);
        self.wake_all(waiters);
    }

    /// Whether an operation on an object is to be tried.
    #[inline]
    pub(crate) fn may_try(&self, source: &Source, direction: Direction) -> bool {
        self.io.objects.borrow().may_try(source.at(), direction)
    }

    /// An operation would have blocked, or has taken all there was.
    #[inline]
    pub(crate) fn set_unready(&self, source: &Source, direction: Direction) {
        self.io.objects.borrow_mut().set_unready(source.at(), direction);
    }

    /// Whether the task that runs may do one more operation before others have their turn.
    pub(crate) fn may_go_on(&self) -> bool {
        let running = self.scheduler.side.running();
        let (task, left) = self.io.budget.get();
        let left = if task == running { left } else { OPERATIONS };
        self.io.budget.set((running, left.checked_sub(1).unwrap_or(OPERATIONS)));
        left > 0
    }

    /// Has `waker` woken when `object` becomes ready. A future that waits gives its ticket.
    pub(crate) fn wait_for(
        &self,
        source: &Source,
        object: BorrowedFd<'_>,
        direction: Direction,
        waker: &Waker,
        ticket: Option<&mut IoTicket>,
    ) -> io::Result<()> {
        self.owed_failure(source, direction)?;
        let place = self.register(source, object, direction)?;
        let ticket = ticket.map_or(0, |ticket| {
            let home = self.shared.number;
            let here = ticket.filter(|(at, _)| *at == home);
            let (_, number) = here.unwrap_or_else(|| (home, self.io.draw_ticket()));
            *ticket = Some((home, number));
            number
        });
        self.put(place, direction, ticket, waker);
        self.take_noted();
        Ok(())
    }

    /// The error of the driver's that somebody who waited is owed, if one is.
    pub(crate) fn owed_failure(&self, source: &Source, direction: Direction) -> io::Result<()> {
        let failure = self.io.objects.borrow_mut().take_failure(source.at(), direction);
        failure.map_or(Ok(()), |error| Err(copy(&error)))
    }

    fn put(&self, place: usize, direction: Direction, ticket: u64, waker: &Waker) {
        let objects = &self.io.objects;
        let is = |timer_target: &TimerTarget| self.scheduler.is_of(timer_target, waker);
        if objects.borrow().is_waiting(place, direction, ticket, is) {
            return;
        }
        let waiter = Waiter { ticket, timer_target: self.scheduler.timer_target(waker) };
        let lives = |timer_target: &TimerTarget| self.scheduler.lives(timer_target);
        let other = objects.borrow_mut().wait(place, direction, waiter, lives);
        match other {
            Some(Waiter { ticket: 0, timer_target }) => self.scheduler.fire(timer_target, self),
            Some(replaced) => discard(replaced),
            None => {}
        }
    }
}
