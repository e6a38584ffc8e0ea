//! The entries that no list can keep in order: a tree by (deadline, arming).
//!
//! A treap (Cecilia Aragon and Raimund Seidel, "Randomized Search Trees", 1989): a search tree that is a
//! heap by rank, and an entry's rank looks like chance. So it is as deep as a tree grown in random order,
//! a few times the logarithm of its size, whatever the order of the deadlines. The branches are the two
//! links that an entry has for its list, so that a timer out of order takes no more memory than any other timer.

use super::level::NONE;
use super::{TimerEntry, Wheel};
use crate::scheduler::mix::mix;

/// Where the tree says which entry is next.
#[derive(Debug, Clone, Copy)]
enum Branch {
    Root,
    /// To what is due before this entry.
    Before(u32),
    /// To what is due after it.
    After(u32),
}

impl<T> TimerEntry<T> {
    fn rank(&self) -> u64 {
        mix(self.arming)
    }
}

impl<T, const S: usize> Wheel<T, S> {
    /// The first of these in order of firing.
    #[inline]
    pub(super) fn first_stray(&self) -> Option<u32> {
        if self.out_of_order == NONE { None } else { Some(self.first_below(self.out_of_order)) }
    }

    #[inline(never)]
    fn first_below(&self, root: u32) -> u32 {
        let (mut first, mut next) = (root, root);
        while next != NONE {
            first = next;
            next = self.entries[next as usize].prev;
        }
        first
    }

    /// Puts an entry into the tree: where it is the first of its path that ranks above the next.
    pub(super) fn insert_stray(&mut self, id: u32) {
        let (due, rank) = (self.entries[id as usize].due(), self.entries[id as usize].rank());
        let (mut branch, mut next) = (Branch::Root, self.out_of_order);
        while next != NONE && self.entries[next as usize].rank() >= rank {
            (branch, next) = self.step_down(next, due);
        }
        self.set_branch(branch, id);
        // What was there is divided between the two branches.
        let (mut before, mut after) = (Branch::Before(id), Branch::After(id));
        while next != NONE {
            let (down, below) = self.step_down(next, due);
            match down {
                Branch::After(_) => {
                    self.set_branch(before, next);
                    before = down;
                }
                _ => {
                    self.set_branch(after, next);
                    after = down;
                }
            }
            next = below;
        }
        self.set_branch(before, NONE);
        self.set_branch(after, NONE);
    }

    /// Takes an entry out of the tree, and makes one of its two branches.
    pub(super) fn remove_stray(&mut self, id: u32, due: (u64, u64), links: (u32, u32)) {
        let (mut left, mut right) = links;
        let (mut branch, mut next) = (Branch::Root, self.out_of_order);
        while next != id {
            debug_assert_ne!(next, NONE, "no timer at {due:?}");
            (branch, next) = self.step_down(next, due);
        }
        while left != NONE && right != NONE {
            let (a, b) = (&self.entries[left as usize], &self.entries[right as usize]);
            if a.rank() >= b.rank() {
                let below = a.next;
                self.set_branch(branch, left);
                (branch, left) = (Branch::After(left), below);
            } else {
                let below = b.prev;
                self.set_branch(branch, right);
                (branch, right) = (Branch::Before(right), below);
            }
        }
        self.set_branch(branch, if left == NONE { right } else { left });
    }

    /// The branch of entry `at` on the way to `due`, and what it says.
    fn step_down(&self, at: u32, due: (u64, u64)) -> (Branch, u32) {
        let entry = &self.entries[at as usize];
        if due < entry.due() {
            (Branch::Before(at), entry.prev)
        } else {
            (Branch::After(at), entry.next)
        }
    }

    fn set_branch(&mut self, branch: Branch, id: u32) {
        match branch {
            Branch::Root => self.out_of_order = id,
            Branch::Before(at) => self.entries[at as usize].prev = id,
            Branch::After(at) => self.entries[at as usize].next = id,
        }
    }
}
