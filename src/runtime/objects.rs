//! The objects that the tasks of a loop wait for, and who waits.
//!
//! An object belongs to an [`Async`](crate::io::Async), which may be polled on several loops: each of them that it was
//! pending on has an [`Object`] for it, and the `Async` has a [`Post`] for each. Whether an operation may be tried is known
//! to the loop alone, and changed on its thread alone:
//!
//! | registered | ready | the next operation                                                 |
//! |:----------:|:-----:|--------------------------------------------------------------------|
//! |     no     |   –   | is tried: nothing is known of the object                           |
//! |    yes     |  yes  | is tried: an event came since the last one that would have blocked |
//! |    yes     |  no   | waits: an event is sure to come                                    |
//!
//! An event that the kernel has noted, and the loop has not taken yet, is not lost by an operation that clears `ready`:
//! it is taken afterwards, and at worst leads to an operation that would block.
//!
//! Nothing here calls user code: wakers are given out, to be woken and dropped outside of the borrow.

mod source;
mod waiters;

use std::io;
use std::sync::Arc;

use slab::Slab;

pub(crate) use self::source::{Post, Source};
use self::waiters::IoWaiters;
pub(crate) use self::waiters::Waiter;
use super::driver::{Direction, Event, Key};
use crate::scheduler::TimerTarget;

/// How an object is found on a loop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    /// The object's number.
    pub(crate) number: u64,
    /// Where it is if it is there.
    pub(crate) place: usize,
}

impl At {
    #[allow(clippy::cast_possible_truncation)] // the lower half
    pub(crate) fn key(self) -> Key {
        Key { place: self.place, half: self.number as u32 }
    }
}

/// One object.
#[derive(Debug)]
pub(crate) struct Object {
    post: Arc<Post>,
    sides: [Side; 2],
}

/// What is known of it in one direction.
#[derive(Debug, Default)]
struct Side {
    is_registered: bool,
    is_ready: bool,
    /// An operation can be tried at any time: see [`Event::over`].
    is_over: bool,
    waiters: IoWaiters,
    /// Why the driver failed while so many waited, who have not been told yet.
    failure: Option<(Arc<io::Error>, usize)>,
}

impl Object {
    fn note_waiting(&self) {
        self.post.set_waiting(self.sides.iter().map(|side| side.waiters.len()).sum());
    }

    /// Everybody who waits for it.
    fn into_waiters(self) -> impl Iterator<Item = Waiter> {
        self.sides.into_iter().flat_map(|mut side| side.waiters.take())
    }
}

/// All of a loop.
#[derive(Debug, Default)]
pub(crate) struct Objects(Slab<Object>);

impl Objects {
    /// The place of an object, if it is there.
    #[inline]
    pub(crate) fn find(&self, at: At) -> Option<usize> {
        let object = self.0.get(at.place)?;
        (object.post.number() == at.number).then_some(at.place)
    }

    fn side(&self, place: usize, direction: Direction) -> Option<&Side> {
        Some(&self.0.get(place)?.sides[direction as usize])
    }

    fn side_mut(&mut self, place: usize, direction: Direction) -> Option<&mut Side> {
        Some(&mut self.0.get_mut(place)?.sides[direction as usize])
    }

    /// Puts an object in a place of its own.
    pub(crate) fn enter(&mut self, post: impl FnOnce(usize) -> Post) -> Arc<Post> {
        let entry = self.0.vacant_entry();
        let post = Arc::new(post(entry.key()));
        entry.insert(Object { post: post.clone(), sides: Default::default() });
        post
    }

    /// Lets an object go; who waits for it is to be woken.
    #[must_use]
    pub(crate) fn remove(&mut self, post: &Arc<Post>) -> Vec<Waiter> {
        let place = post.place();
        if !self.0.get(place).is_some_and(|object| Arc::ptr_eq(&object.post, post)) {
            return Vec::new();
        }
        let waiters = self.0.remove(place).into_waiters().collect();
        if self.0.is_empty() {
            self.0 = Slab::new();
        }
        waiters
    }

    /// The post of the object in `place`.
    pub(crate) fn post(&self, place: usize) -> Option<Arc<Post>> {
        self.0.get(place).map(|object| object.post.clone())
    }

    /// Whether an operation is to be tried.
    #[inline]
    pub(crate) fn may_try(&self, at: At, direction: Direction) -> bool {
        let side = self.find(at).and_then(|place| self.side(place, direction));
        side.is_none_or(|side| !side.is_registered || side.is_ready || side.is_over)
    }

    /// An operation would have blocked, or has taken all there was.
    #[inline]
    pub(crate) fn set_unready(&mut self, at: At, direction: Direction) {
        let place = self.find(at);
        if let Some(side) = place.and_then(|place| self.side_mut(place, direction)) {
            side.is_ready = false;
        }
    }

    /// Whether it is registered for this direction, and for the other.
    pub(crate) fn is_registered(&self, place: usize, direction: Direction) -> (bool, bool) {
        let [read, write] = Direction::BOTH
            .map(|direction| self.side(place, direction).is_some_and(|side| side.is_registered));
        if direction == Direction::Read { (read, write) } else { (write, read) }
    }

    pub(crate) fn set_registered(&mut self, place: usize, direction: Direction, is_so: bool) {
        if let Some(side) = self.side_mut(place, direction) {
            side.is_registered = is_so;
        }
    }

    /// Whether this waiter is there already; what it waits for is to be compared by `is`.
    pub(crate) fn is_waiting(
        &self,
        place: usize,
        direction: Direction,
        ticket: u64,
        is: impl Fn(&TimerTarget) -> bool,
    ) -> bool {
        self.side(place, direction).is_some_and(|side| side.waiters.has(ticket, is))
    }

    /// Somebody waits; whom that replaces is to be dropped, and the others that are given out are to be woken.
    #[must_use]
    pub(crate) fn wait(
        &mut self,
        place: usize,
        direction: Direction,
        waiter: Waiter,
        lives: impl Fn(&TimerTarget) -> bool,
    ) -> Option<Waiter> {
        let object = self.0.get_mut(place)?;
        let given_out = object.sides[direction as usize].waiters.put(waiter, lives);
        object.note_waiting();
        given_out
    }

    /// Somebody waits no more.
    #[must_use]
    pub(crate) fn forget(&mut self, at: At, direction: Direction, ticket: u64) -> Option<Waiter> {
        let object = self.0.get_mut(self.find(at)?)?;
        let waiter = object.sides[direction as usize].waiters.remove(ticket);
        object.note_waiting();
        waiter
    }

    /// An event has come: who waits for it is to be woken. `None`: it is none of an object that is there.
    pub(crate) fn take_event(
        &mut self,
        event: Event,
        is_one_shot: bool,
    ) -> Option<[Vec<Waiter>; 2]> {
        let Event { key, ready, over } = event;
        let object = self.0.get_mut(key.place)?;
        let at = At { number: object.post.number(), place: key.place };
        if at.key() != key {
            return None;
        }
        let mut all = [Vec::new(), Vec::new()];
        for at in [0, 1] {
            let side = &mut object.sides[at];
            side.is_over |= over[at];
            if ready[at] {
                side.is_ready = true;
                side.is_registered &= !is_one_shot;
                all[at] = side.waiters.take();
            }
        }
        object.note_waiting();
        Some(all)
    }

    /// Takes a list of waiters back that has become empty, for its memory.
    pub(crate) fn keep(&mut self, place: usize, direction: Direction, list: Vec<Waiter>) {
        if let Some(side) = self.side_mut(place, direction) {
            side.waiters.keep(list);
        }
    }

    /// The driver has failed: who waits gets the error, and is to be woken.
    #[must_use]
    pub(crate) fn fail(&mut self, error: &Arc<io::Error>, is_one_shot: bool) -> Vec<Waiter> {
        let mut all = Vec::new();
        for (_, object) in &mut self.0 {
            for side in &mut object.sides {
                let waiters = side.waiters.take();
                side.failure = (!waiters.is_empty()).then(|| (error.clone(), waiters.len()));
                side.is_registered &= !is_one_shot;
                all.extend(waiters);
            }
            object.note_waiting();
        }
        all
    }

    /// An error of the driver's that somebody who waited is owed.
    #[inline]
    pub(crate) fn take_failure(&mut self, at: At, direction: Direction) -> Option<Arc<io::Error>> {
        let failure = &mut self.side_mut(self.find(at)?, direction)?.failure;
        let (error, left) = failure.take()?;
        if left > 1 {
            *failure = Some((error.clone(), left - 1));
        }
        Some(error)
    }

    /// Lets all objects go; the waiters are to be dropped.
    #[must_use]
    pub(crate) fn clear(&mut self) -> Vec<Waiter> {
        std::mem::take(&mut self.0)
            .into_iter()
            .flat_map(|(_, object)| object.into_waiters())
            .collect()
    }
}
