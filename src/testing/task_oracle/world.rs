//! What the tasks themselves reach: wakers, join handles, and what each does in its next poll.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use super::Oracle;
use super::operation::Deed;
use crate::error::JoinError;
use crate::sync::Mutex;
use crate::task::join::Join;
use crate::task::state::Request;

/// What each future, and after it its output, has one of.
pub(super) type Token = Arc<()>;

/// The most wakers that are kept for all.
const MOST: usize = 48;

/// One for all tasks of a loop. Nothing that is done under its lock comes back to it.
pub(super) struct World {
    pub(super) oracle: Oracle,
    /// Each with its task.
    pub(super) wakers: Vec<(usize, Waker)>,
    pub(super) joins: Vec<Option<Join<Token>>>,
    pub(super) scripts: Vec<Vec<Deed>>,
}

/// The task that is being polled.
struct Own<'a> {
    at: usize,
    waker: &'a Waker,
    kept: &'a mut Vec<Waker>,
}

/// The place of what came before the last `back`, modulo how many there are.
pub(super) fn place(len: usize, back: usize) -> Option<usize> {
    (len > 0).then(|| len - 1 - back % len)
}

impl World {
    pub(super) fn new() -> Self {
        let oracle = Oracle::new();
        Self { oracle, wakers: Vec::new(), joins: Vec::new(), scripts: Vec::new() }
    }

    /// Does it outside of any poll.
    pub(super) fn act(&mut self, deed: &Deed) {
        match *deed {
            Deed::Clone(back) => self.with_waker(back, Self::clone_waker),
            Deed::Wake(back) => self.with_waker(back, |world, at| {
                let (task, waker) = world.wakers.swap_remove(at);
                world.oracle.wake(task);
                world.oracle.tasks[task].wakers -= 1;
                waker.wake();
            }),
            Deed::WakeByRef(back) => self.with_waker(back, |world, at| {
                world.oracle.wake(world.wakers[at].0);
                world.wakers[at].1.wake_by_ref();
            }),
            Deed::DropWaker(back) => self.with_waker(back, |world, at| {
                let (task, _dropped) = world.wakers.swap_remove(at);
                world.oracle.tasks[task].wakers -= 1;
            }),
            Deed::Compare(one, other) => self.with_waker(one, |world, one| {
                world.with_waker(other, |world, other| {
                    let ((task, one), (same, other)) = (&world.wakers[one], &world.wakers[other]);
                    assert_eq!(one.will_wake(other), task == same, "wakers of {task} and {same}");
                });
            }),
            Deed::Request(back, what) => self.request(back, what),
            Deed::DropJoin(back) => self.drop_join(back),
            Deed::PollJoin(back, waker) => {
                self.with_waker(waker, |world, at| world.poll_join(back, at));
            }
            // These are of a poll.
            Deed::CloneOwn | Deed::KeepOwn | Deed::WakeOwn | Deed::Finish => {}
        }
    }

    fn act_in_poll(&mut self, deed: &Deed, own: &mut Own<'_>) {
        let task = &mut self.oracle.tasks[own.at];
        match deed {
            Deed::CloneOwn if self.wakers.len() < MOST => {
                task.wakers += 1;
                self.wakers.push((own.at, own.waker.clone()));
            }
            Deed::KeepOwn => {
                (task.wakers, task.kept) = (task.wakers + 1, task.kept + 1);
                own.kept.push(own.waker.clone());
            }
            Deed::WakeOwn => {
                self.oracle.wake(own.at);
                own.kept.last().unwrap_or(own.waker).wake_by_ref();
            }
            Deed::Finish => task.finishing = true,
            _ => self.act(deed),
        }
    }

    fn with_waker(&mut self, back: usize, deed: impl FnOnce(&mut Self, usize)) {
        if let Some(at) = place(self.wakers.len(), back) {
            deed(self, at);
        }
    }

    fn clone_waker(&mut self, at: usize) {
        if self.wakers.len() < MOST {
            let (task, waker) = &self.wakers[at];
            self.oracle.tasks[*task].wakers += 1;
            self.wakers.push((*task, waker.clone()));
        }
    }

    fn request(&mut self, back: usize, what: Request) {
        let Some(at) = place(self.joins.len(), back) else { return };
        if let Some(join) = &self.joins[at] {
            assert_eq!(join.request(what), self.oracle.request(at, what), "{what:?} of {at}");
        }
    }

    fn drop_join(&mut self, back: usize) {
        let Some(at) = place(self.joins.len(), back) else { return };
        if let Some(join) = self.joins[at].take() {
            self.oracle.drop_join(at);
            drop(join);
        }
    }

    fn poll_join(&mut self, back: usize, waker: usize) {
        let Some(at) = place(self.joins.len(), back) else { return };
        let Some(join) = &mut self.joins[at] else { return };
        let was_taken = self.oracle.tasks[at].taken;
        let expected = self.oracle.poll_join(at, self.wakers[waker].0);
        let has_output = match join.poll(&mut Context::from_waker(&self.wakers[waker].1)) {
            Poll::Pending => None,
            Poll::Ready(Ok(_token)) => Some(true),
            Poll::Ready(Err(JoinError::Cancelled)) if !was_taken => Some(false),
            Poll::Ready(Err(JoinError::Closed)) if was_taken => Some(false),
            Poll::Ready(Err(error)) => panic!("the handle of {at} says {error}"),
        };
        assert_eq!(has_output, expected, "the handle of {at}");
    }
}

/// A future that does what is written for its poll.
pub(super) struct Scripted {
    pub(super) at: usize,
    pub(super) world: Arc<Mutex<World>>,
    pub(super) kept: Vec<Waker>,
    pub(super) token: Option<Token>,
}

impl Future for Scripted {
    type Output = Token;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Token> {
        let Self { at, world, kept, token } = self.get_mut();
        let mut world = world.lock();
        assert_eq!(world.oracle.running, Some(*at), "another one was to be polled");
        let mut own = Own { at: *at, waker: cx.waker(), kept };
        for deed in mem::take(&mut world.scripts[*at]) {
            world.act_in_poll(&deed, &mut own);
        }
        let task = &mut world.oracle.tasks[*at];
        task.finishing |= task.is_control;
        match token.take_if(|_| task.finishing) {
            Some(token) => Poll::Ready(token),
            None => Poll::Pending,
        }
    }
}
