//! Time limits on other loops and threads, and with wakers that come back.

use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use sideloop::time::{self, Elapsed, Timeout};
use sideloop::{Executor, Shutdown};

use crate::sleeping_order::pass;
use crate::support::{CountingWaker, join_ok, limited, loop_started};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

fn poll_with<F: Future>(future: &mut Pin<Box<F>>, waker: &Waker) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

fn poll_once<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    poll_with(future, Waker::noop())
}

// ───────────── M7: timeouts that travel ─────────────

/// M7: a timeout that waits on one loop may be awaited on another, and the first has no timer then.
#[test]
fn a_timeout_moves_to_another_loop() {
    limited(|| {
        let (mut one, other) = (Executor::new(), loop_started());
        for first_ends in [false, true] {
            let at = Instant::now() + 3 * MS;
            let mut limited = Box::pin(time::timeout_at(at, pending::<()>()));
            one.block_on(async { assert!(poll_once(&mut limited).is_pending()) });
            if first_ends {
                one.handle().shutdown(Shutdown::now());
                one.run();
            }
            let task = other.handle().spawn(async move { (limited.await, Instant::now()) });
            let (result, ended) = join_ok(task);
            assert!(result == Err(Elapsed) && ended >= at);
            one.run_until_idle();
            assert_eq!(one.turn().next_deadline, None, "ended: {first_ends}");
        }
    });
}

/// M7: outside any loop a timeout gives what is ready, and panics if it has to wait.
#[test]
fn a_timeout_outside_any_loop_says_so() {
    limited(|| {
        let mut ready = Box::pin(time::timeout(HOUR, ready(1)));
        assert_eq!(poll_once(&mut ready), Poll::Ready(Ok(1)));
        let mut limited = Box::pin(time::timeout(MS, pending::<()>()));
        let poll = catch_unwind(AssertUnwindSafe(|| poll_once(&mut limited)));
        let payload = poll.expect_err("M7: it panics");
        let message = payload.downcast_ref::<&str>().expect("a message");
        assert!(message.contains("outside of a sideloop loop"), "{message}");
        assert_eq!(sideloop::block_on(limited), Err(Elapsed));
    });
}

// ───────────── wakers ─────────────

/// A waker that does something when it is woken, and something when it is dropped.
struct Reentrant {
    on_wake: Mutex<Box<dyn FnMut() + Send>>,
    on_drop: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Reentrant {
    fn waker(
        on_wake: impl FnMut() + Send + 'static,
        on_drop: impl FnOnce() + Send + 'static,
    ) -> Waker {
        let (on_wake, on_drop) = (Mutex::new(Box::new(on_wake) as _), Some(Box::new(on_drop) as _));
        Waker::from(Arc::new(Self { on_wake, on_drop: Mutex::new(on_drop) }))
    }
}

impl Wake for Reentrant {
    fn wake(self: Arc<Self>) {
        self.on_wake.lock().expect("one wake at a time")();
    }
}

impl Drop for Reentrant {
    fn drop(&mut self) {
        let on_drop = self.on_drop.lock().expect("nobody else is here").take();
        on_drop.into_iter().for_each(|on_drop| on_drop());
    }
}

fn armed(at: Instant, waker: &Waker) -> Pin<Box<Timeout<std::future::Pending<()>>>> {
    let mut limited = Box::pin(time::timeout_at(at, pending::<()>()));
    assert!(poll_with(&mut limited, waker).is_pending());
    limited
}

/// M6, P1: dropping a timeout may drop a waker whose drop drops and arms timeouts.
#[test]
fn a_waker_may_drop_and_arm_timeouts_when_it_is_dropped() {
    limited(|| {
        let mut executor = Executor::new();
        let (first, second) = (Instant::now() + HOUR, Instant::now() + 2 * HOUR);
        let kept = Arc::new(Mutex::new(None));
        executor.block_on(async {
            let (inner, there) = (armed(first, Waker::noop()), Arc::clone(&kept));
            let outer = armed(
                first,
                &Reentrant::waker(
                    || (),
                    move || {
                        drop(inner);
                        *there.lock().expect("nobody else is here") =
                            Some(armed(second, Waker::noop()));
                    },
                ),
            );
            drop(outer);
        });
        assert!(kept.lock().expect("nobody else is here").is_some(), "the waker was dropped");
        assert_eq!(executor.turn().next_deadline, Some(second));
        drop(kept);
        assert_eq!(executor.turn().next_deadline, None);
    });
}

/// M8, X1: the limit may wake a waker that drops and arms timeouts, and panics; the others still come.
#[test]
fn a_waker_may_drop_and_arm_timeouts_when_it_is_woken() {
    limited(|| {
        let mut executor = Executor::new();
        let (far, kept) = (Instant::now() + HOUR, Arc::new(Mutex::new(None)));
        let (counter, waker) = CountingWaker::new();
        let due = Instant::now() + MS;
        let _armed = executor.block_on(async {
            let (mut inner, there) = (Some(armed(due, Waker::noop())), Arc::clone(&kept));
            let on_wake = move || {
                drop(inner.take());
                *there.lock().expect("nobody else is here") = Some(armed(far, Waker::noop()));
                panic!("a waker that panics");
            };
            [armed(due, &Reentrant::waker(on_wake, || ())), armed(due, &waker)]
        });
        pass(due);
        executor.run_until_idle();
        assert_eq!(counter.count(), 1);
        assert!(kept.lock().expect("nobody else is here").is_some(), "the first waker was woken");
        assert_eq!(executor.turn().next_deadline, Some(far));
    });
}

// ───────────── types ─────────────

/// M3: `Elapsed` is an error that travels, and a timeout is as `Send` and `Unpin` as its future.
#[test]
fn the_types_keep_their_promises() {
    fn travels<T: Send + Sync + 'static>(value: T) -> T {
        value
    }
    let elapsed = travels(Elapsed);
    let error: &dyn std::error::Error = &elapsed;
    assert_eq!(error.to_string(), "the time limit has passed");
    assert_eq!((format!("{elapsed:?}"), elapsed), ("Elapsed".into(), Elapsed));
    let limited = travels(time::timeout(HOUR, ready(())));
    assert!(format!("{limited:?}").contains("Timeout"));
    fn unpin(_: impl Unpin) {}
    unpin(limited);
}
