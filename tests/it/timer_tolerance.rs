//! M12: how much later than their deadlines timers may fire, so that they share a wake-up.

use std::time::{Duration, Instant};

use sideloop::{Builder, Shutdown, time};

use crate::support::*;

const MS: Duration = Duration::from_millis(1);

/// M12, M2, M1: deadlines within the tolerance share one wake-up, fire in their order, and none is early.
#[test]
fn m12_deadlines_within_the_tolerance_share_a_wake_up() {
    limited(|| {
        let mut executor = Builder::new().timer_tolerance(200 * MS).build();
        let (fired, start) = (Events::new(), Instant::now());
        for n in [3_u32, 1, 4, 2, 5] {
            let (log, at) = (fired.clone(), start + 20 * n * MS);
            executor
                .spawn_local(async move {
                    time::sleep_until(at).await;
                    log.push((n, Instant::now() >= at));
                })
                .detach();
        }
        executor.run_until_empty();
        let parks = executor.handle().metrics().parks;
        assert_eq!(fired.all(), (1..=5).map(|n| (n, true)).collect::<Vec<_>>());
        assert_eq!(parks, 1, "one sleep for five deadlines");
    });
}

/// M12, T4: without a tolerance there is a wake-up for each deadline.
#[test]
fn m12_without_a_tolerance_each_deadline_has_its_wake_up() {
    limited(|| {
        let mut executor = Builder::new().timer_tolerance(Duration::ZERO).build();
        let start = Instant::now() + 50 * MS;
        for n in 0..3 {
            executor.spawn_local(time::sleep_until(start + 50 * n * MS)).detach();
        }
        executor.run_until_empty();
        assert_eq!(executor.handle().metrics().parks, 3);
    });
}

/// M12: the limit of a shutdown is no timer, and exact.
#[test]
fn m12_the_limits_of_a_shutdown_are_exact() {
    limited(|| {
        let side = Builder::new().timer_tolerance(Duration::MAX).start().expect("starts");
        side.handle().spawn(time::sleep(3600 * 1000 * MS)).detach();
        let report = side.shutdown(Shutdown::now().drain(5 * MS));
        assert_eq!(report.cancelled.len() + report.aborted.len(), 1);
    });
}

/// M12, M11: virtual time knows no tolerance.
#[test]
fn m12_virtual_time_knows_no_tolerance() {
    limited(|| {
        let mut executor = Builder::new().virtual_time(1).timer_tolerance(3600 * 1000 * MS).build();
        let late = executor.block_on(async {
            let at = time::now() + MS;
            time::sleep_until(at).await;
            time::now() - at
        });
        assert_eq!(late, Duration::ZERO);
    });
}

/// M12: what comes in ends the sleep, however long it may be.
#[test]
fn m12_work_ends_a_sleep_that_is_tolerated() {
    limited(|| {
        let side = Builder::new().timer_tolerance(Duration::MAX).start().expect("starts");
        side.handle().spawn(time::sleep(MS)).detach();
        std::thread::sleep(2 * MS);
        assert_eq!(join_ok(side.handle().call(|| 7)), 7);
    });
}
