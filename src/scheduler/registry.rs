//! The tasks a loop knows: a slab of them, found by key and verified by serial.

#[cfg(all(any(test, fuzzing), not(loom)))]
pub(crate) mod history;

use alloc::vec::Vec;

use slab::Slab;

use super::alarm::Lent;
use super::index::Index;
use crate::id::{NO_KEY, TaskId};
use crate::task::loop_side::Enrolled;
use crate::task::run::Ending;
use crate::tick::Tick;

/// One task and when the loop came to know it: 16 bytes.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) task: Enrolled,
    pub(crate) since: Tick,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    entries: Slab<Entry>,
    /// Those whose ids were made on other threads, without a key.
    remote: Index,
}

impl Registry {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds a task.
    #[inline]
    pub(crate) fn insert(&mut self, task: Enrolled, since: Tick) {
        let Self { entries, remote } = self;
        let slot = entries.vacant_entry();
        // PANICS: it cannot: four thousand million tasks are over 300 GiB of cells.
        let key = key_of(slot.key()).expect("too many tasks");
        task.set_key(key);
        let serial = task.is_foreign().then(|| task.id().as_u64());
        slot.insert(Entry { task, since });
        if let Some(serial) = serial {
            remote.insert(serial, key, |key| serial_of(entries, key));
        }
    }

    /// The key of the task, if it is known.
    #[inline]
    fn find(&self, id: TaskId) -> Option<usize> {
        let is_it = |key: &usize| self.entries.get(*key).is_some_and(|entry| entry.task.id() == id);
        Some(id.key() as usize).filter(is_it).or_else(|| {
            self.remote
                .find(id.as_u64(), |key| serial_of(&self.entries, key))
                .map(|key| key as usize)
        })
    }

    pub(crate) fn get(&self, id: TaskId) -> Option<&Entry> {
        self.entries.get(self.find(id)?)
    }

    /// The task that armed a timer, if it has not ended.
    #[inline]
    pub(crate) fn get_lent(&self, lent: Lent) -> Option<&Entry> {
        let entry = self.entries.get(lent.key as usize)?;
        (Lent::to(entry.task.id()) == lent).then_some(entry)
    }

    /// Lets a task go whose future is gone.
    #[inline]
    pub(crate) fn retire(&mut self, ending: &Ending<'_>) -> Option<Entry> {
        let id = ending.id();
        let entry = self.entries.get(id.key() as usize)?;
        if ending.is_of(&entry.task) { self.take(id.key() as usize) } else { None }
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn remove(&mut self, id: TaskId) -> Option<Entry> {
        self.take(self.find(id)?)
    }

    #[inline]
    fn take(&mut self, key: usize) -> Option<Entry> {
        let Self { entries, remote } = self;
        let task = &entries.get(key)?.task;
        if task.is_foreign() {
            remote.remove(task.id().as_u64(), |key| serial_of(entries, key));
        }
        entries.try_remove(key)
    }

    /// The ids of all tasks, in the order in which they were spawned.
    pub(crate) fn ids(&self) -> Vec<TaskId> {
        let mut ids: Vec<TaskId> = self.entries.iter().map(|(_, entry)| entry.task.id()).collect();
        ids.sort_unstable();
        ids
    }
}

/// The key for a place in the slab; the last number of all stands for "no key".
#[inline]
fn key_of(place: usize) -> Option<u32> {
    u32::try_from(place).ok().filter(|key| *key != NO_KEY)
}

fn serial_of(entries: &Slab<Entry>, key: u32) -> u64 {
    entries[key as usize].task.id().as_u64()
}

#[cfg(all(test, not(loom), target_pointer_width = "64"))]
mod tests {
    use alloc::boxed::Box;
    use core::future::pending;
    use core::panic::Location;

    use super::*;
    use crate::error::JoinError;
    use crate::task::cell::Origin;
    use crate::task::loop_side::{LoopSide, News};
    use crate::task::spawn::{Kind, NewTask};

    /// A task as if another thread had spawned it, and its id as that one knows it.
    fn from_elsewhere(side: &LoopSide, origin: Origin) -> (Enrolled, TaskId) {
        let mailbox = side.mailbox();
        let task = NewTask::new(pending::<()>(), (), origin, mailbox.clone(), Kind::Task);
        let id = task.push(mailbox).expect("the loop is open").id();
        match side.take_all().next(side) {
            Some(News::Spawned(task)) => (task, id),
            other => panic!("{other:?} came instead of a task"),
        }
    }

    #[test]
    fn a_task_is_found_by_its_id_wherever_it_was_spawned_until_it_is_let_go() {
        let side = LoopSide::new(Box::new(|| ()));
        let _entered = side.enter();
        let (mut registry, mut ids) = (Registry::default(), Vec::new());
        for (serial, is_local) in [(5, false), (3, true), (7, false), (8, true)] {
            let origin = Origin { serial, location: Location::caller() };
            ids.push(if is_local {
                let (task, join) = side.spawn(pending::<()>(), (), origin);
                registry.insert(task, serial);
                join.id()
            } else {
                let (task, id) = from_elsewhere(&side, origin);
                registry.insert(task, serial);
                id
            });
        }
        assert_eq!(registry.remote.len(), 2, "those of other threads");
        assert_eq!((registry.len(), registry.ids()), (4, [1, 0, 2, 3].map(|at| ids[at]).to_vec()));
        assert!(registry.get_lent(Lent::to(TaskId::new(9, 0))).is_none(), "another had this key");
        for (at, id) in ids.into_iter().enumerate() {
            let task = &registry.get(id).expect("it has not ended").task;
            let lent = registry.get_lent(Lent::to(task.id()));
            assert_eq!(lent.map(|entry| entry.since), Some(id.as_u64()));
            let (ending, _) = side.end(task, JoinError::Cancelled);
            let entry = if at < 2 { registry.retire(&ending) } else { registry.remove(id) };
            let entry = entry.expect("it was there");
            assert_eq!((entry.since, registry.len()), (id.as_u64(), 3 - at));
            assert!(registry.get(id).is_none());
            assert_eq!(registry.remote.len(), [1, 1, 0, 0][at]);
            assert!(ending.complete(entry.task, &side).is_none());
        }
        side.resume();
        side.begin_batch(usize::MAX);
        while side.batch().next().map(|popped| popped.run()).is_some() {}
    }

    #[test]
    fn keys_end_before_the_one_that_stands_for_none() {
        let last = NO_KEY as usize - 1;
        assert_eq!(key_of(last), Some(NO_KEY - 1));
        for beyond in [last + 1, last + 2, usize::MAX] {
            assert_eq!(key_of(beyond), None, "{beyond}");
        }
    }

    #[test]
    fn an_entry_takes_16_bytes_and_the_slab_adds_none() {
        assert_eq!(size_of::<Entry>(), 16);
        let mut slab = Slab::<Entry>::new();
        slab.reserve(64);
        assert_eq!(size_of::<Option<Entry>>(), 16);
    }
}
