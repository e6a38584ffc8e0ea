//! The end of the loop against what other threads hold on to: whose is the loop's last reference?

use std::future::{pending, poll_fn};
use std::sync::Arc as StdArc;
use std::sync::Mutex;
use std::task::Poll;

use loom::thread;

use crate::support::{Drops, Model, spawn_remote};
use crate::task::state::Request;

/// P6: a cancel of a task that came in at the very end, and the drop of its handle.
///
/// Faults: `queue_reference_decided_by_done`.
#[test]
fn cancel_of_a_task_taken_in_at_the_end() {
    loom::model(|| {
        let model = Model::new();
        let join = spawn_remote(&model.run_queues(), pending::<()>());
        let other = thread::spawn(move || {
            let _ = join.request(Request::Cancel);
            drop(join);
        });
        model.close();
        other.join().expect("ends");
    });
}

/// W6, J5: an output that is not `Send` stays on the loop's thread, whatever wakes are on their way when
/// its handle is dropped there.
///
/// Faults: `queue_reference_takes_the_outcome`.
#[test]
fn output_of_a_local_task_stays_home() {
    loom::model(|| {
        let model = Model::new();
        let drops = Drops::new();
        let (mut token, left) = (Some(drops.token()), StdArc::new(Mutex::new(None)));
        let (waker, mut polled) = (StdArc::clone(&left), false);
        let join = model.spawn(poll_fn(move |cx| {
            if !std::mem::replace(&mut polled, true) {
                *waker.lock().expect("plain") = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(token.take())
        }));
        model.turn();
        let waker = left.lock().expect("plain").take().expect("it was polled");
        let local = waker.clone();
        let late = thread::spawn(move || waker.wake());
        {
            let _entered = model.side.enter();
            local.wake();
        }
        model.turn();
        assert!(join.is_done());
        drop(join); // on the loop's thread
        model.close();
        late.join().expect("ends");
        assert_eq!((drops.count(), drops.elsewhere()), (1, 0));
    });
}

/// P6: the handle of a task that the end aborted is dropped elsewhere while the loop closes.
///
/// Faults: `remote_drop_forgotten`.
#[test]
fn handle_dropped_while_the_loop_closes() {
    for finished in [false, true] {
        loom::model(move || {
            let model = Model::new();
            let drops = Drops::new();
            let token = drops.token();
            let join = model.spawn(async move {
                if !finished {
                    pending::<()>().await;
                }
                token
            });
            model.turn();
            let other = thread::spawn(move || drop(join));
            model.close();
            other.join().expect("ends");
            assert_eq!(drops.count(), 1);
        });
    }
}
