//! Guards: who decides whether a request ends a task.

use std::future::{Future, pending, poll_fn};
use std::sync::Arc as StdArc;
use std::sync::Mutex;
use std::task::Poll;

use loom::thread;

use crate::error::JoinError;
use crate::support::{Drops, Model, block_on};
use crate::sync::{Arc, AtomicUsize, Ordering};
use crate::task::join::TaskRef;
use crate::task::state::{CancelRequest, Request};

/// A reference to a task that its own future uses; given back when the model ends.
type Own = StdArc<Mutex<Option<TaskRef>>>;

fn own(task: &Own) -> TaskRef {
    task.lock().expect("plain").clone().expect("it was put there")
}

/// C2: a cancel against the poll that makes the guard: the task is never polled, or it is asked and ends
/// as it likes.
///
/// Faults: `asked_not_polled`, `guard_ignored`.
#[test]
fn cancel_against_guard() {
    loom::model(|| {
        let model = Model::new();
        let (task, guarded) = (Own::default(), StdArc::new(Mutex::new(false)));
        let (there, protected) = (StdArc::clone(&task), StdArc::clone(&guarded));
        let join = model.spawn(poll_fn(move |_| {
            let task = own(&there);
            if !std::mem::replace(&mut *protected.lock().expect("plain"), true) {
                task.guard();
                return Poll::Pending;
            }
            if !task.is_asked() {
                return Poll::Pending;
            }
            let then = task.unguard();
            task.expedite(then);
            Poll::Ready(7)
        }));
        *task.lock().expect("plain") = Some(join.task());
        let canceller = join.task();
        let other = thread::spawn(move || canceller.request(Request::Cancel));
        model.run_until(|| join.is_done());
        assert_eq!(other.join().expect("ends"), CancelRequest::Requested);
        drop(task.lock().expect("plain").take());
        let mut join = join;
        match join.try_take().expect("it is done") {
            Ok(value) => assert_eq!(value, 7),
            Err(error) => {
                assert!(matches!(error, JoinError::Cancelled), "{error}");
                assert!(!*guarded.lock().expect("plain"), "it was guarded");
            }
        }
        drop(join);
        model.turn();
        model.close();
    });
}

/// C2: the last guard is dropped on one thread while another cancels: in either order the task ends,
/// once, on the loop's thread.
///
/// Faults: `unguard_forgets_the_request`.
#[test]
fn cancel_against_the_last_guards_drop() {
    loom::model(|| {
        let model = Model::new();
        let drops = Drops::new();
        let token = drops.token();
        let join = model.spawn(async move {
            let _token = token;
            pending::<()>().await;
        });
        model.turn();
        join.task().guard();
        let (guard, canceller) = (join.task(), join.task());
        let dropper = thread::spawn(move || {
            let then = guard.unguard();
            guard.expedite(then);
        });
        let other = thread::spawn(move || canceller.request(Request::Cancel));
        model.run_until(|| join.is_done());
        dropper.join().expect("ends");
        assert_eq!(other.join().expect("ends"), CancelRequest::Requested);
        assert_eq!((drops.count(), drops.elsewhere()), (1, 0));
        drop(join);
        model.turn();
        model.close();
    });
}

/// C3, C6: a refusal against a second cancel: each request is honoured once, by a refusal or by the end.
///
/// Faults: `refuse_loses_an_abort`.
#[test]
fn refusal_against_an_abort() {
    loom::model(|| {
        let model = Model::new();
        let join = model.spawn(pending::<()>());
        model.turn();
        join.task().guard();
        let (guard, aborter) = (join.task(), join.task());
        assert_eq!(join.request(Request::Cancel), CancelRequest::Requested);
        let refuser = thread::spawn(move || guard.refuse());
        let other = thread::spawn(move || aborter.request(Request::Abort));
        model.run_until(|| join.is_done());
        let (refused, answer) = (refuser.join().expect("ends"), other.join().expect("ends"));
        let expected =
            if refused { CancelRequest::Requested } else { CancelRequest::AlreadyRequested };
        assert_eq!(answer, expected);
        drop(join);
        model.turn();
        model.close();
    });
}

/// J1, C7: a thread that blocks in a join, the completing loop, and a cancel: it is answered.
///
/// Faults: `cancelled_joiner_not_woken`.
#[test]
fn blocking_join_against_complete_against_cancel() {
    loom::model(|| {
        let model = Model::new();
        let mut join = crate::support::spawn_remote(&model.run_queues(), async { 7 });
        let canceller = join.task();
        let joiner = thread::spawn(move || block_on(&mut join, false));
        let other = thread::spawn(move || canceller.request(Request::Cancel));
        model.turn();
        match joiner.join().expect("ends") {
            Ok(value) => assert_eq!(value, 7),
            Err(error) => assert!(matches!(error, JoinError::Cancelled), "{error}"),
        }
        let _ = other.join().expect("ends");
        model.turn();
        model.close();
    });
}

/// C2, J5: a cancel of a guarded task against the drop of its handle: the task is asked all the same.
///
/// Faults: `cancel_dropped_with_the_handle`.
#[test]
fn cancel_against_drop_of_the_handle() {
    loom::model(|| {
        let model = Model::new();
        let drops = Drops::new();
        let token = drops.token();
        let join = model.spawn(async move {
            let _token = token;
            pending::<()>().await;
        });
        model.turn();
        let canceller = join.task();
        let dropper = thread::spawn(move || drop(join));
        let other = thread::spawn(move || canceller.request(Request::Cancel));
        model.run_until(|| drops.count() == 1);
        dropper.join().expect("ends");
        assert_eq!(other.join().expect("ends"), CancelRequest::Requested);
        assert_eq!(drops.elsewhere(), 0);
        model.turn();
        model.close();
    });
}
