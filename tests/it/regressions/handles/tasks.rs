//! The tasks of a program.

use std::future::{Future, poll_fn};
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use sideloop::{
    CancelGuard, JoinHandle, TaskPanic, cancel_requested, current_task, time, yield_now,
};

use super::World;
use super::accounts::{Accounts, Claim, Event, Kind, Output, Record, Token, lock};
use super::programs::{Call, Reaction, Step, Wakes, Way};

impl World {
    /// Spawns a task that does these steps.
    pub(super) fn spawn(self: &Arc<Self>, way: Way, steps: &[Step]) {
        let kind = match way {
            Way::Member => Kind::Member,
            Way::Job => Kind::Job,
            _ => Kind::Task,
        };
        let (token, handle) = (self.accounts.open(kind), self.handle());
        let record = token.record.clone();
        let (world, its, steps) = (self.clone(), token, steps.to_vec());
        let joined = match way {
            Way::Spawn => handle.spawn(world.live(its, steps)),
            Way::Named => handle.task().name("named").spawn(world.live(its, steps)),
            Way::Local if self.accounts.on_loop() => sideloop::spawn_local(world.live(its, steps)),
            Way::With | Way::Local => handle.spawn_with(move || world.live(its, steps)),
            Way::Call => handle.call(move || world.run(&its, &steps)),
            Way::CallAfter(delay) => handle.call_after(delay, move || world.run(&its, &steps)),
            Way::Job => handle.spawn_blocking(move || world.run(&its, &steps)),
            Way::Try => match handle.try_spawn(world.live(its, steps)) {
                Ok(joined) => joined,
                Err(refused) => {
                    drop(refused);
                    return self.never(&record);
                }
            },
            Way::Member => {
                let group = lock(&self.group).clone();
                return match group {
                    Some(group) => {
                        self.accounts.spawned(&record, group.spawn(world.live(its, steps)))
                    }
                    None => self.never(&record),
                };
            }
        };
        self.claim(record, joined);
    }

    fn never(&self, record: &Record) {
        record.note(Event::Refused);
        record.note(Event::LetGo);
    }

    fn claim(&self, record: Arc<Record>, handle: JoinHandle<Output>) {
        self.accounts.spawned(&record, handle.id());
        lock(&self.claims).push(Claim { record, handle: Some(handle) });
    }

    fn is_released(&self) -> bool {
        self.released.load(Ordering::SeqCst)
    }

    /// The life of a call or a job.
    fn run(self: &Arc<Self>, token: &Token, steps: &[Step]) -> Output {
        token.record.polled();
        for step in steps {
            match step {
                Step::Wait if token.record.kind == Kind::Job => {
                    while !cancel_requested() && !self.is_released() {
                        std::thread::yield_now();
                    }
                }
                // It would wait for a loop that waits for it.
                Step::TakeDown(_) if token.record.kind == Kind::Job => {}
                _ => self.at_once(&token.record, step.clone()),
            }
        }
        Output::of(token)
    }

    /// The life of a task.
    async fn live(self: Arc<Self>, token: Token, steps: Vec<Step>) -> Output {
        let record = token.record.clone();
        let mut steps = pin!(async {
            for step in steps {
                self.step(&record, step).await;
            }
        });
        poll_fn(|cx| {
            self.accounts
                .faults
                .unless(self.accounts.on_loop(), || format!("elsewhere: {record:?}"));
            record.polled();
            steps.as_mut().poll(cx)
        })
        .await;
        Output::of(&token)
    }

    /// What takes no time.
    fn at_once(self: &Arc<Self>, record: &Record, step: Step) {
        match step {
            Step::Spawn(way) => self.spawn(way, &[Step::Wait]),
            Step::Wake(n) => self.wake(n, Wakes::ByRef),
            Step::End(n, through, call) => self.end(n, through, call),
            Step::EndSelf(call) => {
                let Some(id) = current_task() else { return };
                record.note(Event::Asked);
                let handle = self.handle();
                let request = match call {
                    Call::Cancel => handle.cancel(id),
                    Call::Abort => handle.abort(id),
                    Call::Within(grace) => handle.cancel_within(id, grace),
                };
                if let Some(answer) = self.answer(request) {
                    record.answered(answer, self.accounts.on_loop(), &self.accounts.faults);
                }
            }
            Step::TakeDown(how) => self.take_down(how),
            Step::Panic => panic_as(record),
            _ => {}
        }
    }

    async fn step(self: &Arc<Self>, record: &Arc<Record>, step: Step) {
        match step {
            Step::Yield => yield_now().await,
            Step::Sleep(delay) => time::sleep(delay).await,
            Step::Wait => self.woken(record).await,
            Step::WaitAtMost(limit) => drop(time::timeout(limit, self.woken(record)).await),
            Step::Guarded(reaction) => self.guarded(record, reaction).await,
            Step::Await(n) => self.await_other(record, n).await,
            Step::Next => {
                let Some(group) = lock(&self.group).clone() else { return };
                let given = self.unless_released(record, group.next()).await;
                lock(&self.given).extend(given.flatten());
            }
            step => self.at_once(record, step),
        }
    }

    /// Until it is woken by hand, or released.
    async fn woken(&self, record: &Arc<Record>) {
        let before = record.count(Event::Woken);
        let woken = poll_fn(|cx| {
            let is = record.count(Event::Woken) > before;
            if !is {
                lock(&self.wakers).push((cx.waker().clone(), record.clone()));
            }
            if is { Poll::Ready(()) } else { Poll::Pending }
        });
        self.unless_released(record, woken).await;
    }

    async fn unless_released<F: Future>(&self, record: &Record, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|cx: &mut Context<'_>| {
            let earlier = lock(&record.waker).replace(cx.waker().clone());
            drop(earlier);
            if self.is_released() {
                return Poll::Ready(None);
            }
            future.as_mut().poll(cx).map(Some)
        })
        .await
    }

    async fn guarded(&self, record: &Arc<Record>, reaction: Reaction) {
        let guard = CancelGuard::new();
        if guard.run(self.woken(record)).await.is_ok() {
            return;
        }
        match reaction {
            Reaction::CleanUp => yield_now().await,
            Reaction::Refuse if guard.refuse() => record.note(Event::Declined),
            Reaction::Refuse => {}
            Reaction::Leave => {
                drop(guard);
                yield_now().await;
            }
        }
    }

    async fn await_other(&self, record: &Record, n: usize) {
        let Some(mut claim) = self.pick(n) else { return };
        let Some(handle) = &mut claim.handle else { return };
        *lock(&record.awaits) = Some(handle.canceller());
        let _forgets = Forgets(record);
        let result = self.unless_released(record, Pin::new(handle)).await;
        match result {
            Some(result) => {
                claim.handle = None;
                claim.record.ended(result, &self.accounts.faults);
            }
            None => lock(&self.claims).push(claim),
        }
    }
}

/// It awaits nothing any more.
struct Forgets<'a>(&'a Record);

impl Drop for Forgets<'_> {
    fn drop(&mut self) {
        *lock(&self.0.awaits) = None;
    }
}

/// Panics, without the hook of the process, which under a fuzzer ends it.
fn panic_as(record: &Record) -> ! {
    record.note(Event::Panicked);
    resume_unwind(Box::new(record.index.to_string()))
}

impl Accounts {
    /// The loop's hook was called.
    pub(super) fn told(&self, panic: &TaskPanic<'_>) {
        let index = panic.payload().message().and_then(|message| message.parse::<usize>().ok());
        let record = index.and_then(|index| lock(&self.records).get(index).cloned());
        self.faults.unless(record.is_some(), || format!("{panic:?} of no task"));
        if let Some(record) = record {
            record.note(Event::Told);
        }
    }
}
