//! Histories of a registry: tasks of this thread and of others that come and go, and after each deed a
//! look for all of them, and for some that have gone.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::{Future, pending};
use core::iter;
use core::panic::Location;

use crate::error::JoinError;
use crate::id::{NO_KEY, TaskId};
use crate::scheduler::mix::GOLDEN;
use crate::scheduler::registry::Registry;
use crate::task::cell::Origin;
use crate::task::injection::Lane;
use crate::task::loop_side::LoopSide;
use crate::task::owned_task::OwnedTask;
use crate::task::run::{Ending, Ran};
use crate::task::spawn::{Kind, NewTask};
use crate::testing::choices::{self, Choose};

/// The most operations of one history.
const LONGEST: usize = 48;

/// The most tasks at once.
const MOST: usize = 96;

/// So many tasks that have gone are looked for.
const REMEMBERED: usize = 16;

/// Where something could wrap.
const STARTS: [u64; 5] = [0, 1 << 32, 1 << 63, u64::MAX, 1_000_000_000];

/// One deed. Tasks are named by their place in the order of serials, modulo how many there are.
#[derive(Debug, Clone)]
enum Operation {
    /// Tasks with these serials, as far as they are new.
    Insert {
        serials: Vec<u64>,
        is_local: bool,
    },
    /// The task has ended, and is let go.
    Retire(usize),
    /// The task is let go, and ends then.
    Remove(usize),
    /// So many are removed, every second one or each.
    RemoveMany {
        first: usize,
        apart: usize,
        count: usize,
    },
    /// The task is let go and ends, another one comes, and then the first is to be retired.
    RetireTooLate {
        task: usize,
        serial: u64,
        is_local: bool,
    },
    RemoveAll,
    /// What is ready is polled.
    Turn,
}

/// A table of so few slots is kept in most histories, so that one is given up often.
pub(crate) const FEW: usize = 64;

/// What is done to a registry that keeps an index of at most `K` slots.
#[derive(Debug, Clone)]
pub(crate) struct History<const K: usize>(Vec<Operation>);

impl<const K: usize> choices::History for History<K> {
    fn draw(choose: &mut impl Choose) -> Self {
        Self(iter::from_fn(|| Operation::draw(choose)).take(LONGEST).collect())
    }

    fn run(&self) {
        let future = Arc::new(());
        let mut pair = Pair::<K>::new(&future);
        for (deed, operation) in self.0.iter().enumerate() {
            operation.apply(&mut pair);
            if !cfg!(fuzzing) || deed % 4 == 3 {
                pair.check(); // which is most of the price
            }
        }
        pair.remove_all();
        pair.check();
        drop(pair);
        assert_eq!(Arc::strong_count(&future), 1, "a future is left");
    }
}

impl Operation {
    /// `None` is the end.
    fn draw(choose: &mut impl Choose) -> Option<Self> {
        let kind = choose(25).checked_sub(1)?;
        Some(match kind % 12 {
            0..4 => {
                let is_local = choose(4) == 0;
                Self::Insert { serials: serials(choose), is_local }
            }
            4..6 => Self::Retire(choose(MOST as u64) as usize),
            6..8 => Self::Remove(choose(MOST as u64) as usize),
            8 => Self::RemoveMany {
                first: choose(MOST as u64) as usize,
                apart: 1 + choose(3) as usize,
                count: choose(MOST as u64) as usize,
            },
            9 => Self::RetireTooLate {
                task: choose(MOST as u64) as usize,
                serial: serials(choose)[0],
                is_local: choose(2) == 0,
            },
            10 => Self::RemoveAll,
            _ => Self::Turn,
        })
    }

    fn apply<const K: usize>(&self, pair: &mut Pair<'_, K>) {
        match *self {
            Self::Insert { ref serials, is_local } => {
                serials.iter().for_each(|serial| pair.insert(*serial, is_local));
            }
            Self::Retire(at) => pair.with(at, Pair::retire),
            Self::Remove(at) => pair.with(at, Pair::remove),
            Self::RemoveMany { first, apart, count } => {
                for n in 0..count.min(pair.tasks.len()) {
                    pair.with(first + n * (apart - 1), Pair::remove);
                }
            }
            Self::RetireTooLate { task, serial, is_local } => {
                pair.with(task, |pair, gone| pair.retire_too_late(gone, serial, is_local));
            }
            Self::RemoveAll => pair.remove_all(),
            Self::Turn => run_out(&pair.side),
        }
    }
}

/// Serials in a row, at the same distance from each other, or whose place in the table is the same.
fn serials(choose: &mut impl Choose) -> Vec<u64> {
    let start = STARTS[choose(STARTS.len() as u64) as usize];
    let start = start.wrapping_add(choose(64)).wrapping_sub(choose(64));
    let count = if choose(3) == 0 { 1 + choose(MOST as u64 / 2) } else { 1 + choose(4) };
    match choose(4) {
        0 => (0..count).map(|n| start.wrapping_add(n)).collect(),
        1 => (0..count).map(|n| start.wrapping_add(n * 64)).collect(),
        2 => {
            let apart = choose(u64::MAX) >> choose(64);
            (0..count).map(|n| start.wrapping_add(n.wrapping_mul(apart))).collect()
        }
        _ => {
            // Homes at the end of the table and at its beginning.
            let (home, spread) = ((choose(8)).wrapping_sub(4), 1 + choose(3));
            let at_home = |n: u64| (home.wrapping_add(n % spread) << 56) + (start & 0xFF) + n;
            (0..count).map(|n| unmix(at_home(n))).collect()
        }
    }
}

/// What there is to know of a task.
#[derive(Debug, Clone, Copy)]
struct Known {
    since: u64,
    is_local: bool,
    key: u32,
}

/// A registry beside a map from serial to what is known.
struct Pair<'a, const K: usize> {
    side: LoopSide,
    registry: Registry<K>,
    tasks: BTreeMap<u64, Known>,
    /// Serials that were there: none comes again.
    used: BTreeSet<u64>,
    /// Of those that have gone, the last ones.
    gone: Vec<(u64, u32)>,
    /// The most tasks that there were at once.
    most: usize,
    /// Each future has one of it.
    token: &'a Arc<()>,
}

impl<'a, const K: usize> Pair<'a, K> {
    fn new(token: &'a Arc<()>) -> Self {
        Self {
            side: LoopSide::new(Box::new(|| ())),
            registry: Registry::default(),
            tasks: BTreeMap::new(),
            used: BTreeSet::new(),
            gone: Vec::new(),
            most: 0,
            token,
        }
    }

    /// Does something to the task in this place of the order, if there is any task.
    fn with(&mut self, at: usize, deed: impl FnOnce(&mut Self, u64)) {
        let len = self.tasks.len().max(1);
        if let Some(serial) = self.tasks.keys().nth(at % len).copied() {
            deed(self, serial);
        }
    }

    fn insert(&mut self, serial: u64, is_local: bool) {
        if self.tasks.len() == MOST || !self.used.insert(serial) {
            return;
        }
        let since = self.used.len() as u64;
        let origin = Origin { serial, location: Location::caller() };
        let future = holding(Arc::clone(self.token));
        let task = if is_local {
            self.side.spawn(future, (), origin).0
        } else {
            from_elsewhere(&self.side, future, origin)
        };
        self.registry.put(task, since);
        let mut entries = self.registry.iter();
        let (place, entry) = entries.find(|(_, entry)| entry.since == since).expect("it is new");
        let key = entry.task.id().key();
        assert_eq!(place, key as usize, "{serial} is told another place");
        self.tasks.insert(serial, Known { since, is_local, key });
        self.most = self.most.max(self.tasks.len());
    }

    fn retire(&mut self, serial: u64) {
        let id = self.forget(serial);
        let task = &self.registry.get(id).expect("it is there").task;
        let (ending, _) = self.side.end(task, JoinError::Cancelled);
        let (entry, _) = self.registry.retire(&ending).expect("it is there");
        self.registry.tidy();
        assert!(self.registry.retire(&ending).is_none(), "{serial} is retired twice");
        complete(ending, entry.task, &self.side);
    }

    fn remove(&mut self, serial: u64) {
        let id = self.forget(serial);
        let entry = self.registry.remove(id).expect("it is there");
        self.registry.tidy();
        assert!(self.registry.remove(id).is_none(), "{serial} is removed twice");
        let (ending, _) = self.side.end(&entry.task, JoinError::Cancelled);
        complete(ending, entry.task, &self.side);
    }

    fn retire_too_late(&mut self, gone: u64, serial: u64, is_local: bool) {
        let id = self.forget(gone);
        let task = self.registry.remove(id).expect("it is there").task;
        self.registry.tidy();
        self.insert(serial, is_local); // where the other one was
        let (ending, _) = self.side.end(&task, JoinError::Cancelled);
        assert!(self.registry.retire(&ending).is_none(), "{gone} is let go twice");
        complete(ending, task, &self.side);
    }

    fn remove_all(&mut self) {
        while let Some(serial) = self.tasks.keys().next().copied() {
            self.remove(serial);
        }
        run_out(&self.side);
    }

    /// The task goes; its id, with the key or, where another thread has made it, without.
    fn forget(&mut self, serial: u64) -> TaskId {
        let Known { is_local, key, .. } = self.tasks.remove(&serial).expect("it is there");
        if self.gone.len() == REMEMBERED {
            self.gone.remove(0);
        }
        self.gone.push((serial, key));
        TaskId::new(serial, if is_local || serial % 2 == 0 { key } else { NO_KEY })
    }

    /// Whether the one says what the other does.
    fn check(&self) {
        self.registry.check_invariants();
        let foreign = self.tasks.values().filter(|known| !known.is_local).count();
        assert_eq!((self.registry.len(), self.registry.remote()), (self.tasks.len(), foreign));
        let mut ids = Vec::with_capacity(self.tasks.len());
        assert!(self.registry.list(&mut ids), "there is room for {}", self.tasks.len());
        let serials = ids.into_iter().map(TaskId::as_u64);
        assert!(serials.eq(self.tasks.keys().copied()), "the ids in their order");
        let mut keys = BTreeSet::new();
        for (serial, known) in &self.tasks {
            self.check_task(*serial, known);
            assert!(keys.insert(known.key), "{} is the key of two tasks", known.key);
            let pages = self.most.next_multiple_of(64);
            assert!((known.key as usize) < pages, "{} is not used again", known.key);
        }
        for (serial, key) in &self.gone {
            for key in [*key, NO_KEY, 0] {
                let found = self.registry.get(TaskId::new(*serial, key));
                assert!(found.is_none(), "{serial} has gone, and is found by key {key}");
            }
            let now = self.tasks.iter().find(|(_, known)| known.key == *key);
            let same = now.filter(|(now, _)| **now << 32 == serial << 32);
            let found =
                self.registry.get_by_timer(TaskId::new(*serial, *key)).map(|entry| entry.since);
            assert_eq!(found, same.map(|(_, known)| known.since), "{serial} has gone");
        }
    }

    fn check_task(&self, serial: u64, known: &Known) {
        let Known { since, is_local, key } = *known;
        let since_of = |key| self.registry.get(TaskId::new(serial, key)).map(|entry| entry.since);
        assert_eq!(since_of(key), Some(since), "{serial} by its id");
        for other in [NO_KEY, key.wrapping_add(1), 0].into_iter().filter(|other| *other != key) {
            assert_eq!(since_of(other), (!is_local).then_some(since), "{serial} by {other}");
        }
        let lent = self.registry.get_by_timer(TaskId::new(serial, key));
        assert_eq!(lent.map(|entry| entry.since), Some(since), "{serial} by its timer");
    }
}

/// A future that never ends.
async fn holding(_token: Arc<()>) {
    pending().await
}

/// A task as if another thread had spawned it.
fn from_elsewhere(
    side: &LoopSide,
    future: impl Future<Output = ()> + Send + 'static,
    origin: Origin,
) -> OwnedTask {
    let run_queues = side.run_queues();
    let task = NewTask::new(future, (), origin, run_queues.clone(), Kind::Task);
    assert!(task.push(run_queues).is_ok(), "the loop is open");
    let _ = side.look(Lane::New, usize::MAX);
    side.take_in_new().expect("it was pushed")
}

fn complete(ending: Ending<'_>, task: OwnedTask, side: &LoopSide) {
    assert!(ending.complete(task, side).is_none(), "a panic");
}

/// Polls what is ready, and takes what has ended out of its queue.
fn run_out(side: &LoopSide) {
    let _entered = side.enter();
    side.resume();
    side.begin_batch(usize::MAX);
    let mut batch = side.batch();
    while let Some(popped) = batch.next() {
        assert!(matches!(popped.run(), Ran::Pending | Ran::Nothing), "a task has ended");
    }
}

/// The number that [`mix`](crate::scheduler::mix::mix) makes `mixed` of.
fn unmix(mixed: u64) -> u64 {
    // What gives 1 when it is multiplied with an odd number, by Newton's method.
    let better = |x: u64, _| x.wrapping_mul(2_u64.wrapping_sub(GOLDEN.wrapping_mul(x)));
    let inverse = (0..6).fold(GOLDEN, better);
    let folded = mixed.wrapping_mul(inverse);
    (folded ^ (folded >> 32)).wrapping_mul(inverse)
}

#[cfg(test)]
mod tests {
    use super::{FEW, History};
    use crate::scheduler::index::KEPT;
    use crate::testing::choices::replay::{run_seeds, run_what_was_found};

    #[test]
    fn every_seed_agrees_with_the_map() {
        run_seeds::<History<FEW>>(300);
        run_seeds::<History<KEPT>>(30);
    }

    #[test]
    fn what_the_fuzzer_found_agrees_with_the_map() {
        run_what_was_found::<History<FEW>>("registry");
    }
}
