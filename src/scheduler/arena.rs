//! Where timers and tasks lie: places in pages of 64, of which the lowest free ones are taken first.
//!
//! A list of free places, last freed first taken, would be in no order once timers have fired: those
//! armed next, which are neighbours in their lists, would lie all over memory, and arming and
//! cancelling would wait for it. Here they lie together again. The free places are a tree of bitmaps,
//! 64 to a word, so that a million of them takes four words to search. One word of the lowest level is
//! taken out of the tree at a time, and handed out place by place. The place that was freed last is
//! kept out of both and taken before all others, because a timer that is armed and cancelled, over and
//! over, then touches nothing else.
//!
//! An arena lies in a `RefCell`, and a global allocator is user code that may come back to the same
//! loop. So an arena neither allocates nor frees. Where it lacks a page, or bitmaps for more of them, it
//! says so, and [`widen`] hands in what was made outside of the borrow. A page whose last value was
//! removed is put aside, and [`tidy`] frees it outside. Memory follows what lives in this way, a page at a
//! time. It may be 64 times as much: where each page has one value left. The bitmaps and the table of
//! pages, 16 bytes for 64 places, are made anew when they are four times as large as needed.

mod directory;

use alloc::boxed::Box;
use core::cell::RefCell;
use core::mem;
use core::ops::{Index, IndexMut};

use self::directory::Directory;

/// How many places a word tells of, and a page has.
pub(super) const BITS: usize = u64::BITS as usize;

/// No place: an arena does not get so large.
const NOWHERE: usize = usize::MAX;

/// An arena has at most so many pages: a `u32` has a number for each place, and 64 more that are none.
pub(super) const MOST: usize = (u32::MAX as usize) / BITS;

/// A directory of at most so many pages is kept.
const FEW: usize = 16;

/// So many pages, the first ones, are kept when they are empty and there is no other: else a small batch of
/// values that comes and goes would have pages made and freed each time.
const KEPT: usize = 2;

type Page<T> = [Option<T>; BITS];

/// Places for values, each found by its number.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    directory: Directory<T>,
    /// The word that is handed out, which is zero in the tree. Its page is there.
    hand: u64,
    /// Which one that is.
    hand_at: usize,
    /// The free place that is in neither, whose page is there; else [`NOWHERE`].
    last: usize,
    len: usize,
    /// How many pages there are.
    pages: usize,
    /// No page is there from this one on.
    top: usize,
    /// What is to be freed.
    spare: Option<SpareMemory<T>>,
}

/// What an arena lacks, or would do with instead of what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lack {
    Page,
    /// A directory of so many pages.
    Directory(usize),
}

/// Memory for an arena, or of one: whoever holds it frees it, outside of every borrow.
#[derive(Debug)]
#[repr(u8)] // so that one comparison tells whether there is any
pub(crate) enum SpareMemory<T> {
    Page(Box<Page<T>>),
    Directory(Directory<T>),
}

/// Gives an arena what it lacks. To be called when an insertion has failed, outside of every borrow.
#[cold]
pub(crate) fn widen<S, T>(cell: &RefCell<S>, arena: impl Fn(&mut S) -> &mut Arena<T>) {
    let lack = arena(&mut cell.borrow_mut()).lack();
    give(cell, arena, lack);
}

/// Frees what an arena does not need any more. To be called where it [is untidy](Arena::is_untidy), outside
/// of every borrow.
#[cold]
pub(crate) fn tidy<S, T>(cell: &RefCell<S>, arena: impl Fn(&mut S) -> &mut Arena<T>) {
    let spare = arena(&mut cell.borrow_mut()).spare.take();
    drop(spare);
    let excess = arena(&mut cell.borrow_mut()).excess();
    give(cell, arena, excess);
}

fn give<S, T>(cell: &RefCell<S>, arena: impl Fn(&mut S) -> &mut Arena<T>, lack: Option<Lack>) {
    if let Some(lack) = lack {
        let room = SpareMemory::make(lack);
        let left = arena(&mut cell.borrow_mut()).add(room);
        drop(left);
    }
}

/// How many pages a directory has after the one of so many.
pub(super) fn more_than(pages: usize) -> usize {
    // PANICS: it takes 2^32 - 64 values, which are 64 GiB at least.
    assert!(pages < MOST, "too many tasks or timers");
    (pages * 2).clamp(1, MOST)
}

impl<T> SpareMemory<T> {
    fn make(lack: Lack) -> Self {
        match lack {
            Lack::Page => Self::Page(Box::new([const { None }; BITS])),
            Lack::Directory(pages) => Self::Directory(Directory::new(pages)),
        }
    }
}

impl<T> Arena<T> {
    pub(crate) const fn new() -> Self {
        Self {
            directory: Directory::empty(),
            hand: 0,
            hand_at: 0,
            last: NOWHERE,
            len: 0,
            pages: 0,
            top: 0,
            spare: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// So many values it holds before it lacks anything.
    pub(crate) fn places(&self) -> usize {
        self.pages * BITS
    }

    /// Puts a value into the place that was freed last, or else into one of the lowest that are free, and
    /// says which. The value comes back where [something is lacking](widen).
    #[inline]
    pub(crate) fn insert(&mut self, value: T) -> Result<usize, T> {
        self.insert_at(value).map(|(place, _)| place)
    }

    /// The same; also the value where it is.
    #[inline]
    pub(crate) fn insert_at(&mut self, value: T) -> Result<(usize, &mut T), T> {
        let (at, bit) = if self.last != NOWHERE {
            let last = mem::replace(&mut self.last, NOWHERE);
            (last / BITS, last % BITS)
        } else {
            if self.hand == 0 && !self.take_in_hand() {
                return Err(value);
            }
            let bit = self.hand.trailing_zeros() as usize;
            self.hand &= self.hand - 1;
            (self.hand_at, bit)
        };
        // The page is always there.
        let Some(page) = &mut self.directory.pages[at] else { return Err(value) };
        self.len += 1;
        Ok((at * BITS + bit, page[bit % BITS].insert(value)))
    }

    /// Takes the lowest word that is not zero out of the tree. `false`: something is lacking.
    #[inline(never)]
    fn take_in_hand(&mut self) -> bool {
        let lowest = self.directory.lowest().filter(|at| self.directory.pages[*at].is_some());
        if let Some(at) = lowest {
            (self.hand_at, self.hand) = (at, self.directory.take(at));
        }
        lowest.is_some()
    }

    /// What is lacking for the next insertion.
    fn lack(&self) -> Option<Lack> {
        if self.last != NOWHERE || self.hand != 0 {
            return None;
        }
        let Some(at) = self.directory.lowest() else {
            return Some(Lack::Directory(more_than(self.directory.len())));
        };
        self.directory.pages[at].is_none().then_some(Lack::Page)
    }

    /// A smaller directory, if this one is much too large.
    fn excess(&self) -> Option<Lack> {
        let much = self.directory.len() > FEW && self.top * 4 <= self.directory.len();
        much.then(|| Lack::Directory((self.top * 2).max(FEW)))
    }

    /// Takes what was lacking; gives back what is not needed.
    fn add(&mut self, room: SpareMemory<T>) -> Option<SpareMemory<T>> {
        match room {
            SpareMemory::Page(_) if self.lack() != Some(Lack::Page) => Some(room),
            SpareMemory::Page(page) => {
                let at = self.directory.lowest()?;
                self.directory.pages[at] = Some(page);
                self.pages += 1;
                self.top = self.top.max(at + 1);
                None
            }
            SpareMemory::Directory(new)
                if new.len() < self.top || new.len() == self.directory.len() =>
            {
                Some(SpareMemory::Directory(new))
            }
            SpareMemory::Directory(new) => Some(SpareMemory::Directory(self.exchange(new))),
        }
    }

    /// Puts all pages into another directory, which has room for them.
    fn exchange(&mut self, new: Directory<T>) -> Directory<T> {
        let mut old = mem::replace(&mut self.directory, new);
        for at in 0..self.top {
            self.directory.pages[at] = old.pages[at].take();
            self.directory.take(at);
            let free = old.free[0][at];
            if free != 0 {
                self.directory.set(at, free);
            }
        }
        old
    }

    /// Takes the value out of its place.
    #[inline]
    pub(crate) fn remove(&mut self, place: usize) -> Option<T> {
        self.remove_if(place, |_| true)
    }

    /// Takes the value out of its place, if that is it.
    #[inline(always)]
    pub(crate) fn remove_if(&mut self, place: usize, is_it: impl FnOnce(&T) -> bool) -> Option<T> {
        let taken = &mut self.directory.pages.get_mut(place / BITS)?.as_mut()?[place % BITS];
        if !is_it(taken.as_ref()?) {
            return None;
        }
        let value = taken.take()?;
        self.len -= 1;
        // Without one before, all that went since then came back, and the first place of all is the last.
        let before = mem::replace(&mut self.last, place);
        if before != NOWHERE {
            self.note_free(before);
        }
        Some(value)
    }

    #[inline]
    fn note_free(&mut self, place: usize) {
        if self.len == 0 || place / BITS != self.hand_at {
            return self.note_free_beside(place);
        }
        self.note_free_in_hand(place);
    }

    #[inline]
    fn note_free_in_hand(&mut self, place: usize) {
        self.hand |= 1 << (place % BITS);
        if self.hand == u64::MAX {
            self.let_go_of_hand();
        }
    }

    #[inline(never)]
    fn note_free_beside(&mut self, place: usize) {
        let (at, bit) = (place / BITS, 1 << (place % BITS));
        if self.len == 0 && self.last >= KEPT * BITS {
            self.vacate();
        } else if at == self.hand_at {
            self.note_free_in_hand(place);
        } else if self.directory.set(at, bit) == u64::MAX {
            self.note_empty(at);
        }
    }

    /// All of the page in hand is free. It is kept, unless there is room much lower: else a value that comes
    /// and goes would have a page made and freed each time.
    #[cold]
    fn let_go_of_hand(&mut self) {
        let lowest = self.directory.lowest();
        if lowest.is_some_and(|lowest| lowest < self.hand_at / 2) {
            self.directory.set(self.hand_at, mem::take(&mut self.hand));
            self.give_up(self.hand_at);
        }
    }

    /// All of a page is free that is not in hand. Of two such pages the lower one is in hand.
    #[cold]
    fn note_empty(&mut self, at: usize) {
        if self.hand == u64::MAX && at < self.hand_at {
            let higher = mem::replace(&mut self.hand_at, at);
            self.directory.take(at);
            self.directory.set(higher, u64::MAX);
            self.give_up(higher);
        } else {
            self.give_up(at);
        }
    }

    /// Puts a page aside whose places are all free, unless it is kept.
    fn give_up(&mut self, at: usize) {
        if at == 0 || at < KEPT && self.pages <= KEPT {
            return;
        }
        let page = self.directory.pages[at].take();
        self.pages -= usize::from(page.is_some());
        self.spare = page.map(SpareMemory::Page);
        while self.top > 0 && self.directory.pages[self.top - 1].is_none() {
            self.top -= 1;
        }
    }

    /// The last value of all has gone, from a high place: begins anew.
    #[cold]
    fn vacate(&mut self) {
        let old = mem::replace(self, Self::new());
        self.spare = Some(SpareMemory::Directory(old.directory));
    }

    /// Whether something is to be [freed](tidy).
    #[inline]
    pub(crate) fn is_untidy(&self) -> bool {
        self.spare.is_some()
    }

    #[inline]
    pub(crate) fn get(&self, place: usize) -> Option<&T> {
        self.directory.pages.get(place / BITS)?.as_ref()?[place % BITS].as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        self.directory.pages.get_mut(place / BITS)?.as_mut()?[place % BITS].as_mut()
    }

    /// All values with their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        let pages = self.directory.pages.iter().enumerate();
        let there = pages.filter_map(|(at, page)| Some((at, page.as_deref()?)));
        there.flat_map(|(at, page)| {
            let places = page.iter().enumerate();
            places.filter_map(move |(bit, value)| Some((at * BITS + bit, value.as_ref()?)))
        })
    }
}

impl<T> Index<usize> for Arena<T> {
    type Output = T;

    // PANICS: as a vector does; the wheel's lists hold places that are taken.
    #[inline]
    fn index(&self, place: usize) -> &T {
        self.get(place).expect("the place is taken")
    }
}

impl<T> IndexMut<usize> for Arena<T> {
    // PANICS: as `index`.
    #[inline]
    fn index_mut(&mut self, place: usize) -> &mut T {
        self.get_mut(place).expect("the place is taken")
    }
}

#[cfg(any(test, fuzzing))]
mod invariants;
#[cfg(all(test, not(loom)))]
mod tests;
