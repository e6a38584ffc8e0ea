//! An executor as a guest: inside another runtime, in the frames of a user interface, until it is empty.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::{Executor, Held, Resting, Turn};

impl Executor {
    /// Makes turns until the loop is idle, has ended, or `budget` has passed, and returns the sums of their counts: for
    /// the frame of a user interface or a game.
    ///
    /// It makes at least one turn. The budget is real time, also with a virtual clock, and is looked at between turns: a
    /// poll that takes longer delays the return. Virtual time does not jump.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let mut executor = sideloop::Executor::new();
    /// let busy = executor.spawn_local(async {
    ///     loop {
    ///         sideloop::yield_now().await;
    ///     }
    /// });
    /// let frame = executor.turn_for(Duration::from_millis(4));
    /// assert!(frame.polls > 0 && !frame.idle); // and now the frame is drawn
    /// busy.abort();
    /// assert!(executor.turn_for(Duration::MAX).idle);
    /// ```
    pub fn turn_for(&mut self, budget: Duration) -> Turn {
        let begun = Instant::now();
        let mut sums = (0, 0);
        loop {
            let turn = self.turn();
            sums = (sums.0 + turn.polls, sums.1 + turn.fired);
            let goes_on = !turn.idle || self.is_due(&turn) || self.look();
            if turn.ended || !goes_on || begun.elapsed() >= budget {
                return Turn { polls: sums.0, fired: sums.1, ..turn };
            }
        }
    }

    /// Whether a timer has come due since the turn.
    #[inline(always)]
    pub(super) fn is_due(&self, turn: &Turn) -> bool {
        turn.next_deadline.is_some_and(|at| self.has_come(at))
    }

    /// Makes a turn as a guest of another runtime. Ready with the turn if it did something, or if the loop has ended;
    /// else pending, and the waker of `cx` is woken when the loop has something to do.
    ///
    /// Of several wakers the last one is kept. Deadlines are the host's: while it is pending, poll again at
    /// [`next_deadline`](Self::next_deadline). With sockets, wait for the executor's descriptor as well. Virtual time does
    /// not jump.
    ///
    /// # Cancel safety
    ///
    /// Strict: it may be polled again at any time, or never.
    ///
    /// # Examples
    ///
    /// An executor as one future, with the timers of its host:
    ///
    /// ```
    /// use sideloop::{Executor, Shutdown, block_on, time};
    /// use std::{future::poll_fn, pin::pin, task::Poll, time::{Duration, Instant}};
    ///
    /// async fn drive(mut guest: Executor) {
    ///     loop {
    ///         let at = guest.next_deadline().unwrap_or(Instant::now() + Duration::from_secs(3600));
    ///         let mut deadline = pin!(time::sleep_until(at));
    ///         let turn = poll_fn(|cx| match guest.poll_turn(cx) {
    ///             Poll::Ready(turn) => Poll::Ready(Some(turn)),
    ///             Poll::Pending => deadline.as_mut().poll(cx).map(|()| None),
    ///         });
    ///         if turn.await.is_some_and(|turn| turn.ended) {
    ///             return;
    ///         }
    ///     }
    /// }
    ///
    /// let guest = Executor::new();
    /// let handle = guest.handle().clone();
    /// std::thread::spawn(move || handle.shutdown(Shutdown::now()));
    /// block_on(drive(guest));
    /// ```
    pub fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        // Before the turn, whose end declares the loop idle: what comes in after that wakes it.
        self.local.guest.set(Some(cx.waker().clone()));
        let turn = self.turn();
        if turn.idle && turn.polls + turn.fired == 0 && !turn.ended {
            return Poll::Pending;
        }
        self.local.guest.set(None);
        Poll::Ready(turn)
    }

    /// Runs the loop until no task lives, blocking the thread while nothing is ready. Nothing is closed: the executor can
    /// be used again.
    ///
    /// Tasks of other threads that arrive meanwhile are run like the others; a [`call_every`](crate::Handle::call_every)
    /// keeps it going. It returns, too, when the loop has been shut down. Virtual time jumps as in [`run`](Self::run).
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::{Builder, time};
    /// use std::time::Duration;
    ///
    /// let mut executor = Builder::new().virtual_time(0).build();
    /// let nightly = executor.spawn_local(time::sleep(Duration::from_secs(24 * 3600)));
    /// executor.run_until_empty();
    /// assert!(nightly.is_finished());
    /// ```
    pub fn run_until_empty(&mut self) {
        let local = &*self.local;
        let _held = Held::by(local);
        let _resting = Resting(local);
        let _entered = local.scheduler.side.enter();
        local.forget_reading();
        local.keep_pace();
        loop {
            let done = local.turn();
            if local.end_if_empty() {
                return local.end();
            }
            let is_idle = local.is_idle() && !done.more_timers;
            if is_idle && local.scheduler.live() == 0 {
                return local.leave_turn();
            }
            if is_idle {
                local.park();
            } else {
                local.look_if_due();
            }
        }
    }
}
