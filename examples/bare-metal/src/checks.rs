//! The checks that need no interrupt.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::{Future, pending, poll_fn};
use core::pin::pin;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::{Context, Poll, Waker};

use sideloop::bare::Loop;
use sideloop::{CancelRequest, JoinError, JoinHandle};

use crate::Check;

pub(crate) const ALL: [Check; 7] = [
    ("tasks start in the order of their spawns", tasks_start_in_order),
    ("timers fire by deadline, then by order of arming", timers_fire_in_order),
    ("a sleep that is dropped is forgotten", dropped_sleeps_are_forgotten),
    ("a cancelled task is dropped, and its joiner told", cancelling_drops_and_tells),
    ("a wake while it polls is not lost", a_wake_during_the_poll_counts),
    ("the hook is called once for each change from idle", the_hook_is_called_once),
    ("handles and wakers outlive the loop", handles_outlive_the_loop),
];

/// The outcome that the handle has now.
fn outcome<T>(handle: JoinHandle<T>) -> Poll<Result<T, JoinError>> {
    pin!(handle).poll(&mut Context::from_waker(Waker::noop()))
}

/// Turns at time zero until there is nothing left to do.
fn settle(bare: &mut Loop) {
    while !bare.turn(0).idle {}
}

fn tasks_start_in_order() {
    let mut bare = Loop::new(|| ());
    let order = Rc::new(RefCell::new(Vec::new()));
    let handles: Vec<_> = (0..40)
        .map(|n| {
            let order = order.clone();
            bare.spawn_local(async move { order.borrow_mut().push(n) })
        })
        .collect();
    let remote = bare.remote();
    let sum = remote.spawn(async { (1..=10).sum::<u32>() });
    settle(&mut bare);
    assert!(order.borrow().iter().copied().eq(0..40), "{order:?}");
    assert!(handles.iter().all(JoinHandle::is_finished));
    assert!(matches!(outcome(sum), Poll::Ready(Ok(55))));
}

/// Deadlines from one to 2^57, which do not fit into a word of this machine.
fn timers_fire_in_order() {
    let mut bare = Loop::new(|| ());
    let fired = Rc::new(RefCell::new(Vec::new()));
    let mut wanted = BTreeSet::new();
    for n in 0..20_u64 {
        // Powers of eight, each twice, out of order.
        let deadline = 1 << (n * 7 % 20 * 3);
        for copy in 0..2 {
            wanted.insert((deadline, n, copy));
            let (timer, fired) = (bare.timer(), fired.clone());
            let sleeper = async move {
                timer.sleep_until(deadline).await;
                assert!(timer.now() == deadline, "{} instead of {deadline}", timer.now());
                fired.borrow_mut().push((deadline, n, copy));
            };
            bare.spawn_local(sleeper).detach();
        }
        settle(&mut bare); // arms them
    }
    let mut now = 0;
    while let Some(next) = bare.turn(now).next_deadline {
        assert!(next >= now, "{next} after {now}");
        now = next;
    }
    while !bare.turn(now).idle {}
    assert!(fired.borrow().iter().eq(&wanted), "{fired:?}");
}

fn dropped_sleeps_are_forgotten() {
    let mut bare = Loop::new(|| ());
    let timer = bare.timer();
    let sleeper = bare.spawn_local(async move { timer.sleep_until(9).await });
    settle(&mut bare);
    assert_eq!(bare.turn(0).next_deadline, Some(9));
    assert_eq!(sleeper.abort(), CancelRequest::Requested);
    settle(&mut bare);
    assert_eq!(bare.turn(0).next_deadline, None);
}

/// Counts its drops.
struct Token(Rc<Cell<usize>>);

impl Drop for Token {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

fn cancelling_drops_and_tells() {
    let mut bare = Loop::new(|| ());
    let drops = Rc::new(Cell::new(0));
    let token = Token(drops.clone());
    let stuck = bare.spawn_local(async move {
        pending::<()>().await;
        drop(token);
    });
    let canceller = stuck.canceller();
    let joiner = bare.spawn_local(stuck);
    settle(&mut bare);
    assert_eq!((drops.get(), canceller.cancel()), (0, CancelRequest::Requested));
    assert_eq!(canceller.cancel(), CancelRequest::AlreadyRequested);
    settle(&mut bare);
    assert_eq!((drops.get(), canceller.cancel()), (1, CancelRequest::Finished));
    assert!(matches!(outcome(joiner), Poll::Ready(Ok(Err(JoinError::Cancelled)))));
}

fn a_wake_during_the_poll_counts() {
    let mut bare = Loop::new(|| ());
    let mut polls = 0;
    let count = poll_fn(move |cx| {
        polls += 1;
        cx.waker().wake_by_ref();
        cx.waker().clone().wake(); // coalesced
        if polls == 5 { Poll::Ready(polls) } else { Poll::Pending }
    });
    let task = bare.spawn_local(count);
    let mut made = 0;
    loop {
        let turn = bare.turn(0);
        made += turn.polls;
        if turn.idle {
            break;
        }
    }
    assert_eq!(made, 5, "one poll for the spawn, and one for each pair of wakes");
    assert!(matches!(outcome(task), Poll::Ready(Ok(5))));
}

fn the_hook_is_called_once() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let mut bare = Loop::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    for round in 1..=3 {
        let remote = bare.remote();
        for _ in 0..4 {
            remote.spawn(async {}).detach();
        }
        assert_eq!(calls.load(Ordering::Relaxed), round);
        settle(&mut bare);
    }
}

fn handles_outlive_the_loop() {
    let mut bare = Loop::new(|| ());
    let waker = Rc::new(RefCell::new(None));
    let slot = waker.clone();
    let kept = bare.spawn_local(poll_fn(move |cx| {
        *slot.borrow_mut() = Some(cx.waker().clone());
        Poll::<()>::Pending
    }));
    let done = bare.spawn_local(async { Box::new(7) });
    settle(&mut bare);
    let remote = bare.remote();
    let late = remote.spawn(async {});
    drop(bare);
    let waker = waker.borrow_mut().take().expect("it was polled");
    waker.wake_by_ref();
    assert!(matches!(outcome(kept), Poll::Ready(Err(JoinError::Cancelled))));
    assert!(matches!(outcome(done), Poll::Ready(Ok(seven)) if *seven == 7));
    assert!(matches!(outcome(late), Poll::Ready(Err(JoinError::Cancelled))));
    assert!(matches!(outcome(remote.spawn(async {})), Poll::Ready(Err(JoinError::Closed))));
    waker.wake();
}
