//! Yielding to other tasks: always, or only when the poll has run for long.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::runtime::context;

/// Lets everything that is ready run before the caller goes on.
///
/// # Cancel safety
///
/// Strict: dropping it loses nothing.
///
/// # Examples
///
/// ```
/// sideloop::block_on(async {
///     let task = sideloop::spawn_local(async { 1 });
///     sideloop::yield_now().await;
///     sideloop::yield_now().await;
///     assert!(task.is_finished());
/// });
/// ```
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// The future of [`yield_now`]: pending once.
///
/// # Cancel safety
///
/// Strict: dropping it loses nothing.
///
/// # Examples
///
/// ```
/// use std::task::{Context, Poll, Waker};
///
/// let mut pause = std::pin::pin!(sideloop::yield_now());
/// let mut cx = Context::from_waker(Waker::noop());
/// assert!(std::future::Future::poll(pause.as_mut(), &mut cx).is_pending());
/// assert!(std::future::Future::poll(pause.as_mut(), &mut cx).is_ready());
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Yields like [`yield_now`] if the current poll has run for longer than
/// [`Builder::poll_budget`](crate::Builder::poll_budget); otherwise goes on at once.
///
/// It is for loops whose awaits may always be ready: a task that reads a channel which is never empty is never
/// pending by itself, and delays everything else. Awaited once for each message, this bounds the delay by the
/// budget and one message.
///
/// The clock is read at the first call in a poll and then every few calls, so most calls cost a few
/// nanoseconds. Once a poll is over its budget, every further call in it yields, from any of the task's inner
/// futures. If other tasks have run since the loop last read its clock, it may yield early, at most once per
/// budget.
///
/// In virtual time, where nothing takes time, the 64th call in a poll yields. Outside a loop's run, and in
/// blocking jobs, it never yields.
///
/// # Cancel safety
///
/// Strict: dropping it loses nothing.
///
/// # Examples
///
/// ```
/// use futures::StreamExt;
/// use std::time::Duration;
///
/// let mut executor = sideloop::Builder::new().poll_budget(Duration::from_micros(50)).build();
/// let mut flood = futures::stream::iter(0_u64..).boxed_local(); // always ready
/// let reader = executor.spawn_local(async move {
///     while flood.next().await.is_some() {
///         sideloop::yield_if_due().await;
///     }
/// });
/// let other = executor.spawn_local(async { "not starved" });
/// assert_eq!(executor.block_on(other).unwrap(), "not starved");
/// reader.abort();
/// ```
pub async fn yield_if_due() {
    if context::current().is_some_and(|local| local.is_due()) {
        yield_now().await;
        // What others ran for meanwhile is not this poll's.
        if let Some(local) = context::current() {
            local.begin_pace();
        }
    }
}
