//! G2: the executor inside something else: a frame, another runtime, a run until it is empty.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use sideloop::{Builder, Executor, Shutdown, time, yield_now};

use super::FAR;
use crate::support::*;

fn poll(executor: &mut Executor, waker: &Waker) -> Poll<sideloop::Turn> {
    executor.poll_turn(&mut Context::from_waker(waker))
}

/// G2: a guest is ready while it does something, and pending when it is idle.
#[test]
fn a_guest_is_ready_while_it_does_something() {
    limited(|| {
        let mut executor = Executor::new();
        let (counter, waker) = CountingWaker::new();
        assert!(poll(&mut executor, &waker).is_pending());
        executor.spawn_local(yield_now()).detach();
        assert_eq!(counter.count(), 1, "a spawn on its own thread is told");
        assert!(matches!(poll(&mut executor, &waker), Poll::Ready(turn) if turn.polls == 2));
        assert!(poll(&mut executor, &waker).is_pending());
        assert_eq!(counter.count(), 1, "a guest that is driven needs no wake");
    });
}

/// G2: work from another thread wakes a pending guest once, and it is not lost whenever it comes.
#[test]
fn work_from_elsewhere_wakes_a_pending_guest_once() {
    limited(|| {
        let mut executor = Executor::new();
        let (counter, waker) = CountingWaker::new();
        assert!(poll(&mut executor, &waker).is_pending());
        let handle = executor.handle().clone();
        thread::spawn(move || (0..3).for_each(|_| handle.call(|| ()).detach()))
            .join()
            .expect("ends");
        assert_eq!(counter.count(), 1);
        assert!(matches!(poll(&mut executor, &waker), Poll::Ready(turn) if turn.polls == 3));
    });
}

/// G2, bad input: polled by two wakers in turn, the last one is woken; none of its wakers is kept by a ready guest.
#[test]
fn of_two_wakers_the_last_is_woken() {
    limited(|| {
        let mut executor = Executor::new();
        let ((one, first), (two, second)) = (CountingWaker::new(), CountingWaker::new());
        for waker in [&first, &second, &first, &second] {
            assert!(poll(&mut executor, waker).is_pending());
        }
        executor.handle().call(|| ()).detach();
        assert_eq!((one.count(), two.count()), (0, 1));
        assert!(poll(&mut executor, &first).is_ready());
        executor.run_until_idle();
        executor.handle().call(|| ()).detach();
        assert_eq!((one.count(), two.count()), (0, 1), "who drives it by hand is not told");
    });
}

/// X1, bad input: a waker that panics, or uses the executor's handle, harms nobody; the hook is called as well.
#[test]
fn a_guests_waker_may_panic_and_the_hook_is_called() {
    limited(|| {
        struct Hostile;
        impl std::task::Wake for Hostile {
            fn wake(self: std::sync::Arc<Self>) {
                panic!("hostile");
            }
        }
        let hooked = Events::new();
        let log = hooked.clone();
        let mut executor = Builder::new().on_wake(move || log.push(())).build();
        let waker = Waker::from(std::sync::Arc::new(Hostile));
        assert!(poll(&mut executor, &waker).is_pending());
        let task = executor.handle().call(|| 7);
        assert_eq!(hooked.all().len(), 1);
        executor.run_until_idle();
        assert_eq!(join_ok(task), 7);
    });
}

/// G2: an ended loop is ready each time.
#[test]
fn an_ended_guest_is_ready_each_time() {
    limited(|| {
        let mut executor = Executor::new();
        executor.handle().shutdown(Shutdown::now());
        let (_, waker) = CountingWaker::new();
        for _ in 0..3 {
            assert!(matches!(poll(&mut executor, &waker), Poll::Ready(turn) if turn.ended));
        }
    });
}

/// M6: the waker of a guest is dropped with the executor, although handles live on.
#[test]
fn the_waker_of_a_guest_is_dropped_with_it() {
    limited(|| {
        let mut executor = Executor::new();
        let (counter, waker) = CountingWaker::new();
        assert!(poll(&mut executor, &waker).is_pending());
        let _handle = executor.handle().clone();
        drop((executor, waker));
        assert_eq!(std::sync::Arc::strong_count(&counter), 1);
    });
}

/// G2: a guest inside another loop runs to its end, by wakes from a third thread and by its own deadlines.
#[test]
fn a_guest_runs_inside_another_loop() {
    limited(|| {
        let mut guest = Executor::new();
        let handle = guest.handle().clone();
        let slept = guest.spawn_local(time::sleep(Duration::from_millis(3)));
        let calls = thread::spawn(move || {
            (0..100).for_each(|n| assert_eq!(join_ok(handle.call(move || n)), n));
            handle.shutdown(Shutdown::graceful(FAR));
        });
        sideloop::block_on(async move {
            loop {
                let at = guest.next_deadline().unwrap_or_else(|| Instant::now() + FAR);
                let mut deadline = std::pin::pin!(time::sleep_until(at));
                let turn = std::future::poll_fn(|cx| match guest.poll_turn(cx) {
                    Poll::Ready(turn) => Poll::Ready(turn.ended),
                    Poll::Pending => deadline.as_mut().poll(cx).map(|()| false),
                });
                if turn.await {
                    break;
                }
            }
        });
        calls.join().expect("every call was answered");
        assert!(slept.is_finished());
    });
}

/// G2: a frame sums up its turns, and ends when the loop is idle.
#[test]
fn a_frame_sums_up_its_turns() {
    limited(|| {
        let mut executor = Builder::new().batch(1).build();
        for _ in 0..5 {
            executor.spawn_local(time::sleep(Duration::ZERO)).detach();
        }
        let frame = executor.turn_for(FAR);
        assert!(frame.idle && !frame.ended, "{frame:?}");
        assert_eq!(frame.polls, 10);
        assert_eq!(executor.turn_for(FAR).polls, 0);
    });
}

/// G2, T1: a frame ends when its time is up, although a task never rests; without any budget it is one turn.
#[test]
fn a_frame_ends_when_its_time_is_up() {
    limited(|| {
        let mut executor = Executor::new();
        let polls = Rc::new(Cell::new(0_usize));
        let count = polls.clone();
        let busy = executor.spawn_local(async move {
            loop {
                count.set(count.get() + 1);
                yield_now().await;
            }
        });
        let one = executor.turn_for(Duration::ZERO);
        assert_eq!((one.polls, one.idle), (64, false), "a batch");
        let frame = executor.turn_for(Duration::from_millis(2));
        assert!(!frame.idle && frame.polls == polls.get() - 64, "{frame:?}");
        busy.abort();
        assert!(executor.turn_for(FAR).idle);
    });
}

/// G2: a frame ends with the loop.
#[test]
fn a_frame_ends_with_the_loop() {
    limited(|| {
        let mut executor = Executor::new();
        executor.spawn_local(std::future::pending::<()>()).detach();
        executor.handle().shutdown(Shutdown::now());
        assert!(executor.turn_for(FAR).ended);
    });
}

/// M11, S3: a run until the loop is empty jumps from deadline to deadline, runs what tasks spawn, and closes nothing.
#[test]
fn a_run_until_empty_ends_with_the_last_task() {
    limited(|| {
        let mut executor = Builder::new().virtual_time(1).build();
        let begun = executor.handle().now();
        let outer = executor.spawn_local(async {
            time::sleep(24 * FAR).await;
            let inner = sideloop::spawn_local(async {
                time::sleep(24 * FAR).await;
                time::now()
            });
            Some(inner)
        });
        executor.run_until_empty();
        let inner = outer.try_join().expect("it has ended").expect("no panic").expect("a handle");
        let ended = inner.try_join().expect("it has ended").expect("a time");
        assert!(ended >= begun + 48 * FAR);
        let again = executor.spawn_local(async { 7 });
        executor.run_until_empty();
        assert!(matches!(again.try_join(), Ok(Ok(7))));
    });
}

/// S3: without a task it returns at once; it waits for blocking jobs, and for tasks of other threads that have come.
#[test]
fn a_run_until_empty_waits_for_jobs_and_for_what_has_come() {
    limited(|| {
        let mut executor = Executor::new();
        executor.run_until_empty();
        let (handle, latch) = (executor.handle().clone(), Latch::new("the job runs"));
        let told = latch.clone();
        let job = handle.spawn_blocking(move || {
            told.wait();
            thread::current().id()
        });
        let call = handle.call(move || latch.set());
        executor.run_until_empty();
        assert!(job.is_finished() && call.is_finished());
    });
}

/// S3: a timed call that repeats keeps it going until the loop is shut down, which ends it.
#[test]
fn a_run_until_empty_ends_with_the_loop() {
    limited(|| {
        let mut executor = Builder::new().virtual_time(1).build();
        let handle = executor.handle().clone();
        let count = Events::new();
        let log = count.clone();
        let ender = handle.clone();
        let ticks = handle.call_every(Duration::from_secs(1), move || {
            log.push(());
            if log.all().len() == 3 {
                ender.shutdown(Shutdown::now());
            }
        });
        executor.run_until_empty();
        assert_eq!(count.all().len(), 3);
        assert!(executor.turn().ended && ticks.expect("a period").is_finished());
    });
}
