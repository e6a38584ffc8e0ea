//! Foreign wakers that panic or come back in: in `JoinHandle::poll`, in timers, in hooks.

use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::time::Duration;

use sideloop::{Builder, Executor, JoinError, JoinHandle, Shutdown, StartError, time};

use crate::child::isolated;
use crate::panics::Bomb;
use crate::support::{
    Gate, Latch, Probe, hold, join_err, join_ok, join_soon, limited, loop_started,
};

/// A waker that runs a closure when it is woken.
struct OnWake(Box<dyn Fn() + Send + Sync>);

impl Wake for OnWake {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

pub(crate) fn on_wake(act: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(OnWake(Box::new(act))))
}

pub(crate) fn wake_panics() -> Waker {
    on_wake(|| panic!("a waker that panics"))
}

/// A waker that runs a closure when its last clone is dropped; waking it does nothing.
struct OnDrop(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Wake for OnDrop {
    fn wake(self: Arc<Self>) {}
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        let act = self.0.get_mut().expect("not poisoned").take();
        act.expect("dropped once")();
    }
}

pub(crate) fn on_drop(act: impl FnOnce() + Send + 'static) -> Waker {
    Waker::from(Arc::new(OnDrop(Mutex::new(Some(Box::new(act))))))
}

/// A waker whose clone panics.
#[allow(unsafe_code, reason = "an `Arc` gives no waker whose clone panics")]
pub(crate) fn clone_panics() -> Waker {
    const VTABLE: RawWakerVTable =
        RawWakerVTable::new(|_| panic!("a waker that cannot be cloned"), |_| (), |_| (), |_| ());
    // SAFETY: no function of the table touches the data pointer, and nothing is owned by it.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &VTABLE)) }
}

/// Polls `future` once with `waker`; a panic of the waker's may come out, and is of no interest.
pub(crate) fn poll_with<F: Future + Unpin>(
    future: &mut F,
    waker: &Waker,
) -> Option<Poll<F::Output>> {
    let poll = || Pin::new(future).poll(&mut Context::from_waker(waker));
    catch_unwind(AssertUnwindSafe(poll)).ok()
}

/// A task that ends when the gate opens, and whose handle was polled with `waker`.
fn polled_with(waker: Waker, gate: &Gate, on: &sideloop::Handle) -> JoinHandle<()> {
    let mut task = on.spawn(gate.passed());
    let poll = poll_with(&mut task, &waker);
    assert!(!matches!(poll, Some(Poll::Ready(_))), "the gate is closed");
    task
}

// ───────────── of a joiner ─────────────

/// X1: a joiner whose waker panics harms neither the loop nor the next task to end.
#[test]
fn a_joiner_whose_wake_panics_harms_nobody() {
    limited(|| {
        let side = loop_started();
        let gate = Gate::new();
        let bad = polled_with(wake_panics(), &gate, side.handle());
        let good = side.handle().spawn(gate.passed());
        gate.open();
        join_ok(good);
        join_ok(bad);
    });
}

/// X1: a joiner whose waker panics when it is dropped: on the loop thread, and when it is replaced.
#[test]
fn a_joiner_whose_waker_panics_in_its_drop_harms_nobody() {
    isolated(|| {
        let side = loop_started();
        let gate = Gate::new();
        let on_loop = polled_with(on_drop(|| panic!("dropped")), &gate, side.handle());
        let mut replaced = polled_with(on_drop(|| panic!("replaced")), &gate, side.handle());
        poll_with(&mut replaced, Waker::noop());
        let given_up = polled_with(on_drop(|| panic!("given up")), &gate, side.handle());
        let _ = catch_unwind(AssertUnwindSafe(|| drop(given_up)));
        gate.open();
        join_ok(on_loop);
        join_ok(replaced);
        join_ok(side.handle().call(|| ()));
    });
}

/// X1: a joiner whose waker cannot be cloned leaves the handle usable, and the task too.
#[test]
fn a_joiner_whose_clone_panics_harms_nobody() {
    limited(|| {
        let side = loop_started();
        let gate = Gate::new();
        let mut task = polled_with(clone_panics(), &gate, side.handle());
        poll_with(&mut task, Waker::noop());
        poll_with(&mut task, &clone_panics());
        gate.open();
        join_ok(task);
        join_ok(side.handle().call(|| ()));
    });
}

/// X1, H4: at the end of the loop, a joiner whose waker panics keeps nobody else from their answer.
#[test]
fn a_panicking_joiner_at_the_end_keeps_nobody_from_their_answer() {
    limited(|| {
        let side = loop_started();
        let gate = Gate::new();
        let bad = polled_with(wake_panics(), &gate, side.handle());
        let (probe, log) = Probe::pending();
        let good = side.handle().spawn(probe);
        log.wait_polls(1);
        let report = side.shutdown(Shutdown::now());
        assert_eq!(report.aborted.len(), 2, "{report:?}");
        for task in [bad, good] {
            assert!(matches!(join_err(task), JoinError::Cancelled));
        }
        assert_eq!(log.dropped(), 1);
    });
}

/// P1, W4: a waker may come back in: spawn, cancel and drop handles while it is woken.
#[test]
fn a_joiners_waker_may_use_the_loop() {
    limited(|| {
        let side = loop_started();
        let gate = Gate::new();
        let victim = side.handle().spawn(pending::<()>());
        let owned = Mutex::new(Some(side.handle().spawn(pending::<()>()).cancel_on_drop()));
        let (canceller, handle) = (victim.canceller(), side.handle().clone());
        let called = Latch::new("the waker's call ran");
        let there = called.clone();
        let waker = on_wake(move || {
            let there = there.clone();
            canceller.cancel();
            drop(owned.lock().expect("not poisoned").take());
            handle.call(move || there.set()).detach();
        });
        let task = polled_with(waker, &gate, side.handle());
        gate.open();
        called.wait();
        join_ok(task);
        assert!(matches!(join_err(victim), JoinError::Cancelled));
    });
}

/// P1: so may the drop of a waker, also when it owns the last handle of another task.
#[test]
fn a_drop_of_a_joiners_waker_may_use_the_loop() {
    limited(|| {
        let side = loop_started();
        let gate = Gate::new();
        let (probe, log) = Probe::pending();
        let owned = side.handle().spawn(probe).cancel_on_drop();
        log.wait_polls(1);
        let handle = side.handle().clone();
        let waker = on_drop(move || {
            drop(owned);
            handle.call(|| ()).detach();
        });
        let task = polled_with(waker, &gate, side.handle());
        drop(task);
        log.drops().wait(1);
        gate.open();
        join_ok(side.handle().call(|| ()));
    });
}

/// P1: a handle kept by the waker that waits for it makes no knot: it ends with the task.
#[test]
fn a_waker_that_owns_its_own_handle_is_dropped_with_the_task() {
    limited(|| {
        let side = loop_started();
        let gate = Gate::new();
        let slot: Arc<Mutex<Option<JoinHandle<()>>>> = Arc::new(Mutex::new(None));
        let owned = Arc::clone(&slot);
        let woken = Latch::new("the waker was woken");
        let there = woken.clone();
        let waker = on_wake(move || {
            drop(owned.lock().expect("not poisoned").take());
            there.set();
        });
        let task = polled_with(waker, &gate, side.handle());
        *slot.lock().expect("not poisoned") = Some(task);
        gate.open();
        woken.wait();
        join_ok(side.handle().call(|| ()));
        assert!(slot.lock().expect("not poisoned").is_none());
    });
}

// ───────────── of a timer ─────────────

/// X1: a timer whose waker panics keeps no other timer from firing.
#[test]
fn a_timer_whose_wake_panics_harms_no_other() {
    limited(|| {
        let side = loop_started();
        let bad = side.handle().spawn(async {
            let mut sleep = pin!(time::sleep(Duration::from_millis(1)));
            let waker = wake_panics();
            assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            time::sleep(Duration::from_millis(3)).await;
        });
        let good = side.handle().spawn(time::sleep(Duration::from_millis(2)));
        join_ok(good);
        join_ok(bad);
    });
}

/// X1: a timer whose waker panics in its clone or drop ends at most the task that polled it.
#[test]
fn a_timer_whose_waker_panics_harms_no_other_task() {
    isolated(|| {
        let side = loop_started();
        for waker in [on_drop(|| panic!("a timer's waker")), clone_panics()] {
            let task = side.handle().spawn(async move {
                let mut sleep = Box::pin(time::sleep(Duration::from_secs(3600)));
                let _ = poll_with(&mut sleep, &waker);
                drop(waker);
                let _ = catch_unwind(AssertUnwindSafe(|| drop(sleep)));
            });
            let _ = join_soon(task);
            join_ok(side.handle().spawn(time::sleep(Duration::from_millis(1))));
        }
    });
}

// ───────────── of a host loop ─────────────

/// X1: an `on_wake` hook that panics costs no wake: the executor finds the work in its next turn.
#[test]
fn an_on_wake_hook_that_panics_costs_no_wake() {
    limited(|| {
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let mut executor = Builder::new()
            .on_wake(move || {
                counter.fetch_add(1, Ordering::SeqCst);
                panic!("a host that panics");
            })
            .build();
        let (probe, log) = Probe::ready_at(2, 5);
        let task = catch_unwind(AssertUnwindSafe(|| executor.spawn_local(probe)));
        let task = task.expect("X1: the hook's panic is contained");
        executor.run_until_idle();
        assert_eq!(log.polls(), 1);
        assert!(catch_unwind(AssertUnwindSafe(|| log.wake())).is_ok(), "W1: waking is infallible");
        executor.run_until_idle();
        assert_eq!(log.polls(), 2);
        assert_eq!(executor.block_on(task).expect("a value"), 5);
        assert!(calls.load(Ordering::SeqCst) >= 2);
    });
}

/// X1, P1: a task that wakes foreign wakers which panic ends only itself.
#[test]
fn a_task_that_wakes_a_panicking_waker_ends_only_itself() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        let bad = side.handle().spawn(async { wake_panics().wake() });
        let good = side.handle().call(|| 1);
        held.release();
        assert!(matches!(join_err(bad), JoinError::Panicked(_)));
        assert_eq!(join_ok(good), 1);
    });
}

/// X1: a timer whose waker cannot be cloned is not armed, and not counted as armed.
#[test]
fn a_timer_whose_waker_cannot_be_cloned_is_not_armed() {
    limited(|| {
        let mut executor = Executor::new();
        let mut sleep = Box::pin(time::sleep(Duration::from_secs(3600)));
        let task = executor.spawn_local(async move {
            let _ = sleep.as_mut().poll(&mut Context::from_waker(&clone_panics()));
        });
        executor.run_until_idle();
        assert!(matches!(join_err(task), JoinError::Panicked(_)));
        assert_eq!(executor.handle().metrics().timers_armed, 0);
        assert_eq!(executor.turn().next_deadline, None);
    });
}

/// X1: hooks whose captures panic when they are dropped cost nothing but themselves.
#[test]
fn hooks_that_panic_in_their_drop_cost_nothing() {
    isolated(|| {
        let (one, two) = (Bomb("on_panic is dropped"), Bomb("on_stop is dropped"));
        let side = Builder::new()
            .on_panic(move |_| {
                let _whole = &one;
            })
            .on_stop(move || drop(two))
            .start()
            .expect("a loop thread starts");
        side.handle().call(|| panic!("told")).detach();
        let stuck = side.handle().spawn(pending::<()>());
        join_ok(side.handle().call(|| ()));
        let report = side.shutdown(Shutdown::now());
        assert_eq!(report.aborted.len(), 1, "{report:?}");
        assert!(matches!(join_err(stuck), JoinError::Cancelled));
        let bomb = Bomb("on_start is dropped");
        let error = Builder::new()
            .on_start(move || {
                drop(bomb);
                Ok(())
            })
            .start();
        assert!(matches!(error, Err(StartError::Panicked(_))), "{error:?}");
    });
}
