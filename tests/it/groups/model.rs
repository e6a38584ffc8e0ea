//! Random operations on a group against a slow, obvious definition of who gets what and who is called.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use sideloop::{Executor, TaskGroup, TaskId};

use super::Given;
use crate::support::*;

#[derive(Debug, Clone)]
enum Op {
    /// A member more.
    Spawn,
    /// Lets some members end, in one turn.
    End(Vec<prop::sample::Index>),
    /// A waiter more, polled once.
    Wait,
    /// A waiter is polled, with another waker if so.
    Poll(prop::sample::Index, bool),
    /// A waiter is dropped.
    Leave(prop::sample::Index),
    /// The members are cancelled.
    Cancel,
}

type Next<'a> = Pin<Box<dyn Future<Output = Option<Given<Token>>> + 'a>>;

/// One waiter, and what the definition says of it.
struct Waiter<'a> {
    next: Next<'a>,
    counter: Arc<CountingWaker>,
    waker: Waker,
    /// The place among the waiters: lower is called earlier.
    place: usize,
    called: bool,
}

/// The group, and its definition: a queue of those who have ended, and a flag for each waiter.
struct Model<'a> {
    executor: Executor,
    group: &'a TaskGroup<Token>,
    drops: Drops,
    gates: Vec<(TaskId, Gate)>,
    log: Events<usize>,
    /// How much of the log has been read.
    read: usize,
    running: usize,
    ended: VecDeque<TaskId>,
    waiters: Vec<Waiter<'a>>,
    places: usize,
}

impl<'a> Model<'a> {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::Spawn => self.spawn(),
            Op::End(picks) if !self.gates.is_empty() => {
                picks.iter().for_each(|pick| pick.get(&self.gates).1.open());
            }
            Op::Cancel => self.group.cancel(),
            Op::Wait => self.wait(),
            Op::Poll(pick, anew) if !self.waiters.is_empty() => {
                self.poll(pick.index(self.waiters.len()), *anew);
            }
            Op::Leave(pick) if !self.waiters.is_empty() => {
                let gone = self.waiters.swap_remove(pick.index(self.waiters.len()));
                if gone.called && !self.ended.is_empty() {
                    self.call_one();
                }
            }
            Op::End(_) | Op::Poll(..) | Op::Leave(_) => {}
        }
        self.run();
        self.check();
    }

    fn spawn(&mut self) {
        let (gate, n) = (Gate::new(), self.gates.len());
        let (passed, log, token) = (gate.passed(), self.log.clone(), self.drops.token());
        let logs = self.drops.token_then(move || log.push(n));
        let id = self.group.spawn(async move {
            let _logs = logs;
            passed.await;
            token
        });
        self.gates.push((id, gate));
        self.running += 1;
    }

    /// Runs the loop; each member that ends calls the waiter that has waited longest.
    fn run(&mut self) {
        self.executor.run_until_idle();
        for n in self.log.all().split_off(self.read) {
            self.read += 1;
            self.running -= 1;
            self.ended.push_back(self.gates[n].0);
            self.call_one();
        }
    }

    fn call_one(&mut self) {
        let asleep = self.waiters.iter_mut().filter(|waiter| !waiter.called);
        asleep
            .min_by_key(|waiter| waiter.place)
            .into_iter()
            .for_each(|waiter| waiter.called = true);
    }

    fn wait(&mut self) {
        let (counter, waker) = CountingWaker::new();
        self.places += 1;
        let next = Box::pin(self.group.next());
        self.waiters.push(Waiter { next, counter, waker, place: self.places, called: false });
        self.poll(self.waiters.len() - 1, false);
    }

    fn poll(&mut self, at: usize, anew: bool) {
        let waiter = &mut self.waiters[at];
        let was_called = waiter.counter.count() > 0;
        assert_eq!(was_called, waiter.called);
        if anew || was_called {
            (waiter.counter, waiter.waker) = CountingWaker::new();
        }
        waiter.called = false;
        let poll = waiter.next.as_mut().poll(&mut Context::from_waker(&waiter.waker));
        match (poll, self.ended.pop_front()) {
            (Poll::Ready(Some((id, _))), Some(expected)) => assert_eq!(id, expected),
            (Poll::Ready(None), None) => assert_eq!(self.running, 0),
            (Poll::Pending, None) => return assert!(self.running > 0),
            (poll, expected) => panic!("{poll:?} where {expected:?} is first"),
        }
        self.waiters.swap_remove(at);
        if self.running + self.ended.len() == 0 {
            self.waiters.iter_mut().for_each(|waiter| waiter.called = true);
        }
    }

    fn check(&self) {
        assert_eq!(self.group.len(), self.running + self.ended.len());
        for waiter in &self.waiters {
            assert_eq!(waiter.counter.count(), usize::from(waiter.called));
        }
        let called = self.waiters.iter().filter(|waiter| waiter.called).count();
        let sleepers = self.waiters.len() - called;
        assert!(sleepers == 0 || called >= self.ended.len(), "somebody sleeps beside a member");
        assert!(sleepers == 0 || !self.group.is_empty(), "somebody sleeps in an empty group");
    }
}

fn play(ops: &[Op]) {
    let executor = Executor::new();
    let drops = Drops::new();
    let group = TaskGroup::new(executor.handle());
    let mut executor = {
        let mut model = Model {
            executor,
            group: &group,
            drops: drops.clone(),
            gates: Vec::new(),
            log: Events::new(),
            read: 0,
            running: 0,
            ended: VecDeque::new(),
            waiters: Vec::new(),
            places: 0,
        };
        ops.iter().for_each(|op| model.apply(op));
        model.executor
    };
    drop(group);
    executor.run_until_idle();
    assert_eq!(drops.count(), drops.made(), "a dropped group frees everything");
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let pick = any::<prop::sample::Index>;
    let op = prop_oneof![
        4 => Just(Op::Spawn),
        4 => prop::collection::vec(pick(), 1..4).prop_map(Op::End),
        4 => Just(Op::Wait),
        4 => (pick(), any::<bool>()).prop_map(|(pick, anew)| Op::Poll(pick, anew)),
        3 => pick().prop_map(Op::Leave),
        1 => Just(Op::Cancel),
    ];
    prop::collection::vec(op, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// G1: each member comes out once and in order, each end calls one who sleeps, and nobody sleeps on.
    #[test]
    fn groups_agree_with_their_definition(ops in ops()) {
        limited(move || play(&ops));
    }
}
