//! The threads of a pool: how many there are, and that none is left.

use std::collections::HashSet;
use std::fs;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use sideloop::{Builder, JoinError, LoopThread, Shutdown};

use super::occupied;
use crate::child::isolated;
use crate::support::{Latch, hold, join_err, join_ok, limited, loop_started};

/// C8: jobs that are joined one by one need one thread, however many there may be.
#[test]
fn jobs_joined_one_by_one_use_one_thread() {
    limited(|| {
        let side = loop_started();
        let job = || side.handle().spawn_blocking(|| thread::current().id());
        let threads: HashSet<_> = (0..500).map(|_| join_ok(job())).collect();
        assert_eq!(threads.len(), 1);
        let panics = || side.handle().spawn_blocking(|| -> () { panic!("in a job") });
        (0..10).for_each(|_| drop(join_err(panics())));
        let cancelled = || side.handle().spawn_blocking(|| thread::current().id()).cancel();
        (0..100).for_each(|_| _ = cancelled());
        assert!(join_ok(job()) != thread::current().id());
    });
}

/// C8: the same when they are awaited on the loop's own thread, and by another job.
#[test]
fn jobs_awaited_one_by_one_use_one_thread() {
    limited(|| {
        let side = loop_started();
        let threads = side.handle().spawn(async {
            let mut threads = HashSet::new();
            for _ in 0..500 {
                let job = sideloop::current().spawn_blocking(|| thread::current().id());
                threads.insert(job.await.expect("it runs"));
            }
            threads.len()
        });
        assert_eq!(join_ok(threads), 1);
    });
}

/// C8: a worker that is idle takes the next job also after a cancelled one, and jobs that wait are all run.
#[test]
fn cancelled_jobs_leave_the_workers_to_the_others() {
    limited(|| {
        let (side, release, job) = occupied();
        let jobs: Vec<_> = (0..1000).map(|n| side.handle().spawn_blocking(move || n)).collect();
        let (kept, gone): (Vec<_>, Vec<_>) =
            jobs.into_iter().enumerate().partition(|(n, _)| n % 3 == 0);
        for (_, job) in &gone {
            job.cancel();
        }
        for (_, job) in gone {
            assert!(matches!(join_err(job), JoinError::Cancelled));
        }
        release.set();
        join_ok(job);
        for (n, job) in kept {
            assert_eq!(join_ok(job), n);
        }
    });
}

/// The threads of loops in this process.
#[cfg(target_os = "linux")]
fn threads_of_loops() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").expect("proc is mounted");
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("sideloop")).collect()
}

/// L2: with the report no thread of the loop is left, whichever way it is waited for.
#[cfg(target_os = "linux")]
#[test]
fn with_the_report_no_thread_is_left() {
    isolated(|| {
        for round in 0..60 {
            let side = Builder::new()
                .watchdog(Duration::from_millis(1), |_| ())
                .capacity(8)
                .start()
                .expect("starts");
            let jobs: Vec<_> = (0..4).map(|n| side.handle().spawn_blocking(move || n)).collect();
            assert_eq!(jobs.into_iter().map(join_ok).sum::<i32>(), 6);
            side.handle().call_every(Duration::from_micros(100), || ()).expect("a period").detach();
            match round % 4 {
                0 => drop(side.shutdown(Shutdown::now())),
                1 => drop(side),
                2 => {
                    side.handle().shutdown(Shutdown::graceful(Duration::from_secs(1)));
                    side.join_timeout(Duration::from_secs(20)).expect("it ends");
                }
                _ => {
                    drop(side);
                    let mut executor =
                        Builder::new().watchdog(Duration::from_millis(1), |_| ()).build();
                    let job = executor.handle().spawn_blocking(|| 1);
                    assert_eq!(executor.block_on(job).expect("it runs"), 1);
                }
            }
            assert_eq!(threads_of_loops(), [""; 0], "round {round}");
        }
    });
}

/// L2, C8: a job past its limit is not waited for, and is named; the idle workers beside it are.
#[test]
fn a_job_past_its_limit_holds_nobody_up() {
    limited(|| {
        let side = loop_started();
        let (begun, release) = (Latch::new("runs"), Latch::new("ends"));
        let (there, until) = (begun.clone(), release.clone());
        let job = side.handle().task().name("stubborn").spawn_blocking(move || {
            there.set();
            until.wait();
        });
        begun.wait();
        for _ in 0..3 {
            join_ok(side.handle().spawn_blocking(|| ()));
        }
        side.handle().shutdown(Shutdown::now());
        let report = side.join_timeout(Duration::from_secs(20)).expect("it is not waited for");
        assert_eq!(report.aborted.len(), 1, "{report:?}");
        assert!(matches!(join_err(job), JoinError::Closed));
        release.set();
    });
}

/// H9: a poll, a destructor, and a hook that are stuck hold up nobody who waits with a limit.
#[test]
fn join_timeout_is_not_held_up_by_what_is_stuck() {
    limited(|| {
        let stuck: [fn(&LoopThread, Latch); 2] = [
            |side, until| {
                let (begun, is_stuck) = mpsc::channel();
                let call = move || drop((begun.send(()), until.wait()));
                side.handle().call(call).detach();
                is_stuck.recv().expect("it runs");
            },
            |side, until| {
                let late = crate::support::OnDrop(Some(move || until.wait()));
                side.handle()
                    .spawn(async move { (late, std::future::pending::<()>().await).1 })
                    .detach();
            },
        ];
        for stuck in stuck {
            let (side, release) = (loop_started(), Latch::new("released"));
            stuck(&side, release.clone());
            side.handle().shutdown(Shutdown::now());
            let begun = Instant::now();
            let side = side.join_timeout(Duration::from_millis(20)).expect_err("it is stuck");
            let side = side.join_timeout(Duration::ZERO).expect_err("it is stuck");
            assert!(begun.elapsed() < Duration::from_secs(10));
            release.set();
            assert!(side.join_timeout(Duration::MAX).is_ok());
        }
        let release = Latch::new("released");
        let until = release.clone();
        let side = Builder::new().on_stop(move || until.wait()).start().expect("starts");
        side.handle().shutdown(Shutdown::now());
        let side = side.join_timeout(Duration::from_millis(20)).expect_err("its hook is stuck");
        release.set();
        assert!(side.join_timeout(Duration::MAX).is_ok());
    });
}

/// L2: a watchdog whose hook is at something is waited for.
#[test]
fn the_hook_of_a_watchdog_is_waited_for() {
    limited(|| {
        let (begun, release) = (Latch::new("the hook runs"), Latch::new("the hook may end"));
        let (there, until) = (begun.clone(), release.clone());
        let side = Builder::new()
            .watchdog(Duration::from_millis(1), move |_| {
                there.set();
                until.wait();
            })
            .start()
            .expect("starts");
        let held = hold(side.handle());
        begun.wait();
        held.release();
        side.handle().shutdown(Shutdown::now());
        let side = side.join_timeout(Duration::from_millis(20)).expect_err("the hook is called");
        release.set();
        assert!(side.join_timeout(Duration::MAX).is_ok());
    });
}

/// S3: a loop that was let go lives until it is shut down, and nobody waits for it.
#[test]
fn a_detached_loop_lives_until_it_is_shut_down() {
    limited(|| {
        let (tell, told) = mpsc::channel();
        let side = Builder::new().on_stop(move || drop(tell.send(()))).start().expect("starts");
        let handle = side.handle().clone();
        let held = hold(&handle);
        side.detach();
        held.release();
        assert!(!handle.is_closed());
        assert_eq!(join_ok(handle.call(|| 1)), 1);
        handle.shutdown(Shutdown::now());
        told.recv().expect("it ends");
    });
}
