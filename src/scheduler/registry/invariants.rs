//! What tests do with a registry that lies in no cell, and what they see of its inside.

use core::cell::RefCell;

use super::{Registry, TaskEntry, make_room, tidy};
use crate::id::TaskId;
use crate::scheduler::timer_target::TaskKey;
use crate::task::owned_task::OwnedTask;
use crate::tick::Tick;

impl<const K: usize> Registry<K> {
    /// Adds a task, with whatever is lacking for it.
    pub(crate) fn put(&mut self, task: OwnedTask, since: Tick) {
        let registry = RefCell::new(core::mem::take(self));
        let mut task = task;
        loop {
            let added = registry.borrow_mut().insert(task, since);
            let Err(back) = added else { break };
            task = back;
            make_room(&registry);
        }
        *self = registry.into_inner();
    }

    /// Takes a task out before it has ended.
    pub(crate) fn remove(&mut self, id: TaskId) -> Option<TaskEntry> {
        let entry = self.entries.remove(self.find(id)?)?;
        self.forget(&entry);
        Some(entry)
    }

    /// Frees what is not needed.
    pub(crate) fn tidy(&mut self) {
        let registry = RefCell::new(core::mem::take(self));
        tidy(&registry);
        *self = registry.into_inner();
    }

    /// All tasks with their places, which are their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &TaskEntry)> {
        self.entries.iter()
    }

    /// The task that a timer finds which the task with this id has armed.
    pub(crate) fn get_by_timer(&self, id: TaskId) -> Option<&TaskEntry> {
        self.get_by_key(TaskKey::to(id))
    }

    /// How many tasks of other threads there are.
    pub(crate) fn remote(&self) -> usize {
        self.remote.len()
    }

    /// Panics where the arena or the table is not as its head says.
    pub(crate) fn check_invariants(&self) {
        self.remote.check_invariants();
        self.entries.check_invariants();
    }
}
