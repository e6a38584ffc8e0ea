//! Letting others run: always, or only when it is time.

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

/// Lets everything that is ready run, as [`yield_now`] does, if the current poll has run for longer than
/// [`Builder::poll_budget`](crate::Builder::poll_budget); otherwise goes on at once.
///
/// For loops whose awaits may always be ready: a task that reads a channel which is never empty is never
/// pending by itself, and everything else waits for it. Awaited once for each message, this bounds
/// the wait by the budget and one message.
///
/// The clock is read in the first call of a poll and then in every few calls, so that most calls cost a
/// few nanoseconds. A poll that is over its budget stays so: every further call in it yields, whichever
/// of the task's inner futures makes it. It may yield sooner than it has to, at most once in a budget's
/// time, where other tasks have run since the loop last read its clock.
///
/// In virtual time, in which nothing takes time, the 64th call in a poll yields. Outside of a loop's run,
/// and in blocking jobs, it never yields.
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
