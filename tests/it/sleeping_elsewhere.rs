//! Timers: what frees an entry, and timers that are polled, reset and dropped elsewhere.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use sideloop::time::{self, Sleep};
use sideloop::{Builder, Executor, Handle, Shutdown};

use crate::support::{CountingWaker, Latch, OnDrop, join_ok, limited, loop_started};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Where the clock of a loop with virtual time stands.
fn start_of(executor: &mut Executor) -> Instant {
    executor.block_on(async { time::now() })
}

fn poll_with(sleep: &mut Pin<Box<Sleep>>, waker: &Waker) -> Poll<()> {
    sleep.as_mut().poll(&mut Context::from_waker(waker))
}

// ───────────── M6: what frees an entry ─────────────

/// M6: a timer that is dropped lets go of its waker at once.
#[test]
fn a_dropped_timer_lets_go_of_its_waker() {
    limited(|| {
        let side = loop_started();
        join_ok(side.handle().spawn(async {
            let (counter, waker) = CountingWaker::new();
            for _ in 0..100 {
                let mut sleep = Box::pin(time::sleep(HOUR));
                assert!(poll_with(&mut sleep, &waker).is_pending());
                assert!(Arc::strong_count(&counter) > 2, "the timer holds no waker");
                drop(sleep);
                assert_eq!(Arc::strong_count(&counter), 2, "the entry is still there");
            }
        }));
    });
}

/// M6: a timer that outlives the task which armed it wakes nobody, also not who got its place.
#[test]
fn a_timer_that_outlives_its_task_wakes_no_later_one() {
    limited(|| {
        let mut executor = Builder::new().virtual_time(0).build();
        let kept = Rc::new(RefCell::new(Box::pin(time::sleep_until(start_of(&mut executor) + MS))));
        let keeper = kept.clone();
        let first = executor.spawn_local(poll_fn(move |cx| {
            assert!(keeper.borrow_mut().as_mut().poll(cx).is_pending());
            Poll::Ready(())
        }));
        executor.run_until_idle();
        assert!(first.is_finished());
        let polls = Rc::new(Cell::new(0));
        let counted = polls.clone();
        let later = executor.spawn_local(poll_fn(move |_| {
            counted.set(counted.get() + 1);
            Poll::<()>::Pending
        }));
        executor.advance(10 * MS);
        assert_eq!((polls.get(), executor.handle().metrics().timers_fired), (1, 1));
        assert!(!later.is_finished(), "it was never ready");
    });
}

/// A timer that one task armed and another polls on wakes the second.
#[test]
fn a_timer_wakes_the_task_that_polled_it_last() {
    limited(|| {
        let mut executor = Builder::new().virtual_time(0).build();
        let sleep =
            Rc::new(RefCell::new(Box::pin(time::sleep_until(start_of(&mut executor) + MS))));
        let polls = Rc::new(RefCell::new(Vec::new()));
        for name in ["first", "last"] {
            let (sleep, polls) = (sleep.clone(), polls.clone());
            let poll = poll_fn(move |cx| {
                polls.borrow_mut().push(name);
                sleep.borrow_mut().as_mut().poll(cx)
            });
            executor.spawn_local(poll).detach();
        }
        executor.advance(10 * MS);
        assert_eq!(*polls.borrow(), ["first", "last", "last"]);
    });
}

/// The future of `block_on` is woken by its timers, also by one that an earlier `block_on` armed.
#[test]
fn a_timer_wakes_the_future_that_is_blocked_on() {
    limited(|| {
        let mut executor = Builder::new().virtual_time(0).build();
        let mut sleep = Box::pin(time::sleep_until(start_of(&mut executor) + MS));
        executor.block_on(async {
            let armed = poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx).is_pending()));
            assert!(armed.await);
        });
        executor.block_on(sleep);
        assert_eq!(executor.handle().metrics().timers_fired, 1);
    });
}

/// Tasks that look at the clock in every poll, which spares the loop a look of its own, delay no timer.
#[test]
fn a_loop_whose_tasks_read_the_clock_still_fires_its_timers() {
    limited(|| {
        sideloop::block_on(async {
            let sleep = sideloop::spawn_local(time::sleep(MS));
            while !sleep.is_finished() {
                assert!(time::now() > Instant::now().checked_sub(HOUR).expect("a late hour"));
                sideloop::yield_now().await;
            }
        });
    });
}

/// M6: so does the timer of a task that is cancelled.
#[test]
fn a_cancelled_tasks_timer_is_gone() {
    limited(|| {
        let mut executor = Executor::new();
        let tasks: Vec<_> = (0..1_000)
            .map(|n| executor.spawn_local(time::sleep(HOUR + Duration::from_nanos(n * 31))))
            .collect();
        executor.run_until_idle();
        assert!(executor.turn().next_deadline.is_some());
        for task in &tasks {
            task.cancel();
        }
        executor.run_until_idle();
        assert!(tasks.iter().all(sideloop::JoinHandle::is_finished));
        assert_eq!(executor.turn().next_deadline, None);
    });
}

/// M6: a timer that is polled again with another waker wakes that one, and lets go of the first.
#[test]
fn the_last_waker_is_the_one_that_is_woken() {
    limited(|| {
        let side = loop_started();
        let ((first, one), (second, two)) = (CountingWaker::new(), CountingWaker::new());
        let (old, new) = (Arc::clone(&first), Arc::clone(&second));
        join_ok(side.handle().spawn(async move {
            let mut sleep = Box::pin(time::sleep(2 * MS));
            assert!(poll_with(&mut sleep, &one).is_pending());
            assert!(poll_with(&mut sleep, &two).is_pending());
            assert_eq!(Arc::strong_count(&old), 3, "the replaced waker is still held");
            time::sleep_until(sleep.deadline() + MS).await;
            assert_eq!((old.count(), new.count()), (0, 1));
            assert!(poll_with(&mut sleep, &two).is_ready());
        }));
        assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (1, 1));
    });
}

// ───────────── M7: timers that travel ─────────────

/// A timer armed for `at` on the loop of `handle`, handed out.
fn armed_on(handle: &Handle, at: Instant) -> Pin<Box<Sleep>> {
    join_ok(handle.call(move || {
        let mut sleep = Box::pin(time::sleep_until(at));
        assert!(poll_with(&mut sleep, Waker::noop()).is_pending());
        sleep
    }))
}

/// M7: a timer armed on one loop and awaited on another fires there, not early.
#[test]
fn a_timer_moves_to_another_loop() {
    limited(|| {
        let (one, two) = (loop_started(), loop_started());
        let at = Instant::now() + 3 * MS;
        let sleep = armed_on(one.handle(), at);
        let fired = join_ok(two.handle().spawn(async move {
            sleep.await;
            Instant::now()
        }));
        assert!(fired >= at);
    });
}

/// M7: so does one whose first loop has ended in between.
#[test]
fn a_timer_outlives_the_loop_that_armed_it() {
    limited(|| {
        let (one, two) = (loop_started(), loop_started());
        let at = Instant::now() + 3 * MS;
        let (sleep, dropped) = (armed_on(one.handle(), at), armed_on(one.handle(), at + HOUR));
        one.shutdown(Shutdown::now());
        drop(dropped);
        let fired = join_ok(two.handle().spawn(async move {
            sleep.await;
            Instant::now()
        }));
        assert!(fired >= at);
    });
}

/// M7: an armed timer may be dropped and reset on any thread, while its loop runs.
#[test]
fn an_armed_timer_is_dropped_and_reset_anywhere() {
    limited(|| {
        let side = loop_started();
        for _ in 0..50 {
            drop(armed_on(side.handle(), Instant::now() + HOUR));
            let mut sleep = armed_on(side.handle(), Instant::now() + HOUR);
            let at = Instant::now() + Duration::from_micros(100);
            sleep.as_mut().reset(at);
            assert_eq!(sleep.deadline(), at);
            let fired = join_ok(side.handle().spawn(async move {
                sleep.await;
                Instant::now()
            }));
            assert!(fired >= at);
        }
    });
}

/// M7: a timer polled outside any loop panics and says so; it is none the worse for it.
#[test]
fn a_timer_polled_outside_any_loop_says_so() {
    limited(|| {
        let side = loop_started();
        let mut sleep = Box::pin(time::sleep(MS));
        let poll = catch_unwind(AssertUnwindSafe(|| poll_with(&mut sleep, Waker::noop())));
        let payload = poll.expect_err("M7: it panics");
        let message = payload.downcast_ref::<String>().cloned();
        let message = message.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string));
        let message = message.expect("a message");
        assert!(message.contains("loop") || message.contains("outside"), "{message}");
        join_ok(side.handle().spawn(sleep));
    });
}

/// M7: an armed timer polled on a plain thread does no harm, whether that panics or not.
#[test]
fn an_armed_timer_polled_on_a_plain_thread_does_no_harm() {
    limited(|| {
        let side = loop_started();
        let mut sleep = armed_on(side.handle(), Instant::now() + 2 * MS);
        let _ = catch_unwind(AssertUnwindSafe(|| poll_with(&mut sleep, Waker::noop())));
        join_ok(side.handle().spawn(sleep));
        let mut ended = armed_on(side.handle(), Instant::now() + HOUR);
        side.shutdown(Shutdown::now());
        let _ = catch_unwind(AssertUnwindSafe(|| poll_with(&mut ended, Waker::noop())));
        ended.as_mut().reset(Instant::now());
        drop(ended);
    });
}

/// M7: timers work in the future of `block_on`, on a thread of its own.
#[test]
fn a_timer_works_in_block_on() {
    limited(|| {
        let at = Instant::now() + 2 * MS;
        sideloop::block_on(time::sleep_until(at));
        assert!(Instant::now() >= at);
        let at = Instant::now() + 2 * MS;
        Executor::new().block_on(time::sleep_until(at));
        assert!(Instant::now() >= at);
    });
}

/// M7: a timer wakes whom it was last polled for, also where another task of the loop polled it.
#[test]
fn a_timer_that_is_polled_for_another_task_wakes_that_one() {
    limited(|| {
        let mut executor = Builder::new().virtual_time(0).build();
        let polls = Rc::new([Cell::new(0), Cell::new(0)]);
        let place = Rc::new(Cell::new(None));
        let (counted, there) = (polls.clone(), place.clone());
        let other = executor.spawn_local(poll_fn(move |cx| {
            counted[0].set(counted[0].get() + 1);
            there.set(Some(cx.waker().clone()));
            Poll::<()>::Pending
        }));
        executor.run_until_idle();
        let (counted, mut sleep) = (polls.clone(), None);
        let poller = executor.spawn_local(poll_fn(move |_| {
            counted[1].set(counted[1].get() + 1);
            let waker: Waker = place.take().expect("the other was polled");
            let sleep = sleep.insert(Box::pin(time::sleep(MS)));
            assert!(poll_with(sleep, &waker).is_pending());
            Poll::<()>::Pending
        }));
        executor.block_on(time::sleep(HOUR));
        assert_eq!([&polls[0], &polls[1]].map(Cell::get), [2, 1]);
        drop((other, poller));
    });
}

/// M9: a timer that a destructor moves is due in the same run, also where nothing else is done in its turn.
#[test]
fn what_a_destructor_makes_due_fires_before_a_run_is_over() {
    limited(|| {
        let mut executor = Builder::new().virtual_time(0).build();
        let sleep = Rc::new(RefCell::new(Box::pin(time::sleep(HOUR))));
        let (slept, at) = (sleep.clone(), start_of(&mut executor));
        let sleeper = executor.spawn_local(poll_fn(move |cx| slept.borrow_mut().as_mut().poll(cx)));
        let moved = OnDrop(Some(move || sleep.borrow_mut().as_mut().reset(at)));
        let mover = executor.spawn_local(async move {
            let _moved = moved;
            std::future::pending::<()>().await;
        });
        executor.run_until_idle();
        mover.abort();
        executor.run_until_idle();
        assert!(sleeper.is_finished());
    });
}

/// M7, W4: a timer whose task is gone while it is kept elsewhere wakes nobody.
#[test]
fn a_timer_kept_elsewhere_outlives_its_task() {
    limited(|| {
        let side = loop_started();
        let kept = Arc::new(Mutex::new(Box::pin(time::sleep(2 * MS))));
        let (inside, armed) = (Arc::clone(&kept), Latch::new("armed"));
        let there = armed.clone();
        let task = side.handle().spawn(std::future::poll_fn(move |cx| {
            let poll = inside.lock().expect("not poisoned").as_mut().poll(cx);
            there.set();
            poll
        }));
        armed.wait();
        task.abort();
        let _ = task.join();
        join_ok(side.handle().spawn(time::sleep(4 * MS)));
        drop(kept);
        join_ok(side.handle().call(|| ()));
    });
}
