//! A loop's side of its run queues beside its oracle.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::panic::Location;

use super::operation::{Deed, Operation};
use super::world::{Scripted, Token, World, place};
use super::{Fate, QueueEntry, Word};
use crate::error::JoinError;
use crate::sync::{self, AtomicUsize, Mutex, Ordering};
use crate::task::cell::{End, Origin};
use crate::task::injection::Lane;
use crate::task::loop_side::LoopSide;
use crate::task::owned_task::OwnedTask;
use crate::task::run::{Ending, Ran, Runnable};
use crate::task::run_queues::Parked;
use crate::task::spawn::{Kind, NewTask};

/// The most tasks of one history.
const MOST: usize = 24;

/// What is done to a loop, and after its end to what is left of its tasks.
#[derive(Debug, Clone)]
pub(crate) struct Course {
    pub(crate) operations: Vec<Operation>,
    pub(crate) after: Vec<Deed>,
}

impl Course {
    /// Does all of it, and holds it against the oracle after each operation.
    pub(crate) fn run(&self) {
        let mut pair = Pair::new();
        self.operations.iter().for_each(|operation| pair.apply(operation));
        pair.finish(&self.after);
    }
}

/// The two of them, and what this thread has of the tasks.
struct Pair {
    side: Rc<LoopSide>,
    world: Arc<Mutex<World>>,
    /// The tasks that have not ended.
    owned_task: Vec<Option<OwnedTask>>,
    token: Token,
    rings: sync::Arc<AtomicUsize>,
}

impl Pair {
    fn new() -> Self {
        let rings = sync::Arc::new(AtomicUsize::new(0));
        let counter = sync::Arc::clone(&rings);
        let unpark = move || {
            // ORDERING: Relaxed, here and where it is read: there is one thread.
            counter.fetch_add(1, Ordering::Relaxed);
        };
        let side = Rc::new(LoopSide::new(Box::new(unpark)));
        let world = Arc::new(Mutex::new(World::new()));
        Self { side, world, owned_task: Vec::new(), token: Token::default(), rings }
    }

    /// Does it to both, and compares them.
    fn apply(&mut self, operation: &Operation) {
        match *operation {
            Operation::Push { is_control, ref script } => self.push(is_control, script),
            Operation::Spawn { ref script } => self.spawn(script),
            Operation::Script(back, ref script) => {
                let mut world = self.world.lock();
                if let Some(at) = place(world.scripts.len(), back) {
                    world.scripts[at].clone_from(script);
                }
            }
            Operation::Outside(ref deed) => self.world.lock().act(deed),
            Operation::Inside(ref deed) => self.inside(|pair| pair.world.lock().act(deed)),
            Operation::Look { most } => self.look(most),
            Operation::TakeIn { lane, count } => self.take_in(Lane::ALL[lane], count),
            Operation::Run { in_new_turn, polls, most } => {
                if in_new_turn {
                    self.resume();
                }
                self.run(polls, most);
            }
            Operation::Turn { polls } => {
                self.look(usize::MAX);
                self.take_in_all();
                self.resume();
                self.run(polls, usize::MAX);
            }
            Operation::Notify => {
                self.world.lock().oracle.notify();
                self.side.run_queues().notify();
            }
            Operation::Resume => self.resume(),
            Operation::Park => self.park(),
            Operation::Close => self.close(),
            Operation::Dispose(back) => self.dispose(back),
        }
        self.check();
    }

    /// The loop ends. `after` is done to what is left of its tasks then.
    fn finish(mut self, after: &[Deed]) {
        self.take_in_all();
        self.close();
        self.take_in_all();
        (0..self.owned_task.len()).for_each(|back| self.dispose(back));
        self.resume();
        self.run(usize::MAX, usize::MAX);
        self.check();
        let Self { side, world, token, rings, .. } = self;
        drop(side);
        for deed in after {
            let mut world = world.lock();
            world.act(deed);
            assert_eq!(Arc::strong_count(&token) - 1, world.oracle.tokens(), "futures and outputs");
        }
        let World { wakers, joins, .. } = &mut *world.lock();
        wakers.clear();
        joins.clear();
        assert_eq!(Arc::strong_count(&token), 1, "a future or an output is left");
        assert_eq!(Arc::strong_count(&world), 1, "a future is left");
        assert_eq!(sync::Arc::strong_count(&rings), 1, "a cell is left");
    }

    fn new_task(&self, script: &[Deed]) -> Option<(Scripted, Origin)> {
        let mut world = self.world.lock();
        let at = world.oracle.tasks.len();
        if at == MOST {
            return None;
        }
        world.scripts.truncate(at); // of one that was refused
        world.scripts.push(script.to_vec());
        let (token, kept) = (Some(Token::clone(&self.token)), Vec::new());
        let future = Scripted { at, world: Arc::clone(&self.world), kept, token };
        Some((future, Origin { serial: at as u64, location: Location::caller() }))
    }

    fn push(&mut self, is_control: bool, script: &[Deed]) {
        let Some((future, origin)) = self.new_task(script) else { return };
        let accepted = self.world.lock().oracle.push_new(is_control);
        let run_queues = self.side.run_queues();
        let kind = if is_control { Kind::Control } else { Kind::Task };
        match NewTask::new(future, (), origin, run_queues.clone(), kind).push(run_queues) {
            Ok(join) => {
                assert!(accepted, "{} was not refused", origin.serial);
                self.owned_task.push(None);
                self.world.lock().joins.push(Some(join));
            }
            Err(refused) => {
                assert!(!accepted, "{} was refused", origin.serial);
                if is_control {
                    let mut join = refused.end(JoinError::Closed);
                    assert!(matches!(join.try_take(), Some(Err(JoinError::Closed))));
                } else {
                    assert_eq!(refused.into_future().at as u64, origin.serial, "another future");
                }
            }
        }
    }

    fn spawn(&mut self, script: &[Deed]) {
        let Some((future, origin)) = self.new_task(script) else { return };
        self.world.lock().oracle.spawn();
        let (task, join) = self.side.spawn(future, (), origin);
        self.owned_task.push(None);
        self.enroll(self.owned_task.len() - 1, task);
        self.world.lock().joins.push(Some(join));
    }

    /// Keeps a task that has not ended. As with the registry, there is room in the urgent queue for each.
    fn enroll(&mut self, at: usize, task: OwnedTask) {
        self.owned_task[at] = Some(task);
        self.side.provide_for(self.owned_task.len());
    }

    /// Does something inside of the loop's run.
    fn inside<R>(&mut self, deed: impl FnOnce(&mut Self) -> R) -> R {
        let side = Rc::clone(&self.side);
        let _entered = side.enter();
        self.world.lock().oracle.inside = true;
        let result = deed(self);
        self.world.lock().oracle.inside = false;
        result
    }

    /// Takes what was pushed, and reverses so much of it.
    fn look(&mut self, most: usize) {
        for lane in Lane::ALL {
            self.world.lock().oracle.look(lane, most);
            let _ = self.side.look(lane, most);
        }
    }

    /// Nothing comes in from here on. What is in hand is taken in before.
    fn close(&mut self) {
        self.look(usize::MAX);
        self.take_in_all();
        for lane in Lane::ALL {
            let oracle = &mut self.world.lock().oracle;
            oracle.closed = true;
            oracle.look(lane, 0);
            self.side.close(lane);
        }
        self.look(usize::MAX);
    }

    fn take_in_all(&mut self) {
        Lane::ALL.into_iter().for_each(|lane| self.take_in(lane, usize::MAX));
    }

    /// Takes what is in hand of a lane in, one after the other.
    fn take_in(&mut self, lane: Lane, count: usize) {
        self.inside(|pair| {
            for _ in 0..count {
                let expected = pair.world.lock().oracle.next(lane);
                let task = match lane {
                    Lane::New => pair.side.take_in_new(),
                    Lane::Control => pair.side.take_in_control(),
                    Lane::Known => {
                        pair.side.take_in_known(1);
                        None
                    }
                };
                let is_one = lane == Lane::Known || task.is_some() == expected.is_some();
                assert!(is_one, "{task:?} and {expected:?}");
                let Some(expected) = expected else { break };
                pair.welcome(task, expected);
            }
        });
    }

    fn welcome(&mut self, task: Option<OwnedTask>, expected: QueueEntry) {
        let (QueueEntry::Task(at) | QueueEntry::RemoteDrop(at)) = expected;
        if let Some(task) = &task {
            assert_eq!(task.id().as_u64(), at as u64, "out of its order");
        }
        match (task, expected) {
            (task, QueueEntry::Task(_)) => {
                let is_control = {
                    let oracle = &mut self.world.lock().oracle;
                    oracle.take_in(at);
                    oracle.tasks[at].is_control
                };
                match task {
                    Some(task) if is_control => self.run_now(at, task),
                    Some(task) => self.enroll(at, task),
                    None => {}
                }
            }
            (Some(task), QueueEntry::RemoteDrop(_)) => {
                assert!(matches!(self.side.run_control(task, || false), Ok(None)));
                self.world.lock().oracle.deliver(at);
            }
            (None, QueueEntry::RemoteDrop(_)) => panic!("the output of {at} was not sent"),
        }
    }

    fn run_now(&mut self, at: usize, task: OwnedTask) {
        let fate = self.world.lock().oracle.begin_run(at);
        let Some(ending) = ended(&self.world, at, fate, self.side.run_now(&task)) else {
            panic!("a request to the loop waits")
        };
        complete(&self.world, &self.side, at, ending, task);
    }

    fn run(&mut self, polls: usize, most: usize) {
        self.world.lock().oracle.begin_batch(polls);
        self.side.begin_batch(polls);
        self.inside(|pair| {
            let Self { side, world, owned_task, .. } = pair;
            let mut batch = side.batch();
            for _ in 0..most {
                let (expected, popped) = (world.lock().oracle.pop(), batch.next());
                let serial = popped.as_ref().map(|popped| popped.subject().id.as_u64());
                assert_eq!(serial, expected.map(|at| at as u64), "the next task");
                let (Some(at), Some(popped)) = (expected, popped) else { break };
                let fate = world.lock().oracle.begin_run(at);
                if let Some(ending) = ended(world, at, fate, Runnable::run(popped)) {
                    let task = owned_task[at].take().expect("it had not ended");
                    complete(world, side, at, ending, task);
                }
            }
        });
    }

    fn resume(&mut self) {
        self.world.lock().oracle.resume();
        self.side.resume();
    }

    /// The loop sleeps, if it has not slept since it was last awake.
    fn park(&mut self) {
        let oracle = &mut self.world.lock().oracle;
        if oracle.word != Word::Parked {
            let sleeps = self.side.park() == Parked::Asleep;
            assert_eq!(sleeps, oracle.park(), "the loop sleeps");
        }
    }

    fn dispose(&mut self, back: usize) {
        let Some(at) = place(self.owned_task.len(), back) else { return };
        let Some(task) = self.owned_task[at].take() else { return };
        self.inside(|pair| {
            let (ending, _) = pair.side.end(&task, JoinError::Cancelled);
            complete(&pair.world, &pair.side, at, ending, task);
        });
    }

    fn check(&self) {
        let (run_queues, world) = (self.side.run_queues(), self.world.lock());
        let oracle = &world.oracle;
        let has_any = !oracle.stacks.iter().all(VecDeque::is_empty);
        assert_eq!(run_queues.has_any(), has_any, "something was pushed");
        let has_news = oracle.word == Word::Notified || has_any;
        assert_eq!(run_queues.has_news(), has_news, "there is news");
        assert_eq!(run_queues.is_parked(), oracle.word == Word::Parked, "the loop sleeps");
        let rings = self.rings.load(Ordering::Relaxed); // ORDERING: see above
        assert_eq!(rings, oracle.rings, "rings");
        assert_eq!(Arc::strong_count(&self.token) - 1, oracle.tokens(), "futures and outputs");
        if cfg!(fuzzing) {
            // Elsewhere memory is kept, and with it the reference.
            assert_eq!(sync::Arc::strong_count(run_queues) - 1, oracle.cells(), "cells");
        }
        let ready = oracle.ready.len() + oracle.urgent.len();
        let in_hand = oracle.hands.iter().any(|hand| !hand.cells.is_empty());
        let is_idle = ready == 0 && !in_hand;
        assert_eq!((self.side.ready(), self.side.is_idle()), (ready, is_idle), "ready tasks");
        assert_eq!(self.side.has_arrivals(), in_hand || has_any, "something came in");
        self.side.count(0);
        let counters = self.side.counters();
        let wakes = (counters.local_wakes.get(), counters.remote_wakes.get());
        assert_eq!(wakes, (oracle.local_wakes, oracle.remote_wakes), "wakes, local and remote");
        for (at, join) in world.joins.iter().enumerate() {
            let task = &oracle.tasks[at];
            assert!(join.as_ref().is_none_or(|join| join.is_done() == task.done), "{at} is done");
            let Some(owned_task) = &self.owned_task[at] else { continue };
            assert_eq!(self.side.polls(owned_task), task.polls, "polls of {at}");
            let activity = (false, task.ready || task.urgent);
            assert_eq!(self.side.activity(owned_task), activity, "what {at} does");
        }
    }
}

/// Holds what became of a run against what was to become of it.
fn ended<'a>(world: &Mutex<World>, at: usize, fate: Fate, ran: Ran<'a>) -> Option<Ending<'a>> {
    let oracle = &mut world.lock().oracle;
    oracle.running = None;
    match (fate, ran) {
        (Fate::Nothing, Ran::Nothing) => None,
        (Fate::Polled, Ran::Pending)
            if !oracle.tasks[at].finishing && !oracle.tasks[at].is_requested() =>
        {
            None
        }
        (Fate::Polled, Ran::Ended(ending, End::Finished)) if oracle.tasks[at].finishing => {
            Some(ending)
        }
        (Fate::Polled, Ran::Ended(ending, End::Cancelled))
            if !oracle.tasks[at].finishing && oracle.tasks[at].is_requested() =>
        {
            Some(ending)
        }
        (Fate::Dropped, Ran::Dropped(ending, End::Cancelled)) => Some(ending),
        (fate, ran) => panic!("{at} was to be {fate:?}, and was {ran:?}"),
    }
}

fn complete(world: &Mutex<World>, side: &LoopSide, at: usize, ending: Ending<'_>, task: OwnedTask) {
    world.lock().oracle.complete(at);
    assert!(ending.complete(task, side).is_none(), "{at} has panicked");
}
