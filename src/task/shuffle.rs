//! An order drawn from a seed: the same seed gives the same orders, on every machine.
//!
//! Sources. The generator is SplitMix64: Guy L. Steele Jr., Doug Lea and Christine H. Flood, "Fast
//! Splittable Pseudorandom Number Generators", 2014. The permutation: Richard Durstenfeld, "Algorithm
//! 235: Random permutation", 1964, which is the method of Fisher and Yates in place.

/// Draws permutations, one after the other.
#[derive(Debug)]
pub(crate) struct Shuffle {
    state: u64,
}

impl Shuffle {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Brings `items` into an order in which each of them is as likely at each place. What has only
    /// one order takes nothing from the sequence.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.up_to(last));
        }
    }

    /// A number from 0 to `most`: the upper half of a product, which favours some numbers over others
    /// by less than one in 2^64 / `most`.
    #[allow(clippy::cast_possible_truncation)] // the product's upper half is at most `most`
    fn up_to(&mut self, most: usize) -> usize {
        ((u128::from(self.next()) * (most as u128 + 1)) >> 64) as usize
    }

    /// The next 64 bits.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;

    /// The numbers that the authors' own program gives for this seed.
    #[test]
    fn the_generator_is_splitmix64() {
        let mut shuffle = Shuffle::new(1_234_567);
        let known = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(known.map(|_| shuffle.next()), known);
    }

    #[test]
    fn every_order_is_about_as_likely() {
        let mut shuffle = Shuffle::new(1);
        let mut seen = BTreeMap::new();
        for _ in 0..24_000 {
            let mut items = [0, 1, 2, 3];
            shuffle.shuffle(&mut items);
            *seen.entry(items).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 24, "{seen:?}");
        // The standard deviation is 31.
        assert!(seen.values().all(|count| (850..1_150).contains(count)), "{seen:?}");
    }

    #[test]
    fn what_has_one_order_draws_nothing() {
        let mut shuffle = Shuffle::new(7);
        shuffle.shuffle::<u8>(&mut []);
        shuffle.shuffle(&mut [1]);
        assert_eq!(shuffle.state, 7);
    }
}
