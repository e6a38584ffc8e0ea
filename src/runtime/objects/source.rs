//! An `Async`, as it is known to the loops that it was polled on.
//!
//! # Moving
//!
//! A loop that registers an object takes it away from all others on which nobody waits for it, else an object that has
//! moved would wake its old loop for ever. That nobody waits is a guess, read from a counter of that loop: so it is told,
//! too, and then wakes whoever waits after all, who registers the object again. The counter is then not zero, so two loops
//! that both wait for one object do not take it from each other.
//!
//! The list of a loop is changed for others under the lock of the posts: a loop that enters an object anew comes after
//! that. What a loop is told comes later, and names the post, which is not that of a later entry.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::At;
use crate::runtime::control::tell;
use crate::runtime::shared::Shared;
use crate::sync::fixed::Serial;
use crate::sync::{AtomicUsize, Ordering};

/// The numbers of objects, unique in the process.
static NUMBERS: Serial = Serial::new(1);

/// An object of some loop, as its `Async` knows it.
#[derive(Debug)]
pub(crate) struct Post {
    /// The number of the object.
    number: u64,
    home: Weak<Shared>,
    /// What the loop's own driver has listed it in; dangling by a driver of the user's.
    list: Weak<OwnedFd>,
    /// The descriptor that is listed.
    descriptor: RawFd,
    place: usize,
    /// How many wait for it; written by the loop alone. A hint.
    waiting: AtomicUsize,
}

impl Post {
    /// What is being entered at `place`: as if somebody waited already.
    pub(crate) fn new(at: At, home: &Arc<Shared>, list: Weak<OwnedFd>, object: RawFd) -> Self {
        let (home, waiting) = (Arc::downgrade(home), AtomicUsize::new(1));
        Self { number: at.number, home, list, descriptor: object, place: at.place, waiting }
    }

    /// Where its loop has it.
    pub(crate) fn place(&self) -> usize {
        self.place
    }

    /// The object's number.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// So many wait for it. On the loop's thread.
    pub(crate) fn set_waiting(&self, waiting: usize) {
        // ORDERING: Relaxed: a hint, see the head of the module.
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    /// Whether it may be taken away: nobody waits, or the loop is gone.
    fn is_idle(&self) -> bool {
        // ORDERING: Relaxed: a hint, see the head of the module.
        self.waiting.load(Ordering::Relaxed) == 0 || self.home.strong_count() == 0
    }

    fn is_of(&self, home: &Arc<Shared>) -> bool {
        std::ptr::eq(self.home.as_ptr(), Arc::as_ptr(home))
    }

    /// Takes the object out of the list of its loop, from any thread.
    fn unlist(&self, object: BorrowedFd<'_>) {
        // Another number would be another object, of which nothing is known here.
        if object.as_raw_fd() == self.descriptor {
            if let Some(list) = self.list.upgrade() {
                unlist(&list, object);
            }
        }
    }

    /// Tells the loop, if there still is one, that it has been taken away.
    fn dismiss(self: Arc<Self>) {
        if let Some(home) = self.home.upgrade() {
            tell(&home.run_queues, move |local| local.drop_object(&self));
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::runtime::driver::epoll::unlist;
/// Only `epoll` has lists.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn unlist(_list: &OwnedFd, _object: BorrowedFd<'_>) {}

/// What an `Async` knows of itself.
#[derive(Debug)]
pub(crate) struct Source {
    number: u64,
    /// Where the loop that was here last has it. Checked by the number: of several loops one is right.
    hint: AtomicUsize,
    posts: Mutex<Vec<Arc<Post>>>,
}

impl Source {
    pub(crate) fn new() -> Self {
        Self { number: NUMBERS.draw(1), hint: AtomicUsize::new(0), posts: Mutex::default() }
    }

    /// How to find it on a loop.
    pub(crate) fn at(&self) -> At {
        // ORDERING: Relaxed: a hint, which is checked.
        At { number: self.number, place: self.hint.load(Ordering::Relaxed) }
    }

    /// Where the loop has it, which may have to be looked up, or where `enter` puts it.
    pub(crate) fn enter(
        &self,
        home: &Arc<Shared>,
        object: BorrowedFd<'_>,
        enter: impl FnOnce() -> Arc<Post>,
    ) -> usize {
        let mut posts = self.posts.lock();
        let known = posts.iter().find(|post| post.is_of(home)).map(|post| post.place);
        let (place, gone) = if let Some(place) = known {
            (place, Vec::new())
        } else {
            let (gone, kept): (Vec<_>, Vec<_>) = posts.drain(..).partition(|post| post.is_idle());
            gone.iter().for_each(|post| post.unlist(object));
            let post = enter();
            let place = post.place;
            *posts = kept;
            posts.push(post);
            (place, gone)
        };
        // ORDERING: Relaxed: a hint, which is checked.
        self.hint.store(place, Ordering::Relaxed);
        drop(posts);
        gone.into_iter().for_each(Post::dismiss);
        place
    }

    /// The loop has dropped the object that this is the post of.
    pub(crate) fn left(&self, post: &Arc<Post>) {
        self.posts.lock().retain(|other| !Arc::ptr_eq(other, post));
    }

    /// Takes the object away from all loops.
    pub(crate) fn leave<'a>(&mut self, object: impl FnOnce() -> BorrowedFd<'a>) {
        let posts = std::mem::take(self.posts.get_mut());
        if !posts.is_empty() {
            let object = object();
            posts.iter().for_each(|post| post.unlist(object));
            posts.into_iter().for_each(Post::dismiss);
        }
    }
}
