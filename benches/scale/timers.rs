//! Timers from their arming to their firing, or to their end before it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use harness::Options;
use harness::timers::{Peer, Sideloop, Tokio};

use crate::{Cycle, Laps};

/// Between which times those are that are cancelled.
pub(crate) const FAR: [Duration; 2] = [Duration::from_secs(1_000), Duration::from_secs(4_600)];

/// Measures and prints the table.
pub(crate) fn print(options: &Options) {
    let peers = vec![peer::<Sideloop>(), peer::<Tokio>()];
    crate::table("scale-timers", ["arm", "fire", "cancel"], peers, options);
}

fn peer<P: Peer>() -> (&'static str, Cycle<3>) {
    let mut peer = P::new();
    (P::NAME, Box::new(move |timers| peer.run(cycle::<P>(timers))))
}

/// Counts down, and wakes a task at zero.
struct Countdown {
    left: AtomicUsize,
    then: Waker,
}

impl Wake for Countdown {
    fn wake(self: Arc<Self>) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.then.wake_by_ref();
        }
    }
}

/// Times in no order, the same for all (a multiplicative hash of a counter).
pub(crate) fn scattered(
    count: usize,
    from: Instant,
    spread: Duration,
) -> impl Iterator<Item = Instant> {
    let spread = spread.as_nanos() as u64;
    (1..=count as u64).map(move |n| {
        let dice = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 8;
        from + Duration::from_nanos(dice % spread)
    })
}

/// Makes the timers and arms them; how many were due. Where they are is made before.
pub(crate) fn arm<P: Peer>(
    all: &mut Vec<Pin<Box<P::Sleep>>>,
    times: impl Iterator<Item = Instant>,
    waker: &Waker,
) -> usize {
    let mut cx = Context::from_waker(waker);
    let mut due = 0;
    for at in times {
        let mut sleep = Box::pin(P::sleep_until(at));
        due += usize::from(sleep.as_mut().poll(&mut cx).is_ready());
        all.push(sleep);
    }
    due
}

async fn cycle<P: Peer>(timers: usize) -> [Duration; 3] {
    let mut all = Vec::with_capacity(timers);
    let mut laps = Laps::start();
    arm::<P>(&mut all, scattered(timers, Instant::now() + FAR[0], FAR[1] - FAR[0]), Waker::noop());
    let armed = laps.lap();
    all.clear();
    let cancelled = laps.lap();

    let then = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    let countdown = Arc::new(Countdown { left: AtomicUsize::new(timers), then });
    // The first is due when the last is armed, if that takes no more than twice the time; then they come
    // as close as they were armed.
    let spread = armed + Duration::from_millis(1);
    let first = Instant::now() + 2 * spread;
    let waker = Waker::from(countdown.clone());
    let due = arm::<P>(&mut all, scattered(timers, first, spread), &waker);
    countdown.left.fetch_sub(due, Ordering::Relaxed);
    // The loop is kept from firing any until all are due; and tokio's clock has whole milliseconds.
    thread::sleep(
        (first + spread + Duration::from_millis(2)).saturating_duration_since(Instant::now()),
    );
    laps.lap();
    poll_fn(|_| match countdown.left.load(Ordering::Relaxed) {
        0 => Poll::Ready(()),
        _ => Poll::Pending,
    })
    .await;
    let fired = laps.lap();
    [armed, fired, cancelled]
}
