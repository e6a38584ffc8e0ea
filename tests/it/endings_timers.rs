//! Timers at the end of a loop, and the next deadline after many have gone.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use sideloop::{Executor, LoopThread, Shutdown, time};

use crate::support::limited;

const FAR: Duration = Duration::from_secs(3_600);

/// A waker whose destructor arms another timer with a waker like it, and keeps the future for ever.
struct Again(Arc<AtomicUsize>, Duration);

impl Wake for Again {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Again {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        arm(&self.0, self.1);
    }
}

fn arm(drops: &Arc<AtomicUsize>, after: Duration) {
    let mut sleep = Box::pin(time::sleep(after));
    let waker = Waker::from(Arc::new(Again(drops.clone(), after)));
    assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    std::mem::forget(Pin::into_inner(sleep));
}

/// H9, H4
#[test]
fn a_destructor_that_arms_a_timer_for_ever_does_not_keep_the_loop_from_its_end() {
    for after in [FAR, Duration::from_nanos(1)] {
        limited(move || {
            let drops = Arc::new(AtomicUsize::new(0));
            let side = LoopThread::start().expect("starts");
            let given = drops.clone();
            side.handle().call(move || arm(&given, FAR)).join().expect("armed");
            let own = Arc::new(Again(drops.clone(), after));
            side.handle().call(move || drop(own)).join().expect("armed");
            side.shutdown(Shutdown::now());
            assert!(drops.load(Ordering::Relaxed) >= 2, "each destructor has run");
        });
    }
}

/// H9: the same where an executor is dropped, with a thousand of them.
#[test]
fn destructors_that_arm_timers_do_not_keep_an_executor_from_its_end() {
    limited(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let mut executor = Executor::new();
        let given = drops.clone();
        executor.block_on(async move { (0..1_000).for_each(|_| arm(&given, FAR)) });
        drop(executor);
        let ran = drops.load(Ordering::Relaxed);
        assert!((1_000..=2_000).contains(&ran), "{ran} destructors have run");
    });
}

/// Drops another timer when it is dropped: one that the loop forgets as well.
struct Owner(Option<Pin<Box<time::Sleep>>>, Arc<AtomicUsize>);

impl Wake for Owner {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::Relaxed);
        drop(self.0.take());
    }
}

/// M7, H4: while the timers are forgotten, some are cancelled by the destructors of others.
#[test]
fn destructors_that_cancel_timers_at_the_end_do_no_harm() {
    limited(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let mut executor = Executor::new();
        let given = drops.clone();
        let last = executor.block_on(async move {
            let mut before = None;
            for n in 0..100_u32 {
                let waker = Waker::from(Arc::new(Owner(before.take(), given.clone())));
                let mut sleep = Box::pin(time::sleep(FAR * (n * 7 % 100 + 1)));
                let poll = sleep.as_mut().poll(&mut Context::from_waker(&waker));
                assert!(poll.is_pending());
                before = Some(sleep);
            }
            before
        });
        drop((executor, last));
        assert_eq!(drops.load(Ordering::Relaxed), 100);
    });
}

/// M9, G2: no turn puts all timers in order at once, and an idle loop knows its next deadline.
#[test]
fn the_next_deadline_is_exact_when_the_loop_is_idle_whatever_was_cancelled() {
    limited(|| {
        let mut executor = sideloop::Builder::new().virtual_time(0).build();
        let begun = executor.block_on(async { time::now() });
        let at = |n: usize| begun + FAR + Duration::from_nanos((n * 7_919 % 3_000) as u64);
        let mut all: Vec<_> = executor.block_on(async {
            let mut all = Vec::new();
            for n in 0..3_000 {
                let mut sleep = Box::pin(time::sleep_until(at(n)));
                let mut cx = Context::from_waker(Waker::noop());
                assert_eq!(sleep.as_mut().poll(&mut cx), Poll::Pending);
                all.push(sleep);
            }
            all
        });
        all.sort_by_key(|sleep| std::cmp::Reverse(sleep.deadline()));
        let mut turns = 0;
        while let Some(gone) = all.pop() {
            drop(gone);
            let next = all.last().map(|sleep| sleep.deadline());
            loop {
                turns += 1;
                let turn = executor.turn();
                let found = turn.next_deadline;
                if turn.idle {
                    assert_eq!(found, next, "{} are left", all.len());
                    break;
                }
                assert!(found <= next, "{found:?} is after {next:?}");
            }
        }
        assert!(turns < 6_000, "{turns} turns");
    });
}
