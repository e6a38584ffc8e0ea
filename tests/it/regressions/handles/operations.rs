//! What the threads of a program do, and what tasks do to each other.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sideloop::JoinHandle;

use super::World;
use super::accounts::{Claim, Event, lock};
use super::programs::{Call, Op, TakeDown, Through, Wakes};

impl World {
    /// The life of a thread.
    pub(super) fn act(self: &Arc<Self>, n: usize, ops: &[Op]) {
        for op in ops {
            *lock(&self.doing[n]) = format!("{op:?}");
            self.perform(op);
        }
        *lock(&self.doing[n]) = String::from("done");
        self.busy(false);
    }

    fn busy(&self, is: bool) {
        let mut busy = lock(&self.busy.0);
        *busy = if is { *busy + 1 } else { *busy - 1 };
        self.busy.1.notify_all();
    }

    /// Does what may take until everything is released.
    fn long<R>(&self, f: impl FnOnce() -> R) -> R {
        self.busy(false);
        let result = f();
        self.busy(true);
        result
    }

    fn perform(self: &Arc<Self>, op: &Op) {
        match op {
            Op::Spawn(way, steps) => self.spawn(*way, steps),
            Op::Wake(n, how) => self.wake(*n, *how),
            Op::End(n, through, call) => self.end(*n, *through, *call),
            Op::Join(n, limit) => self.join(*n, *limit),
            Op::LetGo(n, cancels) => self.let_go(*n, *cancels),
            Op::JoinNext => {
                let group = lock(&self.group).clone();
                let given = group.and_then(|group| self.long(|| group.join_next()));
                lock(&self.given).extend(given);
            }
            Op::EndGroup(drops) => {
                self.group_asked.store(true, Ordering::Relaxed);
                let group =
                    if *drops { lock(&self.group).take() } else { lock(&self.group).clone() };
                if let (false, Some(group)) = (drops, group) {
                    group.cancel();
                }
            }
            Op::Look => self.look(),
            Op::Pause(n) => (0..*n).for_each(|_| std::hint::spin_loop()),
            Op::TakeDown(how) => self.long(|| self.take_down(how.clone())),
        }
    }

    pub(super) fn take_down(&self, how: TakeDown) {
        if let TakeDown::Request(how) = how {
            return self.handle().shutdown(how);
        }
        let Some(side) = lock(&self.side).take() else { return };
        if let TakeDown::Shutdown(how) = how {
            let report = side.shutdown(how);
            if !self.accounts.on_loop() {
                lock(&self.reports).push(report);
            }
        }
    }

    pub(super) fn look(&self) {
        let metrics = self.handle().metrics();
        let ended = metrics.finished + metrics.cancelled + metrics.panicked;
        let attempts = lock(&self.accounts.records).len() as u64;
        let fits = ended <= metrics.spawned && metrics.spawned <= attempts;
        self.accounts.faults.unless(fits, || format!("{metrics:?} of {attempts} spawns"));
        let Some(tasks) = self.answer(self.handle().tasks()) else { return };
        let fits = tasks.windows(2).all(|pair| pair[0].id != pair[1].id);
        self.accounts.faults.unless(fits, || format!("a task is listed twice: {tasks:?}"));
    }

    /// What the loop answers to a request ahead of any backlog, if it lives.
    pub(super) fn answer<T>(&self, handle: JoinHandle<T>) -> Option<T> {
        let result = handle.join();
        let fits = result.is_ok() || self.handle().is_closed();
        self.accounts.faults.unless(fits, || String::from("a request is not answered"));
        result.ok()
    }

    pub(super) fn pick(&self, n: usize) -> Option<Claim> {
        let mut claims = lock(&self.claims);
        let n = n.checked_rem(claims.len())?;
        Some(claims.swap_remove(n))
    }

    /// Joins the newest handle that there is; `false` if there is none.
    pub(super) fn join_last(&self, limit: Duration) -> bool {
        let Some(claim) = lock(&self.claims).pop() else { return false };
        let back = self.join_claim(claim, limit);
        assert!(
            back.is_none(),
            "a join does not resolve: {:?}",
            back.map(|claim| claim.record.clone())
        );
        true
    }

    /// Joins; gives back what has not ended within `limit`.
    pub(super) fn join_claim(&self, mut claim: Claim, limit: Duration) -> Option<Claim> {
        match claim.handle.take()?.join_timeout(limit) {
            Ok(result) => claim.record.ended(result, &self.accounts.faults),
            Err(handle) => {
                claim.handle = Some(handle);
                return Some(claim);
            }
        }
        None
    }

    fn join(&self, n: usize, limit: Duration) {
        let Some(claim) = self.pick(n) else { return };
        let back = match limit {
            Duration::MAX => self.long(|| self.join_claim(claim, limit)),
            _ => self.join_claim(claim, limit),
        };
        lock(&self.claims).extend(back);
    }

    fn let_go(&self, n: usize, cancels: bool) {
        let Some(mut claim) = self.pick(n) else { return };
        if cancels {
            claim.record.note(Event::Asked);
            let handle = claim.handle.take().map(JoinHandle::cancel_on_drop);
            claim.record.note(Event::LetGo);
            drop(handle);
        }
    }

    pub(super) fn wake(&self, n: usize, how: Wakes) {
        let taken = {
            let mut wakers = lock(&self.wakers);
            let Some(n) = n.checked_rem(wakers.len()) else { return };
            wakers.swap_remove(n)
        };
        let (waker, record) = taken;
        match how {
            Wakes::Drop => return,
            Wakes::Clone => lock(&self.wakers).push((waker.clone(), record.clone())),
            Wakes::ByValue | Wakes::ByRef => {}
        }
        record.note(Event::Woken);
        match how {
            Wakes::ByRef => waker.wake_by_ref(),
            _ => waker.wake(),
        }
    }

    pub(super) fn end(&self, n: usize, through: Through, call: Call) {
        let Some(claim) = self.pick(n) else { return };
        let (record, handle) = (claim.record.clone(), self.handle());
        record.note(Event::Asked);
        let (id, canceller) = match &claim.handle {
            Some(task) => (task.id(), task.canceller()),
            None => return,
        };
        let answer = match (through, call, &claim.handle) {
            (Through::Handle, Call::Cancel, Some(task)) => Some(task.cancel()),
            (Through::Handle, Call::Abort, Some(task)) => Some(task.abort()),
            (Through::Handle, Call::Within(grace), Some(task)) => Some(task.cancel_within(grace)),
            (Through::Id, Call::Cancel, _) => self.answer(handle.cancel(id)),
            (Through::Id, Call::Abort, _) => self.answer(handle.abort(id)),
            (Through::Id, Call::Within(grace), _) => self.answer(handle.cancel_within(id, grace)),
            (_, Call::Cancel, _) => Some(canceller.cancel()),
            (_, Call::Abort, _) => Some(canceller.abort()),
            (_, Call::Within(grace), _) => Some(canceller.cancel_within(grace)),
        };
        lock(&self.claims).push(claim);
        if let Some(answer) = answer {
            record.answered(answer, self.accounts.on_loop(), &self.accounts.faults);
        }
    }
}
