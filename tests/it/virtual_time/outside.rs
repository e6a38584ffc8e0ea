//! Virtual time and real threads: what they send comes before the next jump, and wakes a loop at rest.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use sideloop::{Builder, Executor, Handle, LoopThread, Shutdown, time};

use super::{DRIVES, HOUR, MS, SECOND, virtually};
use crate::support::{Events, Gate, Latch, Probe, join_ok, limited};

fn loop_thread() -> LoopThread {
    Builder::new().virtual_time(0).start().expect("starts")
}

/// Times since the loop's beginning, with what happened then.
type Log = Events<(Duration, &'static str)>;

/// A task that arms an hour, keeps the loop in its poll until `sent` has happened, and then waits.
async fn hour_with_news(begun: Instant, log: Log, armed: Latch, sent: Latch) {
    let mut hour = std::pin::pin!(time::sleep(HOUR));
    assert!(futures::poll!(hour.as_mut()).is_pending());
    armed.set();
    sent.wait();
    hour.await;
    log.push((time::now() - begun, "the hour"));
}

/// Has `send` called on a real thread while the loop, driven by `drive`, has an hour to jump.
fn send_before_the_jump(
    log: &Log,
    mut executor: Executor,
    send: impl FnOnce(&Handle, Instant) + Send + 'static,
    drive: impl FnOnce(&mut Executor),
) {
    let begun = super::clock(&mut executor);
    let (armed, sent) = (Latch::new("an hour is armed"), Latch::new("news was sent"));
    let task = hour_with_news(begun, log.clone(), armed.clone(), sent.clone());
    executor.spawn_local(task).detach();
    let handle = executor.handle().clone();
    let sender = thread::spawn(move || {
        armed.wait();
        send(&handle, begun);
        sent.set();
    });
    drive(&mut executor);
    sender.join().expect("sends");
}

/// M11: a wake from a real thread is answered before the clock jumps.
#[test]
fn a_wake_from_outside_comes_before_the_jump() {
    for (name, drive) in DRIVES {
        limited(move || {
            let (log, gate, mut executor) = (Log::new(), Gate::new(), virtually());
            let (begun, seen, passed) = (super::clock(&mut executor), log.clone(), gate.passed());
            let woken = async move {
                passed.await;
                seen.push((time::now() - begun, "woken"));
            };
            executor.spawn_local(woken).detach();
            send_before_the_jump(&log, executor, move |_, _| gate.open(), drive);
            assert_eq!(log.all(), [(Duration::ZERO, "woken"), (HOUR, "the hour")], "{name}");
        });
    }
}

/// M11: so is a call, and what it spawns; where a shutdown has closed the loop there are none.
#[test]
fn a_call_from_outside_comes_before_the_jump() {
    for (name, drive) in DRIVES.into_iter().filter(|(name, _)| *name != "run") {
        limited(move || {
            let log = Log::new();
            let seen = log.clone();
            let send = move |handle: &Handle, begun| {
                let then = move || {
                    let later = seen.clone();
                    seen.push((time::now() - begun, "call"));
                    let spawned = async move { later.push((time::now() - begun, "spawned")) };
                    sideloop::spawn_local(spawned).detach();
                };
                handle.call(then).detach();
            };
            send_before_the_jump(&log, virtually(), send, drive);
            let first = [(Duration::ZERO, "call"), (Duration::ZERO, "spawned")];
            assert_eq!(log.all(), [first[0], first[1], (HOUR, "the hour")], "{name}");
        });
    }
}

/// M11: the same for a call on a loop with a thread of its own.
#[test]
fn a_call_on_a_loop_thread_comes_before_the_jump() {
    limited(|| {
        let side = loop_thread();
        let (log, begun) = (Log::new(), join_ok(side.handle().call(time::now)));
        for round in 0..100 {
            let (armed, sent) = (Latch::new("an hour is armed"), Latch::new("a call was made"));
            let before = join_ok(side.handle().call(time::now));
            let task = hour_with_news(begun, log.clone(), armed.clone(), sent.clone());
            let task = side.handle().spawn(task);
            armed.wait();
            let call = side.handle().call(time::now);
            sent.set();
            assert_eq!(join_ok(call), before, "round {round}");
            join_ok(task);
        }
        assert_eq!(log.all().last(), Some(&(100 * HOUR, "the hour")));
    });
}

/// M11: a request to shut down, too: its limits count from before the jump.
#[test]
fn a_shutdown_from_outside_comes_before_the_jump() {
    limited(|| {
        let (log, mut executor) = (Log::new(), virtually());
        let (begun, seen) = (super::clock(&mut executor), log.clone());
        let (stuck, _) = Probe::pending();
        let stuck = stuck.on_drop(move || seen.push((time::now() - begun, "aborted")));
        executor.spawn_local(stuck).detach();
        let send = |handle: &Handle, _| handle.shutdown(Shutdown::now().drain(59 * 60 * SECOND));
        send_before_the_jump(&log, executor, send, |executor| drop(executor.run()));
        assert_eq!(log.all(), [(59 * 60 * SECOND, "aborted")], "the hour is not over");
    });
}

/// P6, M11: whatever real threads send to a loop whose clock never rests, all of it runs, and each
/// thread sees time go on.
#[test]
fn nothing_is_lost_while_the_clock_runs() {
    const SENDERS: usize = 3;
    const CALLS: usize = 2_000;
    limited(|| {
        let side = loop_thread();
        let ticker = side.handle().spawn(async {
            loop {
                time::sleep(SECOND).await;
            }
        });
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| {
                let handle = side.handle().clone();
                thread::spawn(move || {
                    let times: Vec<_> = (0..CALLS).map(|_| handle.call(time::now)).collect();
                    times.into_iter().map(join_ok).collect::<Vec<_>>()
                })
            })
            .collect();
        for sender in senders {
            let times = sender.join().expect("all calls run");
            assert_eq!(times.len(), CALLS);
            assert!(times.is_sorted(), "time went back");
        }
        ticker.abort();
        side.shutdown(Shutdown::now());
    });
}

/// M11, T4: with no deadline at all the loop sleeps, until a real thread sends something.
#[test]
fn without_a_deadline_the_loop_waits_for_the_world() {
    limited(|| {
        let (mut executor, gate) = (virtually(), Gate::new());
        let begun = super::clock(&mut executor);
        let (asked, opens) = (Latch::new("the loop waits"), gate.clone());
        let waits = asked.clone();
        let opener = thread::spawn(move || {
            waits.wait();
            opens.open();
        });
        executor.spawn_local(async { time::sleep(Duration::MAX).await }).detach();
        executor.block_on(async {
            asked.set();
            gate.passed().await;
            assert_eq!(time::now(), begun, "there was nothing to jump to");
            time::sleep(HOUR).await;
            assert_eq!(time::now(), begun + HOUR);
        });
        opener.join().expect("opens");
    });
}

/// M11: `time::now()` of another thread stays the real clock, also of one that drives another loop.
#[test]
fn two_loops_have_two_clocks() {
    limited(|| {
        let side = loop_thread();
        join_ok(side.handle().spawn(async { time::sleep(1_000 * HOUR).await }));
        let there = join_ok(side.handle().call(time::now));
        assert!(there > Instant::now() + 999 * HOUR);
        assert!(time::now() <= Instant::now());
        let mut real = Executor::new();
        assert!(real.block_on(async { time::now() }) <= Instant::now());
        let (send, receive) = mpsc::channel();
        let inner = side.handle().call(move || {
            let mut inner = Executor::new();
            send.send(inner.block_on(async { time::now() })).expect("sent");
            time::now()
        });
        assert_eq!(join_ok(inner), there, "the outer loop's again");
        assert!(receive.recv().expect("a time") <= Instant::now());
        let early = side.handle().spawn(async {
            real_sleep_is_over().await;
            time::now()
        });
        assert_eq!(join_ok(early), there);
    });
}

/// A sleep whose deadline is near by the real clock, and long past for a loop that is far ahead.
async fn real_sleep_is_over() {
    let made = thread::spawn(|| time::sleep(5 * MS));
    made.join().expect("made").await;
}

/// P1, M11: the clock is read from other threads while the loop moves it.
#[test]
fn the_clock_may_be_read_from_anywhere() {
    limited(|| {
        let side = Arc::new(loop_thread());
        let ticker = side.handle().spawn(async {
            for _ in 0..20_000 {
                time::sleep(SECOND).await;
            }
        });
        let other = Arc::clone(&side);
        let reader = thread::spawn(move || {
            // Each request reads the loop's clock on this thread.
            for _ in 0..20_000 {
                other.handle().shutdown(Shutdown::graceful(Duration::MAX).drain(Duration::MAX));
            }
        });
        reader.join().expect("reads");
        join_ok(ticker);
    });
}
