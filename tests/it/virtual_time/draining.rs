//! The limits of a shutdown are deadlines like any other: under virtual time they take no time.

use std::time::Duration;

use sideloop::{Builder, CancelGuard, Executor, JoinHandle, Shutdown, ShutdownReport, time};

use super::{DAY, HOUR, SECOND, Times, clock, virtually};
use crate::support::{Drops, Events, Probe, limited};

/// How many tasks the report calls cancelled, and aborted.
fn counts(report: &ShutdownReport) -> (usize, usize) {
    (report.cancelled.len(), report.aborted.len())
}

/// A task that never ends by itself; `times` is told when it is dropped.
fn stuck(executor: &mut Executor, times: &Times) {
    let (begun, times) = (clock(executor), times.clone());
    let (probe, _) = Probe::pending();
    let probe = probe.on_drop(move || times.push((time::now() - begun, 0)));
    executor.spawn_local(probe).detach();
}

/// H1, M11: each limit is waited for to the nanosecond, and takes no real time.
#[test]
fn the_limits_of_a_shutdown_take_no_time() {
    let cases = [
        (Shutdown::now(), Duration::ZERO, (0, 1)),
        (Shutdown::now().drain(HOUR), HOUR, (0, 1)),
        (Shutdown::graceful(HOUR), Duration::ZERO, (1, 0)),
        (Shutdown::graceful(HOUR).drain(3 * HOUR), 3 * HOUR, (1, 0)),
    ];
    for (how, after, expected) in cases {
        limited(move || {
            let mut executor = virtually();
            let times = Times::new();
            stuck(&mut executor, &times);
            executor.handle().shutdown(how.clone());
            let report = executor.run();
            assert_eq!(counts(&report), expected, "{how:?}");
            assert_eq!(times.all(), [(after, 0)], "{how:?}");
        });
    }
}

/// A task that cleans up for `long` once it is asked to end; `times` is told when it is dropped.
fn cleaning(executor: &mut Executor, times: &Times, long: Duration) -> JoinHandle<()> {
    let (begun, times) = (clock(executor), times.clone());
    let token = Drops::new().token_then(move || times.push((time::now() - begun, 0)));
    let task = executor.spawn_local(async move {
        let _token = token;
        let guard = CancelGuard::new();
        guard.requested().await;
        time::sleep(long).await;
    });
    executor.run_until_idle();
    task
}

/// H1, H2, M11: a grace of an hour is an hour of the loop's time: enough for what needs a nanosecond
/// less, and the end of what needs a nanosecond more.
#[test]
fn a_grace_takes_no_time_and_is_exact() {
    let nano = Duration::from_nanos(1);
    for (drain, long, expected) in [
        (Duration::ZERO, HOUR - nano, (1, 0)),
        (Duration::ZERO, HOUR + nano, (0, 1)),
        (Duration::ZERO, Duration::MAX, (0, 1)),
        (2 * HOUR, HOUR - nano, (1, 0)),
        (2 * HOUR, HOUR + nano, (0, 1)),
    ] {
        limited(move || {
            let (mut executor, times) = (virtually(), Times::new());
            cleaning(&mut executor, &times, long).detach();
            executor.handle().shutdown(Shutdown::graceful(HOUR).drain(drain));
            assert_eq!(counts(&executor.run()), expected, "{drain:?}, {long:?}");
            assert_eq!(times.all(), [(drain + long.min(HOUR), 0)], "{drain:?}, {long:?}");
        });
    }
}

/// C3, M11: the grace of `cancel_within` is one of the loop's time too.
#[test]
fn cancel_within_counts_by_the_loops_clock() {
    limited(|| {
        let (mut executor, times) = (virtually(), Times::new());
        let task = cleaning(&mut executor, &times, DAY);
        task.cancel_within(HOUR);
        executor.advance(HOUR - SECOND);
        assert!(!task.is_finished());
        executor.advance(DAY);
        assert_eq!((task.is_finished(), times.all()), (true, vec![(HOUR, 0)]));
    });
}

/// H1, M11: on a thread of its own the loop drains an hour at once, in which everything else goes on.
#[test]
fn a_loop_thread_drains_an_hour_at_once() {
    limited(|| {
        let side = Builder::new().virtual_time(0).start().expect("starts");
        side.handle().spawn(std::future::pending::<()>()).detach();
        side.handle().spawn(async { time::sleep(HOUR - SECOND).await }).detach();
        let report = side.shutdown(Shutdown::graceful(HOUR).drain(HOUR));
        assert_eq!(counts(&report), (1, 0), "{report:?}");
        assert!(report.cancelled[0].age >= HOUR, "{report:?}");
    });
}

/// H1, M11: `advance` stops at the limits of a shutdown too.
#[test]
fn advance_stops_at_the_limits_of_a_shutdown() {
    limited(|| {
        let mut executor = virtually();
        let times = Times::new();
        stuck(&mut executor, &times);
        executor.handle().shutdown(Shutdown::now().drain(HOUR));
        executor.advance(HOUR - SECOND);
        assert_eq!(times.all(), []);
        executor.advance(DAY);
        assert_eq!(times.all(), [(HOUR, 0)], "at the limit, not at the end of the way");
        assert_eq!(counts(&executor.run()), (0, 1));
        executor.advance(DAY);
    });
}

/// H1, M11: a shutdown that a task asks for counts its limits from that task's time.
#[test]
fn a_shutdown_on_the_way_counts_from_there() {
    limited(|| {
        let mut executor = virtually();
        let (times, closed) = (Times::new(), Events::new());
        stuck(&mut executor, &times);
        let (handle, seen) = (executor.handle().clone(), closed.clone());
        executor
            .spawn_local(async move {
                time::sleep(DAY).await;
                handle.shutdown(Shutdown::now().drain(HOUR));
                seen.push(handle.is_closed());
            })
            .detach();
        let report = executor.run();
        assert_eq!((report.finished, counts(&report)), (1, (0, 1)));
        assert_eq!((times.all(), closed.all()), (vec![(DAY + HOUR, 0)], vec![true]));
    });
}

/// H4, M11: destructors at the end may set timers; the clock moves for none of them.
#[test]
fn a_timer_set_at_the_end_moves_no_clock() {
    limited(|| {
        let mut executor = virtually();
        let begun = clock(&mut executor);
        let (times, seen) = (Times::new(), Times::new());
        let noted = seen.clone();
        let (probe, _) = Probe::pending();
        let probe = probe.on_drop(move || {
            sideloop::spawn_local(async { time::sleep(DAY).await }).detach();
            noted.push((time::now() - begun, 0));
        });
        executor.spawn_local(probe).detach();
        stuck(&mut executor, &times);
        executor.handle().shutdown(Shutdown::now());
        executor.run();
        assert_eq!(
            (seen.all(), times.all()),
            (vec![(Duration::ZERO, 0)], vec![(Duration::ZERO, 0)])
        );
    });
}
