//! Blocking jobs: off the loop, started on demand, and honest about what a cancel found.

mod inside;
mod threads;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use sideloop::{
    Builder, CancelRequest, JoinError, LoopThread, Shutdown, TaskState, block_on, cancel_requested,
};

use crate::support::{Drops, Latch, join_err, join_ok, limited, loop_started, thread_of};

/// A loop with a pool of one worker, which a job keeps busy until the latch is set.
fn occupied() -> (LoopThread, Latch, sideloop::JoinHandle<()>) {
    let side = Builder::new().blocking_threads(1).start().expect("a loop thread starts");
    let (begun, release) = (Latch::new("the job runs"), Latch::new("the job may end"));
    let (there, until) = (begun.clone(), release.clone());
    let job = side.handle().spawn_blocking(move || {
        there.set();
        until.wait();
    });
    begun.wait();
    (side, release, job)
}

/// J1: a job runs on another thread than the loop's and the caller's, and its value is joined.
#[test]
fn a_job_runs_elsewhere_and_gives_its_value() {
    limited(|| {
        let side = loop_started();
        let there = join_ok(side.handle().spawn_blocking(|| thread::current().id()));
        assert!(there != thread_of(side.handle()) && there != thread::current().id());
        let awaited = side.handle().spawn_blocking(|| 7);
        assert_eq!(block_on(awaited).expect("it ends"), 7);
    });
}

/// C8: the loop is free while a job blocks.
#[test]
fn the_loop_is_free_while_a_job_blocks() {
    limited(|| {
        let (side, release, job) = occupied();
        assert_eq!(join_ok(side.handle().call(|| 1)), 1);
        assert!(!job.is_finished());
        release.set();
        join_ok(job);
    });
}

/// C8: a job that has not started is removed by a cancel, by an abort, and by id; it never runs, and
/// its closure is dropped.
#[test]
fn a_waiting_job_is_removed_by_a_cancel() {
    limited(|| {
        let (side, release, job) = occupied();
        let drops = Drops::new();
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let token = drops.token();
                side.handle().spawn_blocking(move || {
                    let _token = token;
                    panic!("it must not run")
                })
            })
            .collect();
        assert_eq!(waiting[0].cancel(), CancelRequest::Requested);
        assert_eq!(waiting[1].abort(), CancelRequest::Requested);
        assert_eq!(join_ok(side.handle().cancel(waiting[2].id())), CancelRequest::Requested);
        for one in waiting {
            let ended: JoinError = join_err::<()>(one);
            assert!(matches!(ended, JoinError::Cancelled), "{ended:?}");
        }
        drops.wait(3);
        release.set();
        join_ok(job);
        join_ok(side.handle().spawn_blocking(|| ())); // the queue still works
    });
}

/// C8: a running job runs to its end: a cancel is recorded, it may read it, and `join` gives its value.
#[test]
fn a_running_job_runs_to_its_end() {
    limited(|| {
        let side = loop_started();
        for abort in [false, true] {
            let (begun, asked) = (Latch::new("the job runs"), Latch::new("it was asked to end"));
            let (there, until) = (begun.clone(), asked.clone());
            let job = side.handle().spawn_blocking(move || {
                let before = cancel_requested();
                there.set();
                until.wait();
                (before, cancel_requested())
            });
            begun.wait();
            let answer = if abort { job.abort() } else { job.cancel() };
            assert_eq!(answer, CancelRequest::Requested);
            assert_eq!(job.cancel(), CancelRequest::AlreadyRequested);
            join_ok(side.handle().call(|| ()));
            assert!(!job.is_finished());
            asked.set();
            assert_eq!(join_ok(job), (false, true));
        }
    });
}

/// X2: a job's panic reaches its joiner, and harms no worker.
#[test]
fn a_jobs_panic_reaches_the_joiner() {
    limited(|| {
        let side = Builder::new().blocking_threads(1).start().expect("starts");
        let job = side.handle().spawn_blocking(|| panic!("in a job"));
        let JoinError::Panicked(payload) = join_err::<()>(job) else { panic!("it panicked") };
        assert_eq!(payload.message(), Some("in a job"));
        assert_eq!(join_ok(side.handle().spawn_blocking(|| 1)), 1);
    });
}

/// X2: the panic of a detached job goes to the hook.
#[test]
fn the_panic_of_a_detached_job_goes_to_the_hook() {
    limited(|| {
        let (tell, told) = mpsc::channel();
        let side = Builder::new()
            .on_panic(move |panic| drop(tell.send(panic.payload().message().map(String::from))))
            .start()
            .expect("starts");
        side.handle().spawn_blocking(|| panic!("unseen")).detach();
        assert_eq!(told.recv().expect("told").as_deref(), Some("unseen"));
    });
}

/// C8: no more than `blocking_threads` jobs run at once, and all of them run.
#[test]
fn the_pool_is_bounded_and_serves_all() {
    limited(|| {
        let side = Builder::new().blocking_threads(3).start().expect("starts");
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs: Vec<_> = (0..200)
            .map(|n| {
                let (now, most) = (now.clone(), most.clone());
                side.handle().spawn_blocking(move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                    n
                })
            })
            .collect();
        assert_eq!(jobs.into_iter().map(join_ok).sum::<usize>(), 199 * 200 / 2);
        let most = most.load(Ordering::SeqCst);
        assert!((1..=3).contains(&most), "{most} at once");
    });
}

/// C8: shutdown waits for a running job within its limits.
#[test]
fn shutdown_waits_for_a_running_job() {
    limited(|| {
        let (side, release, job) = occupied();
        side.handle().shutdown(Shutdown::graceful(Duration::MAX));
        let ending = thread::spawn(move || side.join());
        assert!(!job.is_finished());
        release.set();
        let report = ending.join().expect("ends");
        assert_eq!((report.finished, report.aborted.len(), report.cancelled.len()), (1, 0, 0));
        join_ok(job);
    });
}

/// C8: a job that outlives the limits is reported as aborted, by name; its handle says `Closed`, and its
/// late value is dropped.
#[test]
fn a_job_that_outlives_the_shutdown_is_named() {
    limited(|| {
        let side = loop_started();
        let (begun, release, drops) = (Latch::new("runs"), Latch::new("ends"), Drops::new());
        let (there, until, token) = (begun.clone(), release.clone(), drops.token());
        let job = side.handle().task().name("stubborn").spawn_blocking(move || {
            there.set();
            until.wait();
            token
        });
        begun.wait();
        let report = side.shutdown(Shutdown::graceful(Duration::from_millis(1)));
        assert_eq!(report.aborted.len(), 1, "{report:?}");
        assert_eq!(report.aborted[0].name.as_deref(), Some("stubborn"));
        assert!(matches!(join_err(job), JoinError::Closed));
        assert_eq!(drops.count(), 0);
        release.set();
        drops.wait(1);
    });
}

/// C8: jobs that wait when the loop ends never run, and are reported.
#[test]
fn waiting_jobs_are_ended_by_the_shutdown() {
    limited(|| {
        let (side, release, job) = occupied();
        let drops = Drops::new();
        let token = drops.token();
        let waiting = side.handle().spawn_blocking(move || drop(token));
        let report = side.shutdown(Shutdown::now());
        assert_eq!(report.aborted.len(), 2, "{report:?}");
        assert!(matches!(join_err(waiting), JoinError::Cancelled));
        assert!(matches!(join_err(job), JoinError::Closed));
        assert_eq!(drops.count(), 1);
        release.set();
    });
}

/// P7: after the shutdown a job is refused, and its closure dropped.
#[test]
fn a_job_after_the_shutdown_is_closed() {
    limited(|| {
        let side = loop_started();
        let handle = side.handle().clone();
        side.shutdown(Shutdown::now());
        let drops = Drops::new();
        let token = drops.token();
        assert!(matches!(join_err(handle.spawn_blocking(move || drop(token))), JoinError::Closed));
        assert_eq!(drops.count(), 1);
    });
}

/// J4: a blocking join of a job on the loop's own thread is an error; awaiting it is the way.
#[test]
fn a_job_is_awaited_on_the_loops_thread() {
    limited(|| {
        let side = loop_started();
        let handle = side.handle().clone();
        let task = side.handle().spawn(async move { handle.spawn_blocking(|| 1).await });
        assert_eq!(join_ok(task).expect("it ends"), 1);
        let (side, release, job) = occupied();
        let joined = join_ok(side.handle().call(move || job.join()));
        assert!(matches!(joined, Err(JoinError::WouldDeadlock)), "{joined:?}");
        release.set();
    });
}

/// O1: a job is a task: the snapshot shows it while it runs.
#[test]
fn a_running_job_is_in_the_snapshot() {
    limited(|| {
        let (side, release, job) = occupied();
        let tasks = join_ok(side.handle().tasks());
        assert_eq!(tasks.len(), 1);
        assert_eq!(tasks[0].id, job.id());
        assert_ne!(tasks[0].state, TaskState::Running, "it only waits for the worker");
        release.set();
        join_ok(job);
    });
}

/// C6, C8: start against cancel: whichever is first, the handle tells what happened.
#[test]
fn start_against_cancel_tells_the_truth() {
    limited(|| {
        let side = loop_started();
        for _ in 0..500 {
            let ran = Arc::new(AtomicUsize::new(0));
            let there = ran.clone();
            let job = side.handle().spawn_blocking(move || there.fetch_add(1, Ordering::SeqCst));
            let answer = job.cancel();
            match job.join() {
                Ok(before) => assert_eq!((before, ran.load(Ordering::SeqCst)), (0, 1)),
                Err(JoinError::Cancelled) => {
                    assert_eq!(answer, CancelRequest::Requested);
                    assert_eq!(ran.load(Ordering::SeqCst), 0);
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    });
}
