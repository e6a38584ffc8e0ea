//! The record of a guarded task: its guards, and who waits on another thread to be asked to end.

use std::future::{pending, poll_fn};
use std::sync::Arc as StdArc;
use std::sync::Mutex;
use std::task::Poll;

use loom::thread;

use crate::runtime::guards::record::Record;
use crate::support::{Model, thread_waker};
use crate::task::state::{CancelRequest, Request};

/// Blocks until a request has come, or none will, as `CancelGuard::requested` waits.
fn wait(record: &Record) {
    let (mut key, waker) = (None, thread_waker());
    while !record.register(&mut key, &waker) {
        thread::park();
    }
    record.unregister(&mut key);
}

/// A thread that waits for a request, and then gives its guard up.
fn waiting(record: &StdArc<Record>) -> thread::JoinHandle<()> {
    let record = StdArc::clone(record);
    thread::spawn(move || {
        wait(&record);
        record.unguard();
    })
}

/// C2: who begins to wait while a cancel comes, and while the loop tells who waits, hears of it.
///
/// Faults: `asked_before_the_lock`.
#[test]
fn register_against_a_cancel() {
    loom::model(|| {
        let model = Model::new();
        let join = model.spawn(pending::<()>());
        model.turn();
        let waiter = waiting(&model.record(&join));
        let canceller = join.task();
        let other = thread::spawn(move || canceller.request(Request::Cancel));
        model.run_until(|| join.is_done());
        waiter.join().expect("ends");
        assert_eq!(other.join().expect("ends"), CancelRequest::Requested);
        drop(join);
        model.turn();
        model.close();
    });
}

/// C2: two begin to wait, and both hear of the one request.
///
/// Faults: `two_wait_in_one_place`.
#[test]
fn two_wait_for_one_request() {
    loom::model(|| {
        let model = Model::new();
        let join = model.spawn(pending::<()>());
        model.turn();
        let record = model.record(&join);
        record.guard();
        let waiters = [waiting(&record), waiting(&record)];
        drop(record);
        assert_eq!(join.request(Request::Cancel), CancelRequest::Requested);
        model.run_until(|| join.is_done());
        for waiter in waiters {
            waiter.join().expect("ends");
        }
        drop(join);
        model.turn();
        model.close();
    });
}

/// C3: who begins to wait while the task is aborted, guard or not, waits for nothing, and is let go.
///
/// Faults: `end_leaves_no_mark`.
#[test]
fn register_against_the_end_of_the_task() {
    loom::model(|| {
        let model = Model::new();
        let join = model.spawn(pending::<()>());
        model.turn();
        let waiter = waiting(&model.record(&join));
        let _ = join.request(Request::Abort);
        model.run_until(|| join.is_done());
        waiter.join().expect("ends");
        drop(join);
        model.turn();
        model.close();
    });
}

/// C2: the task makes a guard while another one is dropped elsewhere: it is guarded as long as one lives.
///
/// Faults: `unguard_outside_of_the_lock`.
#[test]
fn guard_against_the_drop_of_another() {
    loom::model(|| {
        let model = Model::new();
        let kept = StdArc::new(Mutex::new(None::<StdArc<Record>>));
        let there = StdArc::clone(&kept);
        let join = model.spawn(poll_fn(move |_| {
            if let Some(record) = there.lock().expect("plain").take() {
                record.guard();
            }
            Poll::<()>::Pending
        }));
        let record = model.record(&join);
        *kept.lock().expect("plain") = Some(StdArc::clone(&record));
        let first = StdArc::clone(&record);
        let dropper = thread::spawn(move || first.unguard());
        model.turn();
        dropper.join().expect("ends");
        assert_eq!(join.request(Request::Cancel), CancelRequest::Requested);
        model.turn();
        assert!(!join.is_done(), "it ended, guarded");
        record.unguard();
        model.turn();
        assert!(join.is_done());
        drop((record, join));
        model.turn();
        model.close();
    });
}
