//! What takes nanoseconds: arming, cancelling and re-arming, with few and with many timers pending.

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use harness::rounds::{Peers, Run, Workload};
use harness::timers::{AsyncIo, Compio, Limits, Monoio, Peer, Sideloop, Tokio};

/// How many operations a batch has.
pub(crate) const BATCH: u64 = 1000;
/// How many other timers are pending, from benchmark to benchmark.
const PENDING: [usize; 4] = [0, 1_000, 100_000, 1_000_000];

/// Between which times all deadlines are, in no order: none comes while anything is measured.
const NEAREST: Duration = Duration::from_secs(1_000);
const FARTHEST: Duration = Duration::from_secs(4_600);

/// A workload for each number of other timers pending. The peers are there only while it is measured:
/// async-io has one set of timers for the whole process.
pub(crate) fn all() -> Vec<Workload> {
    let workload = |name: String, prepare: Box<dyn Fn() -> Peers>| Workload {
        name,
        operations: BATCH,
        prepare,
    };
    let mut all = Vec::new();
    for pending in PENDING {
        let peers = move || {
            vec![sleeps::<Sideloop>(pending), sleeps::<Tokio>(pending), sleeps::<AsyncIo>(pending)]
        };
        all.push(workload(format!("sleep, {pending} pending"), Box::new(peers)));
    }
    for pending in [0, 100_000] {
        let peers = move || {
            vec![resets::<Sideloop>(pending), resets::<Tokio>(pending), resets::<AsyncIo>(pending)]
        };
        all.push(workload(format!("reset, {pending} pending"), Box::new(peers)));
    }
    let peers = || {
        vec![
            limits::<Sideloop>(),
            limits::<Tokio>(),
            limits::<AsyncIo>(),
            limits::<Compio>(),
            limits::<Monoio>(),
        ]
    };
    all.push(workload("timeout, ready after a yield".into(), Box::new(peers)));
    all
}

/// Numbers that look random, the same for all.
#[derive(Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    /// A time between `from` and `to` (xorshift, George Marsaglia, 2003).
    pub(crate) fn between(&mut self, from: Duration, to: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        from + Duration::from_nanos(self.0 % (to - from).as_nanos() as u64)
    }
}

/// A peer with other timers pending, none of which fires while anything is measured.
struct Loaded<P: Peer> {
    /// Dropped before the runtime.
    _others: Vec<Pin<Box<P::Sleep>>>,
    peer: P,
}

impl<P: Peer> Loaded<P> {
    fn new(pending: usize) -> Self {
        let mut peer = P::new();
        let others = peer.run(async move {
            let (now, mut dice) = (Instant::now(), Dice::new());
            (0..pending)
                .map(|_| armed::<P>(now + dice.between(NEAREST, FARTHEST), Waker::noop()))
                .map(|sleep| sleep.expect("it is far away"))
                .collect()
        });
        Self { _others: others, peer }
    }
}

/// A timer that was polled once; none if it was due.
pub(crate) fn armed<P: Peer>(at: Instant, waker: &Waker) -> Option<Pin<Box<P::Sleep>>> {
    let mut sleep = Box::pin(P::sleep_until(at));
    let poll = sleep.as_mut().poll(&mut Context::from_waker(waker));
    poll.is_pending().then_some(sleep)
}

/// The waker of the caller.
pub(crate) async fn own_waker() -> Waker {
    poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
}

/// Pending once, having woken its own task.
pub(crate) async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Per operation: a timer made, polled once, and dropped.
fn sleeps<P: Peer>(pending: usize) -> (&'static str, Run) {
    let mut loaded = Loaded::<P>::new(pending);
    let run = move |batches| {
        loaded.peer.run(async move {
            let (waker, mut dice) = (own_waker().await, Dice::new());
            let begun = Instant::now();
            for _ in 0..batches * BATCH {
                let mut sleep =
                    std::pin::pin!(P::sleep_until(begun + dice.between(NEAREST, FARTHEST)));
                let poll = sleep.as_mut().poll(&mut Context::from_waker(&waker));
                assert!(black_box(poll).is_pending());
            }
            begun.elapsed()
        })
    };
    (P::NAME, Box::new(run))
}

/// Per operation: an armed timer gets another deadline.
fn resets<P: Peer>(pending: usize) -> (&'static str, Run) {
    let mut loaded = Loaded::<P>::new(pending);
    let run = move |batches| {
        loaded.peer.run(async move {
            let (waker, mut dice) = (own_waker().await, Dice::new());
            let mut sleep = armed::<P>(Instant::now() + FARTHEST, &waker).expect("it is far away");
            let begun = Instant::now();
            for _ in 0..batches * BATCH {
                P::reset(sleep.as_mut(), begun + dice.between(NEAREST, FARTHEST));
            }
            begun.elapsed()
        })
    };
    (P::NAME, Box::new(run))
}

/// Per operation: a time limit around a future that is ready at its second poll.
fn limits<P: Limits>() -> (&'static str, Run) {
    let mut peer = P::new();
    let run = move |batches| {
        peer.run(async move {
            let begun = Instant::now();
            for _ in 0..batches * BATCH {
                black_box(P::limit(Duration::from_secs(30), yield_once()).await);
            }
            begun.elapsed()
        })
    };
    (P::NAME, Box::new(run))
}
