//! Waiting for room without blocking.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use sideloop::{Builder, Handle, JoinHandle, LoopThread, Shutdown, SpawnError, SpawnWhenFree};

use super::{bounded, fill};
use crate::support::{CountingWaker, Drops, Hold, hold, join_ok, limited};

/// Polls once with this waker.
fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// A loop of this capacity that is held and full.
fn full(capacity: usize) -> (LoopThread, Hold) {
    let side = bounded(capacity);
    let held = hold(side.handle());
    fill(side.handle(), capacity).into_iter().for_each(JoinHandle::detach);
    (side, held)
}

/// A future that waits at a full gate with a waker of its own.
fn waiting<F>(handle: &Handle, future: F) -> (SpawnWhenFree<F>, Arc<CountingWaker>)
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let (mut waiting, waker) = (handle.spawn_when_free(future), Arc::new(CountingWaker::default()));
    assert!(poll(&mut waiting, &Waker::from(waker.clone())).is_pending());
    (waiting, waker)
}

/// What it spawned.
#[track_caller]
fn taken<F>(mut waiting: SpawnWhenFree<F>) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match poll(&mut waiting, Waker::noop()) {
        Poll::Ready(Ok(task)) => task,
        Poll::Ready(Err(error)) => panic!("{error}"),
        Poll::Pending => panic!("it waits still"),
    }
}

/// P8: one place, one waker: 128 wait at a capacity of 4, four are woken at a time, and each once.
#[test]
fn a_place_wakes_one_waiter() {
    limited(|| {
        let (side, held) = full(4);
        let mut all: Vec<_> = (0..128).map(|n| waiting(side.handle(), async move { n })).collect();
        assert!(all.iter().all(|(_, waker)| waker.count() == 0));
        held.release();
        let mut done = 0;
        while !all.is_empty() {
            join_ok(side.handle().tasks()); // the turn of those before is over
            join_ok(side.handle().tasks());
            let woken: Vec<_> = all.iter().map(|(_, waker)| waker.count()).collect();
            assert!(woken[..4] == [1; 4] && woken[4..].iter().all(|n| *n == 0), "{woken:?}");
            for (one, _) in all.drain(..4) {
                assert_eq!(join_ok(taken(one)), done);
                done += 1;
            }
        }
        assert_eq!((done, join_ok(side.handle().call(|| 1))), (128, 1));
    });
}

/// P8: nobody overtakes: who comes when there is room for those who wait has to wait, whether it blocks or not.
#[test]
fn nobody_overtakes_who_waits() {
    limited(|| {
        let (side, held) = full(1);
        let (first, woken) = waiting(side.handle(), async { 1 });
        let handle = side.handle().clone();
        let second = thread::spawn(move || join_ok(handle.spawn(async { 2 })));
        held.release();
        while woken.count() == 0 {
            thread::yield_now();
        }
        for _ in 0..100 {
            assert!(matches!(side.handle().try_spawn(async {}), Err(SpawnError::Full(_))));
        }
        assert!(!second.is_finished(), "the first one's place");
        assert_eq!(join_ok(taken(first)), 1);
        assert_eq!(second.join().expect("ends"), 2);
    });
}

/// P8: who gives up, waiting or with a place in hand, is passed over, and loses nobody's wake.
#[test]
fn who_gives_up_passes_its_place_on() {
    limited(|| {
        let (side, held) = full(1);
        let drops = Drops::new();
        let token = drops.token();
        let (gone, _) = waiting(side.handle(), async move { drop(token) });
        let (served, woken) = waiting(side.handle(), async {});
        let (last, told) = waiting(side.handle(), async { 3 });
        drop(gone);
        assert_eq!(drops.count(), 1, "unspawned");
        held.release();
        while woken.count() == 0 {
            thread::yield_now();
        }
        assert_eq!(told.count(), 0);
        drop(served);
        assert_eq!(told.count(), 1);
        assert_eq!(join_ok(taken(last)), 3);
        assert_eq!(join_ok(side.handle().call(|| 4)), 4);
    });
}

/// P8: two loops with gates of one submit to each other, and both go on.
#[test]
fn two_narrow_loops_submit_to_each_other() {
    const ROUNDS: usize = 500;
    async fn feed(other: Handle, ran: Arc<AtomicUsize>) {
        for _ in 0..ROUNDS {
            let ran = ran.clone();
            let work = async move { _ = ran.fetch_add(1, Ordering::SeqCst) };
            other.spawn_when_free(work).await.expect("it is open").detach();
        }
    }
    limited(|| {
        let (one, two) = (bounded(1), bounded(1));
        let ran = Arc::new(AtomicUsize::new(0));
        let feeders = [
            one.handle().spawn(feed(two.handle().clone(), ran.clone())),
            two.handle().spawn(feed(one.handle().clone(), ran.clone())),
        ];
        feeders.into_iter().for_each(join_ok);
        for side in [one, two] {
            join_ok(side.handle().call(|| ()));
        }
        assert_eq!(ran.load(Ordering::SeqCst), 2 * ROUNDS);
    });
}

/// P7, H5: when the loop is asked to end, who waits gets its future back; so does who comes later.
#[test]
fn an_end_gives_the_futures_back() {
    async fn one() -> i32 {
        1
    }
    limited(|| {
        let (side, held) = full(1);
        let handle = side.handle().clone();
        let (mut early, woken) = waiting(&handle, one());
        handle.shutdown(Shutdown::now());
        assert_eq!(woken.count(), 1);
        let mut late = handle.spawn_when_free(one());
        for one in [&mut early, &mut late] {
            let Poll::Ready(Err(SpawnError::Closed(future))) = poll(one, Waker::noop()) else {
                panic!("it was given room")
            };
            assert_eq!(sideloop::block_on(future), 1);
        }
        held.release();
        side.join();
    });
}

/// P8: it is ready at once on the loop's own thread, inside or outside of its run, and without a capacity.
#[test]
fn it_is_ready_at_once_where_there_is_nothing_to_wait_for() {
    limited(|| {
        let mut executor = Builder::new().capacity(1).build();
        let handle = executor.handle().clone();
        let outside: Vec<_> =
            (0..10).map(|n| taken(handle.spawn_when_free(async move { n }))).collect();
        let sum = executor.block_on(async move {
            let mut sum = 0;
            for n in 0..10 {
                sum += taken(handle.spawn_when_free(async move { n })).await.expect("it runs");
            }
            for one in outside {
                sum += one.await.expect("it runs");
            }
            sum
        });
        assert_eq!(sum, 90);
        let side = LoopThread::start().expect("starts");
        let held = hold(side.handle());
        let many: Vec<_> =
            (0..100).map(|n| taken(side.handle().spawn_when_free(async move { n }))).collect();
        held.release();
        assert_eq!(many.into_iter().map(join_ok).sum::<i32>(), 99 * 50);
    });
}

/// P1, X1: a waker that panics when it is given room harms neither the loop nor those behind it.
#[test]
fn a_waker_that_panics_harms_nobody() {
    struct Bomb;
    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {
            panic!("in a waker");
        }
    }
    limited(|| {
        let (side, held) = full(2);
        let mut bomb = side.handle().spawn_when_free(async { 1 });
        assert!(poll(&mut bomb, &Waker::from(Arc::new(Bomb))).is_pending());
        let (behind, woken) = waiting(side.handle(), async { 2 });
        held.release();
        while woken.count() == 0 {
            thread::yield_now();
        }
        assert_eq!((join_ok(taken(bomb)), join_ok(taken(behind))), (1, 2));
    });
}
