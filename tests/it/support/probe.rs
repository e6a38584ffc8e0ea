//! Values and futures that keep a record of what is done to them, and on which thread.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};

use super::{WAIT, lock};

/// Counts drops and remembers the thread of each. Clones share one record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drops(Arc<(Mutex<Vec<ThreadId>>, Condvar, AtomicUsize)>);

impl Drops {
    /// An empty record.
    pub(crate) fn new() -> Drops {
        Drops::default()
    }

    /// A value whose drop is recorded here.
    pub(crate) fn token(&self) -> Token {
        self.0.2.fetch_add(1, Ordering::SeqCst);
        Token { drops: self.clone(), then: None }
    }

    /// The same; its drop then runs `then`.
    pub(crate) fn token_then(&self, then: impl FnOnce() + Send + 'static) -> Token {
        let mut token = self.token();
        token.then = Some(Box::new(then));
        token
    }

    /// How many tokens were made.
    pub(crate) fn made(&self) -> usize {
        self.0.2.load(Ordering::SeqCst)
    }

    /// How many tokens were dropped.
    pub(crate) fn count(&self) -> usize {
        lock(&self.0.0).len()
    }

    /// The threads that dropped them, in order.
    pub(crate) fn threads(&self) -> Vec<ThreadId> {
        lock(&self.0.0).clone()
    }

    /// Blocks until `count` tokens were dropped; panics after [`WAIT`].
    #[track_caller]
    pub(crate) fn wait(&self, count: usize) {
        let (record, changed, _) = &*self.0;
        let (threads, _) = changed
            .wait_timeout_while(lock(record), WAIT, |threads| threads.len() < count)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let dropped = threads.len();
        drop(threads);
        assert!(dropped >= count, "only {dropped} of {count} drops within {WAIT:?}");
    }
}

/// A value whose drop is recorded in its [`Drops`].
pub(crate) struct Token {
    drops: Drops,
    then: Option<Box<dyn FnOnce() + Send>>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        lock(&self.drops.0.0).push(thread::current().id());
        self.drops.0.1.notify_all();
        if let Some(then) = self.then.take() {
            then();
        }
    }
}

/// What a [`Probe`] has seen. Clones share one log.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProbeLog {
    polls: Arc<(Mutex<Polls>, Condvar)>,
    wakes: Arc<AtomicUsize>,
    waker: Arc<Mutex<Option<Waker>>>,
    drops: Drops,
}

#[derive(Debug, Default)]
struct Polls {
    threads: Vec<ThreadId>,
    ended: usize,
}

impl ProbeLog {
    /// How often the probe was polled.
    pub(crate) fn polls(&self) -> usize {
        lock(&self.polls.0).threads.len()
    }

    /// The threads that polled it, in order.
    pub(crate) fn poll_threads(&self) -> Vec<ThreadId> {
        lock(&self.polls.0).threads.clone()
    }

    /// Blocks until `count` polls have begun and ended; panics after [`WAIT`].
    #[track_caller]
    pub(crate) fn wait_polls(&self, count: usize) {
        let (record, changed) = &*self.polls;
        let (record, _) = changed
            .wait_timeout_while(lock(record), WAIT, |polls| polls.ended < count)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let polls = record.ended;
        drop(record);
        assert!(polls >= count, "only {polls} of {count} polls within {WAIT:?}");
    }

    /// How often [`ProbeLog::wake`] found a waker and woke it.
    pub(crate) fn wakes(&self) -> usize {
        self.wakes.load(Ordering::SeqCst)
    }

    /// Wakes the probe by the waker of its last poll; `false` before the first.
    pub(crate) fn wake(&self) -> bool {
        let waker = self.waker();
        if let Some(waker) = &waker {
            self.wakes.fetch_add(1, Ordering::SeqCst);
            waker.wake_by_ref();
        }
        waker.is_some()
    }

    /// The waker of the last poll.
    pub(crate) fn waker(&self) -> Option<Waker> {
        lock(&self.waker).clone()
    }

    /// Takes the waker of the last poll out of the log.
    pub(crate) fn take_waker(&self) -> Option<Waker> {
        lock(&self.waker).take()
    }

    /// How often the probe was dropped: never more than once.
    pub(crate) fn dropped(&self) -> usize {
        self.drops.count()
    }

    /// The record of its drop.
    pub(crate) fn drops(&self) -> &Drops {
        &self.drops
    }
}

type Script<T> = Box<dyn FnMut(usize, &mut Context<'_>) -> Poll<T> + Send>;

/// A future that does what its script says and logs its polls and its drop.
pub(crate) struct Probe<T = ()> {
    log: ProbeLog,
    script: Script<T>,
    token: Token,
}

impl Probe<()> {
    /// Pending for ever.
    pub(crate) fn pending() -> (Probe<()>, ProbeLog) {
        Probe::scripted(|_, _| Poll::Pending)
    }
}

impl<T> Probe<T> {
    /// Each poll gives what `script` gives for the number of the poll, counted from 1.
    pub(crate) fn scripted(
        script: impl FnMut(usize, &mut Context<'_>) -> Poll<T> + Send + 'static,
    ) -> (Probe<T>, ProbeLog) {
        let log = ProbeLog::default();
        let token = log.drops.token();
        (Probe { log: log.clone(), script: Box::new(script), token }, log)
    }

    /// Ready with `value` at poll number `polls`. It does not wake itself.
    pub(crate) fn ready_at(polls: usize, value: T) -> (Probe<T>, ProbeLog)
    where
        T: Send + 'static,
    {
        let mut value = Some(value);
        Probe::scripted(move |poll, _| match poll >= polls {
            true => Poll::Ready(value.take().expect("a probe is not polled after Ready")),
            false => Poll::Pending,
        })
    }

    /// The same probe, whose drop also runs `then`.
    pub(crate) fn on_drop(mut self, then: impl FnOnce() + Send + 'static) -> Probe<T> {
        self.token.then = Some(Box::new(then));
        self
    }
}

impl<T> Future for Probe<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let earlier = lock(&self.log.waker).replace(cx.waker().clone());
        drop(earlier); // not under the lock: it is foreign code
        let poll = {
            let mut polls = lock(&self.log.polls.0);
            polls.threads.push(thread::current().id());
            polls.threads.len()
        };
        let _ended = EndOfPoll(self.log.clone()); // also by a panic
        (self.script)(poll, cx)
    }
}

struct EndOfPoll(ProbeLog);

impl Drop for EndOfPoll {
    fn drop(&mut self) {
        lock(&self.0.polls.0).ended += 1;
        self.0.polls.1.notify_all();
    }
}

/// A waker that counts.
#[derive(Debug, Default)]
pub(crate) struct CountingWaker(AtomicUsize);

impl CountingWaker {
    /// The counter and a waker that feeds it.
    pub(crate) fn new() -> (Arc<CountingWaker>, Waker) {
        let counter = Arc::new(CountingWaker::default());
        (Arc::clone(&counter), Waker::from(counter))
    }

    /// How often it was woken.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
