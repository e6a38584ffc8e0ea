//! What tests do with an arena that lies in no cell.

use super::{Arena, Lack, SpareMemory};

impl<T> Arena<T> {
    /// Puts a value in, with whatever is lacking for it.
    #[cfg(test)]
    pub(crate) fn put(&mut self, value: T) -> usize {
        let mut value = value;
        loop {
            match self.insert(value) {
                Ok(place) => return place,
                Err(back) => value = back,
            }
            self.widen();
        }
    }

    /// Adds what is lacking, as [`super::widen`] does.
    pub(crate) fn widen(&mut self) {
        let lack = self.lack().expect("something is lacking");
        let left = self.add(SpareMemory::make(lack));
        assert!(!matches!(left, Some(SpareMemory::Page(_))), "no page was lacking");
    }

    /// Frees what is not needed, as [`super::tidy`] does.
    pub(crate) fn tidy(&mut self) {
        self.spare = None;
        if let Some(lack) = self.excess() {
            assert_ne!(lack, Lack::Page);
            self.add(SpareMemory::make(lack));
        }
    }

    /// How many pages there are, and how many there is a directory for.
    pub(crate) fn pages(&self) -> (usize, usize) {
        (self.directory.pages.iter().flatten().count(), self.directory.len())
    }

    /// Panics where something is not as the arena's head says.
    pub(crate) fn check_invariants(&self) {
        let Self { directory, hand, hand_at, last, len, top, .. } = self;
        assert_eq!(self.places(), self.pages().0 * super::BITS, "how many places there are");
        let is_free = |place: usize| {
            let (at, bit) = (place / super::BITS, place % super::BITS);
            let in_hand = at == *hand_at && hand >> bit & 1 == 1;
            in_hand || place == *last || directory.free[0][at] >> bit & 1 == 1
        };
        let mut taken = 0;
        for (at, page) in directory.pages.iter().enumerate() {
            let Some(page) = page else {
                assert_eq!(directory.free[0][at], u64::MAX, "page {at} is not there");
                continue;
            };
            assert!(at < *top, "page {at} is beyond {top}");
            for (bit, value) in page.iter().enumerate() {
                let place = at * super::BITS + bit;
                assert_eq!(value.is_none(), is_free(place), "place {place}");
                taken += usize::from(value.is_some());
            }
            let kept = at < super::KEPT || at == *hand_at || directory.free[0][at] != u64::MAX;
            assert!(kept, "page {at} is empty");
        }
        assert_eq!(taken, *len, "how many there are");
        for (below, level) in directory.free.iter().zip(directory.free.iter().skip(1)) {
            for (at, word) in below.iter().enumerate() {
                let bit = level[at / super::BITS] >> (at % super::BITS) & 1 == 1;
                assert_eq!(bit, *word != 0, "the bit for word {at}");
            }
        }
    }
}
