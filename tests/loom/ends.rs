//! Last references, and the end of the loop.

use std::sync::Arc as StdArc;

use loom::thread;

use crate::error::JoinError;
use crate::support::{Drops, Model, Until, spawn_remote};
use crate::task::run_queues::Parked;

/// W4, W6: the last waker is dropped on another thread while the task completes: the future was
/// dropped by the loop, and the cell is freed once.
///
/// Faults: `clone_uncounted`.
#[test]
fn last_reference_elsewhere() {
    for wakes in [false, true] {
        loom::model(move || {
            let model = Model::new();
            let drops = Drops::new();
            let (token, waker) = (drops.token(), StdArc::default());
            let until = Until { waker: StdArc::clone(&waker), ready: move || token.is_whole() };
            let join = model.spawn(until);
            model.turn();
            let waker = waker.lock().expect("plain").take().expect("it was polled");
            let other = thread::spawn(move || if wakes { waker.wake() } else { drop(waker) });
            let _ = join.request(crate::task::state::Request::Abort);
            model.run_until(|| join.is_done());
            drop(join);
            other.join().expect("ends");
            assert_eq!((drops.count(), drops.elsewhere()), (1, 0));
            model.turn();
            model.close();
        });
    }
}

/// P6: a spawn against the end of the loop: it is ended there, or refused here; its handle says so.
///
/// Faults: `close_drops_the_rest`, `push_after_close`.
#[test]
fn spawn_against_the_end() {
    loom::model(|| {
        let model = Model::new();
        let drops = Drops::new();
        let (run_queues, token) = (model.run_queues(), drops.token());
        let spawner = thread::spawn(move || {
            spawn_remote(&run_queues, async move {
                let _token = token;
                std::future::pending::<()>().await;
            })
        });
        model.close();
        let mut join = spawner.join().expect("ends");
        assert_eq!(drops.count(), 1);
        match join.try_take() {
            Some(Err(JoinError::Cancelled)) => assert_eq!(drops.elsewhere(), 0),
            Some(Err(JoinError::Closed)) => assert_eq!(drops.elsewhere(), 1),
            other => panic!("{other:?}"),
        }
    });
}

/// W4: a wake against the end of the loop does nothing, and the cell is freed once.
///
/// Faults: `queue_reference_ignored`, `settle_transfers_nothing`.
#[test]
fn wake_against_the_end() {
    loom::model(|| {
        let model = Model::new();
        let waker = StdArc::default();
        let join = model.spawn(Until { waker: StdArc::clone(&waker), ready: || false });
        model.turn();
        let waker = waker.lock().expect("plain").take().expect("it was polled");
        let other = thread::spawn(move || waker.wake());
        model.close();
        other.join().expect("ends");
        assert!(join.is_done());
        drop(join);
    });
}

/// W4: a wake that comes while the task completes, and one that comes after: the second does nothing, and
/// wakes no loop that sleeps.
///
/// Faults: `wake_of_done_pushes`.
#[test]
fn wake_after_completion() {
    loom::model(|| {
        let model = Model::new();
        let waker = StdArc::default();
        let join = model.spawn(Until { waker: StdArc::clone(&waker), ready: twice() });
        model.turn();
        let waker = waker.lock().expect("plain").take().expect("it was polled");
        let (racing, late) = (waker.clone(), waker.clone());
        let racer = thread::spawn(move || racing.wake());
        {
            let _entered = model.side.enter();
            waker.wake_by_ref();
        }
        model.turn();
        assert!(join.is_done());
        racer.join().expect("ends");
        model.turn();
        while model.side.park() != Parked::Asleep {}
        let before = model.unparks();
        thread::spawn(move || late.wake()).join().expect("ends");
        assert!(model.unparks() == before && !model.run_queues().has_any(), "it was pushed");
        drop((waker, join));
        model.turn();
        model.close();
    });
}

/// J5: a handle with its output untaken is dropped while the loop ends: the output is dropped once.
///
/// Faults: `refused_remote_drop_leaks`.
#[test]
fn drop_of_a_finished_handle_against_the_end() {
    for woken in [false, true] {
        loom::model(move || {
            let model = Model::new();
            let drops = Drops::new();
            let (token, waker) = (drops.token(), StdArc::default());
            let until = Until { waker: StdArc::clone(&waker), ready: twice() };
            let join = model.spawn(async move {
                until.await;
                token
            });
            model.turn();
            // The second poll ends the task, whether or not this wake has reached the stack by then.
            let waker = waker.lock().expect("plain").take().expect("it was polled");
            let local = waker.clone();
            let late = woken.then(|| thread::spawn(move || waker.wake()));
            {
                let _entered = model.side.enter();
                local.wake();
            }
            model.turn();
            assert!(join.is_done());
            let dropper = thread::spawn(move || drop(join_of_send(join)));
            model.close();
            dropper.join().expect("ends");
            if let Some(late) = late {
                late.join().expect("ends");
            }
            assert_eq!(drops.count(), 1);
        });
    }
}

/// `false` at first, `true` from the second call on.
fn twice() -> impl Fn() -> bool + Unpin {
    let seen = std::cell::Cell::new(false);
    move || seen.replace(true)
}

/// The output is `Send`; this says so where the future was spawned on the loop's own thread.
fn join_of_send<T: Send>(join: crate::task::join::Join<T>) -> crate::task::join::Join<T> {
    join
}
