//! The tasks a loop knows: an arena of them, found by key and verified by serial.
//!
//! As an arena it neither allocates nor frees under the borrow of its owner: see [`make_room`] and [`tidy`].

#[cfg(all(any(test, fuzzing), not(loom)))]
mod invariants;

use alloc::vec::Vec;
use core::cell::RefCell;

use super::arena::{self, Arena};
use super::index::{Index, KEPT};
use super::timer_target::TaskKey;
use crate::id::{BY_NUMBER, TaskId};
use crate::task::owned_task::OwnedTask;
use crate::task::run::Ending;
use crate::tick::Tick;

/// For so many tasks more there may be room in the registry, after room was made.
pub(super) const PAGE: usize = arena::BITS;

// Each place of an arena is the key of a task, and not one that stands for none.
const _: () = assert!(arena::MOST * arena::BITS <= BY_NUMBER as usize);

/// One task and when the loop came to know it: 16 bytes.
#[derive(Debug)]
pub(crate) struct TaskEntry {
    pub(crate) task: OwnedTask,
    pub(crate) since: Tick,
}

/// All of them. An index of at most `K` slots is kept.
#[derive(Debug)]
pub(crate) struct Registry<const K: usize = KEPT> {
    entries: Arena<TaskEntry>,
    /// Those whose ids were made on other threads, without a key.
    remote: Index<K>,
}

/// Gives a registry what it lacked for an insertion. To be called outside of every borrow.
#[cold]
pub(super) fn make_room<const K: usize>(registry: &RefCell<Registry<K>>) {
    let is_full = registry.borrow().remote.is_full();
    if is_full {
        change_table(registry);
    }
    arena::widen(registry, |registry| &mut registry.entries);
}

/// Frees what a registry needs no more. To be called where [`Registry::retire`] says so, outside of every
/// borrow.
#[cold]
pub(super) fn tidy<const K: usize>(registry: &RefCell<Registry<K>>) {
    arena::tidy(registry, |registry| &mut registry.entries);
    let spare = registry.borrow_mut().remote.take_spare();
    drop(spare);
    change_table(registry);
}

/// Gives the index the table that it wants, if any.
fn change_table<const K: usize>(registry: &RefCell<Registry<K>>) {
    let wanted = registry.borrow().remote.wanted();
    if let Some(slots) = wanted {
        let slots = Index::<K>::make(slots);
        let left = registry.borrow_mut().remote.add(slots);
        drop(left);
    }
}

impl<const K: usize> Default for Registry<K> {
    fn default() -> Self {
        Self { entries: Arena::new(), remote: Index::default() }
    }
}

impl<const K: usize> Registry<K> {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// So many tasks it holds before it lacks anything.
    pub(crate) fn places(&self) -> usize {
        self.entries.places()
    }

    /// Adds a task. It comes back where [something is lacking](make_room).
    #[inline(always)]
    pub(crate) fn insert(&mut self, task: OwnedTask, since: Tick) -> Result<(), OwnedTask> {
        if !task.is_foreign() {
            return self.insert_local(task, since).map(drop);
        }
        if self.remote.is_full() {
            return Err(task);
        }
        let serial = task.id().as_u64();
        let key = self.insert_local(task, since)?;
        self.remote.insert(serial, key);
        Ok(())
    }

    /// Adds a task that was spawned on the loop's thread, as `insert` does. Its key.
    #[inline]
    pub(crate) fn insert_local(&mut self, task: OwnedTask, since: Tick) -> Result<u32, OwnedTask> {
        let entry = TaskEntry { task, since };
        let (place, entry) = self.entries.insert_at(entry).map_err(|entry| entry.task)?;
        let key = place as u32; // fits, as is asserted above
        entry.task.set_key(key);
        Ok(key)
    }

    /// The key of the task, if it is known.
    #[inline]
    fn find(&self, id: TaskId) -> Option<usize> {
        let is_it = |key: &usize| self.entries.get(*key).is_some_and(|entry| entry.task.id() == id);
        Some(id.key() as usize).filter(is_it).or_else(|| {
            self.remote
                .find(id.as_u64(), |key| serial_of(&self.entries, key))
                .map(|key| key as usize)
                .or_else(|| self.find_by_number(id))
        })
    }

    /// Tasks of the loop's own are in no index: a number alone, as from another language, costs a look at
    /// all of them.
    #[cold]
    fn find_by_number(&self, id: TaskId) -> Option<usize> {
        let mut all = self.entries.iter().filter(|_| id.key() == BY_NUMBER);
        all.find(|(_, entry)| entry.task.id() == id).map(|(place, _)| place)
    }

    #[inline]
    pub(crate) fn get(&self, id: TaskId) -> Option<&TaskEntry> {
        self.entries.get(self.find(id)?)
    }

    /// The task that armed a timer, if it has not ended.
    #[inline]
    pub(crate) fn get_by_key(&self, lent: TaskKey) -> Option<&TaskEntry> {
        let entry = self.entries.get(lent.key as usize)?;
        (TaskKey::to(entry.task.id()) == lent).then_some(entry)
    }

    /// Lets a task go whose future is gone; also says whether there is something to be [freed](tidy).
    #[inline]
    pub(crate) fn retire(&mut self, ending: &Ending<'_>) -> Option<(TaskEntry, bool)> {
        let place = ending.id().key() as usize;
        let entry = self.entries.remove_if(place, |entry| ending.is_of(&entry.task))?;
        let is_untidy = self.forget(&entry);
        Some((entry, is_untidy))
    }

    /// Tidy again is asked for by the index's own tasks alone: others change nothing in it.
    #[inline]
    fn forget(&mut self, TaskEntry { task, .. }: &TaskEntry) -> bool {
        let is_foreign = task.is_foreign();
        if is_foreign {
            self.remote.remove(task.id().as_u64(), task.id().key());
        }
        self.entries.is_untidy() || is_foreign && self.remote.is_untidy()
    }

    /// Puts the ids of all tasks into a list that has room for them, in the order in which they were
    /// spawned. `false`: it has not.
    pub(crate) fn list(&self, ids: &mut Vec<TaskId>) -> bool {
        let has_room = ids.capacity() - ids.len() >= self.len();
        if has_room {
            self.entries.iter().for_each(|(_, entry)| ids.push(entry.task.id()));
            ids.sort_unstable();
        }
        has_room
    }
}

fn serial_of(entries: &Arena<TaskEntry>, key: u32) -> u64 {
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
    use crate::task::injection::Lane;
    use crate::task::loop_side::LoopSide;
    use crate::task::spawn::{Kind, NewTask};

    /// A task as if another thread had spawned it, and its id as that one knows it.
    fn from_elsewhere(side: &LoopSide, origin: Origin) -> (OwnedTask, TaskId) {
        let run_queues = side.run_queues();
        let task = NewTask::new(pending::<()>(), (), origin, run_queues.clone(), Kind::Task);
        let id = task.push(run_queues).expect("the loop is open").id();
        let _ = side.look(Lane::New, usize::MAX);
        (side.take_in_new().expect("it was pushed"), id)
    }

    #[test]
    fn a_task_is_found_by_its_id_wherever_it_was_spawned_until_it_is_let_go() {
        let side = LoopSide::new(Box::new(|| ()));
        let _entered = side.enter();
        let (mut registry, mut ids) = (<Registry>::default(), Vec::new());
        for (serial, is_local) in [(5, false), (3, true), (7, false), (8, true)] {
            let origin = Origin { serial, location: Location::caller() };
            ids.push(if is_local {
                let (task, join) = side.spawn(pending::<()>(), (), origin);
                registry.put(task, serial);
                join.id()
            } else {
                let (task, id) = from_elsewhere(&side, origin);
                registry.put(task, serial);
                id
            });
        }
        let mut all = Vec::new();
        assert_eq!(registry.remote.len(), 2, "those of other threads");
        assert!(!registry.list(&mut all) && all.is_empty(), "there is no room");
        all.reserve(4);
        assert!(registry.list(&mut all));
        assert_eq!((registry.len(), all), (4, [1, 0, 2, 3].map(|at| ids[at]).to_vec()));
        assert!(registry.get_by_key(TaskKey::to(TaskId::new(9, 0))).is_none(), "of another");
        for (at, id) in ids.into_iter().enumerate() {
            let task = &registry.get(id).expect("it has not ended").task;
            let lent = registry.get_by_key(TaskKey::to(task.id()));
            assert_eq!(lent.map(|entry| entry.since), Some(id.as_u64()));
            let (ending, _) = side.end(task, JoinError::Cancelled);
            let retired = (at < 2).then(|| registry.retire(&ending)).flatten();
            let retired = retired.map(|(entry, _)| entry).or_else(|| registry.remove(id));
            let entry = retired.expect("it was there");
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
    fn keys_end_before_those_that_stand_for_none() {
        let mut pages = 0;
        while pages < arena::MOST {
            pages = arena::more_than(pages);
        }
        let last = pages * arena::BITS - 1;
        assert!((1 << 31..BY_NUMBER as usize).contains(&last), "the key of {last}");
    }

    #[test]
    #[should_panic(expected = "too many tasks or timers")]
    fn there_is_no_page_after_that_of_the_last_key() {
        let _ = arena::more_than(arena::MOST);
    }

    #[test]
    fn an_entry_takes_16_bytes_and_its_place_adds_none() {
        assert_eq!(size_of::<TaskEntry>(), 16);
        assert_eq!(size_of::<Option<TaskEntry>>(), 16);
    }
}
