//! Blocking jobs: the workers, and the task on the loop that waits for one.

use std::sync::Arc as StdArc;
use std::task::Wake;

use loom::thread;

use crate::error::JoinError;
use crate::runtime::blocking::{Blocking, Pool};
use crate::runtime::thread_waker::ThreadWaker;
use crate::support::{Drops, Model};
use crate::sync::{Arc, AtomicUsize, Ordering};
use crate::task::state::Request;

/// C8: a worker has the result of a job while its task is polled: the task gets it.
///
/// Faults: `job_done_wakes_nobody`.
#[test]
fn result_against_poll() {
    loom::model(|| {
        let (model, pool) = (Model::new(), Pool::new(1, None));
        let job = Blocking::new(|| 7, &pool);
        let start = job.starter();
        let mut join = model.spawn(job);
        start(join.task());
        model.run_until(|| join.is_done());
        assert!(matches!(join.try_take(), Some(Ok(7))));
        drop(join);
        model.turn();
        model.close();
    });
}

/// C8: a worker takes a job up while its task is cancelled: it runs, and gives its value, or the task
/// is dropped, and it never runs.
///
/// Faults: `pin_after_a_request`, `pinned_is_no_protection`.
#[test]
fn start_against_cancel() {
    loom::model(|| {
        let (model, pool) = (Model::new(), Pool::new(1, None));
        let ran = Arc::new(AtomicUsize::new(0));
        let there = ran.clone();
        // ORDERING: Relaxed: whoever has the value is told in another way.
        let job = Blocking::new(move || there.fetch_add(1, Ordering::Relaxed), &pool);
        let start = job.starter();
        let mut join = model.spawn(job);
        let canceller = join.task();
        let other = thread::spawn(move || canceller.request(Request::Cancel));
        start(join.task());
        model.run_until(|| join.is_done());
        let _ = other.join().expect("ends");
        // ORDERING: Relaxed: as above.
        let started = ran.load(Ordering::Relaxed) == 1;
        match join.try_take().expect("it is done") {
            Ok(value) => assert!(value == 0 && started),
            Err(error) => assert!(matches!(error, JoinError::Cancelled) && !started),
        }
        drop(join);
        model.turn();
        model.close();
    });
}

/// C8: the loop ends while a worker takes a job up: a job that runs has its late result dropped there, and what one
/// that never ran has is dropped by the loop.
///
/// Faults: `closure_left_to_the_worker`.
#[test]
fn start_against_the_end() {
    loom::model(|| {
        let (model, pool) = (Model::new(), Pool::new(1, None));
        let (drops, ran) = (Drops::new(), Arc::new(AtomicUsize::new(0)));
        let (token, there) = (drops.token(), ran.clone());
        let body = move || {
            // ORDERING: Relaxed: published by the drop of the token.
            there.fetch_add(1, Ordering::Relaxed);
            token
        };
        let job = Blocking::new(body, &pool);
        let start = job.starter();
        let mut join = model.spawn(job);
        start(join.task());
        model.turn();
        model.close();
        pool.close();
        pool.join();
        let outcome = join.try_take().expect("the loop has ended");
        while drops.count() == 0 {
            thread::yield_now();
        }
        // ORDERING: Relaxed: as above.
        let ran = ran.load(Ordering::Relaxed);
        assert!(drops.count() == 1 && drops.elsewhere() <= ran);
        match outcome {
            Ok(token) => drop(token),
            Err(JoinError::Closed) => {}
            Err(error) => assert!(matches!(error, JoinError::Cancelled) && ran == 0, "{error}"),
        }
    });
}

/// C8, L2: the loop ends while a worker takes up a job that will not return: the worker is waited for if the job never
/// started, and only then.
///
/// Faults: `pool_waits_for_a_job_that_runs_on`.
#[test]
fn end_against_a_job_that_runs_on() {
    loom::model(|| {
        let (model, pool) = (Model::new(), Pool::new(1, None));
        let (drops, release) = (Drops::new(), StdArc::new(ThreadWaker::default()));
        let (token, until) = (drops.token(), release.clone());
        let body = move || {
            let _token = token;
            until.wait(None);
        };
        let job = Blocking::new(body, &pool);
        let start = job.starter();
        let join = model.spawn(job);
        start(join.task());
        model.close();
        pool.close();
        pool.join();
        release.wake_by_ref();
        while drops.count() == 0 {
            thread::yield_now();
        }
    });
}

/// C8: a job comes when a worker that was idle is about to end: it is run, by that one or another.
///
/// Faults: `idle_worker_leaves_unasked`.
#[test]
fn submit_against_an_idle_worker() {
    loom::model(|| {
        let (model, pool) = (Model::new(), Pool::new(1, None));
        for _ in 1..=2 {
            let job = Blocking::new(|| 7, &pool);
            let start = job.starter();
            let mut join = model.spawn(job);
            start(join.task());
            model.run_until(|| join.is_done());
            assert!(matches!(join.try_take(), Some(Ok(7))));
        }
        model.close();
    });
}

/// C8: a job is queued on another thread while its task is cancelled: nothing of it is left in the list.
///
/// Faults: `queued_job_is_left`.
#[test]
fn queued_against_a_cancel() {
    loom::model(|| {
        let (model, pool) = (Model::new(), Pool::new(1, None));
        let held = Arc::new(AtomicUsize::new(0));
        let there = held.clone();
        // ORDERING: Relaxed: it is not run.
        let job = Blocking::new(move || there.load(Ordering::Relaxed), &pool);
        let start = job.starter();
        let join = model.spawn(job);
        let task = join.task();
        let _ = join.task().request(Request::Cancel);
        let other = thread::spawn(move || start(task));
        model.run_until(|| join.is_done());
        other.join().expect("ends");
        assert_eq!(pool.waiting(), 0);
        drop((join, held));
        model.turn();
        model.close();
        pool.close();
        pool.join();
    });
}
