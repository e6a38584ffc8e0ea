//! Virtual time: when the clock jumps and how far, and what stands still meanwhile.

mod advancing;
mod draining;
mod drawn;
mod outside;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use sideloop::{Builder, Executor, JoinHandle, Shutdown, time, yield_now};

use crate::support::{Events, join_ok, limited};

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// What happened at which time since the loop's beginning.
pub(crate) type Times = Events<(Duration, usize)>;

/// An executor on virtual time that polls in order.
pub(crate) fn virtually() -> Executor {
    Builder::new().virtual_time(0).build()
}

/// What the executor's clock says, which is not moved by the question.
#[track_caller]
pub(crate) fn clock(executor: &mut Executor) -> Instant {
    executor.block_on(async { time::now() })
}

/// Spawns a task that sleeps from now until `after` and then notes `number`.
pub(crate) fn noting(
    executor: &mut Executor,
    times: &Times,
    number: usize,
    after: Duration,
) -> JoinHandle<()> {
    let (begun, times) = (clock(executor), times.clone());
    executor.spawn_local(async move {
        time::sleep_until(begun + after).await;
        times.push((time::now() - begun, number));
    })
}

/// How the loop is driven until it has nothing more to do.
type Drive = fn(&mut Executor);

const DRIVES: [(&str, Drive); 3] = [
    ("run", |executor| {
        let handle = executor.handle().clone();
        handle.shutdown(Shutdown::now().drain(Duration::MAX));
        let report = executor.run();
        assert!(report.aborted.is_empty(), "{report:?}");
    }),
    ("block_on", |executor| executor.block_on(time::sleep(9 * DAY))),
    ("advance", |executor| executor.advance(9 * DAY)),
];

// ───────────── M11: jumps ─────────────

/// M11, M1: whatever drives the loop, the clock stops at every deadline, exactly, in order.
#[test]
fn the_clock_jumps_from_deadline_to_deadline() {
    for (name, drive) in DRIVES {
        limited(move || {
            let mut executor = virtually();
            let times = Times::new();
            let after = [3 * HOUR, HOUR, 2 * HOUR, HOUR + Duration::from_nanos(1)];
            for (number, after) in after.into_iter().enumerate() {
                noting(&mut executor, &times, number, after).detach();
            }
            drive(&mut executor);
            let exact = [1, 3, 2, 0].map(|number| (after[number], number));
            assert_eq!(times.all(), exact, "{name}");
        });
    }
}

/// M11: the same on a thread of its own, and the joiners wait for no hour.
#[test]
fn the_clock_of_a_loop_thread_jumps() {
    limited(|| {
        let side = Builder::new().virtual_time(0).start().expect("starts");
        let tasks: Vec<_> = (1..=100)
            .map(|hours| {
                side.handle().spawn(async move {
                    let begun = time::now();
                    time::sleep(hours * HOUR).await;
                    time::now() - begun
                })
            })
            .collect();
        for (hours, task) in (1..).zip(tasks) {
            assert_eq!(join_ok(task), hours * HOUR);
        }
    });
}

/// M11: while anything is ready the clock stands still, however near the next deadline is.
#[test]
fn the_clock_stands_still_while_something_is_ready() {
    for (name, drive) in DRIVES {
        limited(move || {
            let mut executor = virtually();
            let times = Times::new();
            noting(&mut executor, &times, 1, Duration::from_nanos(1)).detach();
            let (begun, seen) = (clock(&mut executor), times.clone());
            let busy = async move {
                for _ in 0..1_000 {
                    assert_eq!(time::now(), begun, "the clock moved under a ready task");
                    yield_now().await;
                }
                seen.push((time::now() - begun, 0));
            };
            executor.spawn_local(busy).detach();
            drive(&mut executor);
            assert_eq!(times.all(), [(Duration::ZERO, 0), (Duration::from_nanos(1), 1)], "{name}");
        });
    }
}

/// M11: the future of `block_on` is as good a reason to stand still as a task.
#[test]
fn the_clock_stands_still_while_the_main_future_is_ready() {
    limited(|| {
        let mut executor = virtually();
        let times = Times::new();
        noting(&mut executor, &times, 1, MS).detach();
        let begun = clock(&mut executor);
        executor.block_on(async {
            for _ in 0..1_000 {
                yield_now().await;
                assert_eq!(time::now(), begun);
            }
        });
        assert_eq!(times.all(), []);
    });
}

/// M11: `turn` and `run_until_idle` never jump; nor does real time move the clock.
#[test]
fn turns_do_not_move_the_clock() {
    limited(|| {
        let mut executor = virtually();
        let begun = clock(&mut executor);
        let times = Times::new();
        noting(&mut executor, &times, 0, MS).detach();
        assert_eq!(executor.run_until_idle(), 1);
        let until = Instant::now() + 3 * MS;
        while Instant::now() < until {
            let turn = executor.turn();
            assert_eq!((turn.polls, turn.fired, turn.idle), (0, 0, true));
            assert_eq!(turn.next_deadline, Some(begun + MS));
            assert_eq!(executor.run_until_idle(), 0);
        }
        assert_eq!((clock(&mut executor), times.all()), (begun, vec![]));
        executor.advance(MS);
        assert_eq!(times.all(), [(MS, 0)]);
    });
}

/// M11: a sleep that is made outside of the loop counts by `Instant::now()`, as `time::now()` does there.
#[test]
fn a_sleep_made_outside_counts_by_the_real_clock() {
    limited(|| {
        let mut executor = virtually();
        executor.advance(10 * HOUR);
        let before = Instant::now();
        let (sleep, now) = (time::sleep(HOUR), time::now());
        let after = Instant::now();
        assert!(before <= now && now <= after, "time::now() outside is the real clock");
        assert!(before + HOUR <= sleep.deadline() && sleep.deadline() <= after + HOUR);
        let there = clock(&mut executor);
        assert!(there > sleep.deadline(), "the loop is ten hours ahead");
        let ended = executor.block_on(async {
            sleep.await;
            time::now()
        });
        assert_eq!(ended, there, "for the loop it has passed");

        let sleep = time::sleep(20 * HOUR);
        let deadline = sleep.deadline();
        let ended = executor.block_on(async {
            sleep.await;
            time::now()
        });
        assert_eq!(ended, deadline, "an instant means the same to both clocks");
    });
}

/// M4, M11: a sleep of no time yields once, and moves no clock.
#[test]
fn a_sleep_of_no_time_moves_no_clock() {
    limited(|| {
        let mut executor = virtually();
        let begun = clock(&mut executor);
        executor.block_on(async {
            for _ in 0..100 {
                time::sleep(Duration::ZERO).await;
                time::sleep_until(begun).await;
            }
            assert_eq!(time::now(), begun);
        });
    });
}

/// M11: the clock of a loop without virtual time cannot be moved; `advance` says so.
#[test]
fn advance_without_virtual_time_panics_and_says_so() {
    limited(|| {
        let mut executor = Executor::new();
        let advance = catch_unwind(AssertUnwindSafe(|| executor.advance(Duration::ZERO)));
        let payload = advance.expect_err("it panics");
        let message = payload.downcast_ref::<&str>().expect("a message");
        assert!(message.contains("Builder::virtual_time"), "{message}");
        assert_eq!(executor.block_on(async { 1 }), 1, "none the worse for it");
    });
}

/// M3, M10, P9, M11: time limits, intervals and timed calls count by the virtual clock, those made on
/// another thread too.
#[test]
fn everything_that_waits_counts_by_the_virtual_clock() {
    limited(|| {
        let mut executor = virtually();
        executor.advance(10 * HOUR);
        let (begun, calls) = (clock(&mut executor), Events::new());
        let (handle, called) = (executor.handle().clone(), calls.clone());
        let outside = thread::spawn(move || {
            let every = handle.call_every(HOUR, move || called.push(time::now() - begun));
            (handle.call_after(HOUR, time::now), every.expect("a period"))
        });
        let (once, every) = outside.join().expect("called");
        executor.block_on(async {
            let limited = time::timeout(HOUR, std::future::pending::<()>()).await;
            assert!(limited.is_err() && time::now() == begun + HOUR);
            let mut hours = time::interval_at(begun + 2 * HOUR, HOUR).expect("a period");
            for hour in 2..=5 {
                let tick = hours.tick().await;
                assert_eq!((tick.scheduled, tick.missed), (begun + hour * HOUR, 0));
                assert_eq!(time::now(), tick.scheduled);
            }
        });
        assert_eq!(join_ok(once), begun + HOUR);
        assert_eq!(calls.all(), [1, 2, 3, 4, 5].map(|hour| hour * HOUR));
        every.cancel();
    });
}

// ───────────── long times ─────────────

/// M11, M1: a day of one-second sleeps takes a moment, and each of them is exact.
#[test]
fn a_day_of_seconds_passes_at_once() {
    limited(|| {
        let mut executor = virtually();
        let begun = clock(&mut executor);
        executor.block_on(async {
            for second in 1..=24 * 3600 {
                time::sleep(SECOND).await;
                assert_eq!(time::now() - begun, second * SECOND);
            }
        });
    });
}

/// M8, M5: near timers fire on time also after 12.5 days with a very long sleep pending (tokio#8334).
#[test]
fn a_far_timer_does_not_hold_up_the_near_ones() {
    limited(|| {
        let mut executor = virtually();
        let begun = clock(&mut executor);
        for far in [Duration::from_secs(1 << 31), Duration::from_secs(1 << 33), Duration::MAX] {
            executor.spawn_local(async move { time::sleep(far).await }).detach();
        }
        executor.block_on(async {
            for minute in 1..=13 * 24 * 60 {
                time::sleep(60 * SECOND).await;
                assert_eq!(time::now() - begun, minute * 60 * SECOND);
            }
            time::sleep(DAY).await;
            assert_eq!(time::now() - begun, 14 * DAY);
        });
    });
}
