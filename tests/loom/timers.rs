//! Timers whose futures are dropped on other threads.

use std::sync::{Arc as StdArc, Mutex};
use std::task::Waker;

use loom::thread;

use crate::error::JoinError;
use crate::scheduler::wheel::{TimerKey, Wheel, WheelStep};
use crate::support::{Model, Until, origin};
use crate::task::spawn::{Kind, NewTask};

/// A task that leaves its waker behind, and is ready in its second poll.
fn sleeper(model: &Model) -> (crate::task::join::Join<()>, Waker) {
    let (waker, polled) = (StdArc::default(), std::cell::Cell::new(false));
    let ready = move || polled.replace(true);
    let join = model.spawn(Until { waker: StdArc::clone(&waker), ready });
    model.turn();
    let waker = waker.lock().expect("plain").take().expect("it was polled");
    (join, waker)
}

/// A wheel, made where the stack is larger than that of a model's threads.
fn wheel() -> Wheel<Waker> {
    std::thread::spawn(|| Wheel::new(0)).join().expect("it is made")
}

/// Arms a timer, with whatever its wheel lacks for it.
fn arm(wheel: &Mutex<Wheel<Waker>>, deadline: u64, mut waker: Waker) -> TimerKey {
    let mut wheel = wheel.lock().expect("plain");
    loop {
        match wheel.arm(deadline, waker) {
            Ok(key) => return key,
            Err(back) => waker = back,
        }
        wheel.arena().widen();
    }
}

/// M6, M7: a timer's key is dropped on another thread while the loop fires that timer, arms another
/// one in its place, and ends: the key cancels its own timer or none, and nothing is left.
///
/// Faults: `stale_key_cancels`.
#[test]
fn key_dropped_elsewhere() {
    loom::model(|| {
        let model = Model::new();
        let wheel = StdArc::new(Mutex::new(wheel()));
        let (first, waker) = sleeper(&model);
        let (second, later) = sleeper(&model);
        let key = arm(&wheel, 10, waker);
        let (run_queues, there) = (model.run_queues(), StdArc::clone(&wheel));
        let dropper = thread::spawn(move || {
            let cancel = async move {
                let waker = there.lock().expect("plain").cancel(key);
                drop(waker);
            };
            let request = NewTask::new(cancel, (), origin(), run_queues.clone(), Kind::Control);
            let pushed = request.push(&run_queues);
            drop(pushed.unwrap_or_else(|request| request.end(JoinError::Closed)));
        });
        let fire = |now| {
            let step = wheel.lock().expect("plain").step(now, &mut 8);
            if let WheelStep::Fired(waker) = step {
                let _entered = model.side.enter();
                waker.wake();
                return true;
            }
            false
        };
        model.turn();
        let fired = fire(10);
        let _key = arm(&wheel, 20, later);
        model.turn();
        assert_eq!(first.is_done(), fired);
        assert!(fire(20), "the other timer was cancelled");
        model.turn();
        assert!(second.is_done());
        model.close();
        dropper.join().expect("ends");
        assert!(wheel.lock().expect("plain").is_empty());
        drop((first, second));
    });
}
