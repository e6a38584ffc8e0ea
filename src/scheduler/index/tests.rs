//! What a search costs, whatever the serials, and the index against a map.

use alloc::collections::BTreeMap;

use super::*;
use crate::testing::cases;

/// A table of so few slots is given up often.
const FEW: usize = 64;

/// An index of these serials; the key of each is its place.
fn index_of<const K: usize>(serials: &[u64]) -> Index<K> {
    let mut index = Index::default();
    for (key, serial) in (0..).zip(serials) {
        index.tidy();
        index.insert(*serial, key);
    }
    while !index.old.is_empty() {
        index.move_some();
    }
    index
}

/// The most slots in a row that are taken.
fn longest_run(index: &Index<FEW>) -> usize {
    let runs = index.slots.split(|slot| *slot == EMPTY);
    runs.map(<[u64]>::len).max().unwrap_or(0)
}

/// Serials that come in a run, or at any distance from each other: a search stays short.
#[test]
fn serials_at_any_distance_from_each_other_are_spread() {
    for stride in 1..=10_000 {
        let start = stride * 1_000_003;
        let serials: Vec<u64> = (0..100).map(|n| start + n * stride).collect();
        let longest = longest_run(&index_of(&serials));
        assert!(longest < 40, "a cluster of {longest}, serials {stride} apart");
    }
    for stride in [1, 2, 64, 256, 908, 4_181, 6_765, 7_037, 10_000, 1 << 16, 1 << 32, 1 << 44] {
        let serials: Vec<u64> = (0..100_000).map(|n| 1_000 + n * stride).collect();
        let longest = longest_run(&index_of(&serials));
        assert!(longest < 200, "a cluster of {longest}, serials {stride} apart");
    }
}

#[test]
fn the_table_is_half_full_at_most_and_no_larger_than_that_while_it_grows() {
    let mut index = Index::<FEW>::default();
    for serial in 0..1000_u32 {
        index.tidy();
        index.insert(serial.into(), serial);
        let room = 2 * (serial as usize + 1);
        assert_eq!(index.slots.len(), room.next_power_of_two().max(8), "after {serial}");
        index.check_invariants();
    }
}

/// M6: at each length, on the way down.
#[test]
fn the_table_follows_what_it_holds_and_a_small_one_is_kept() {
    remove_all_of::<FEW>();
    remove_all_of::<KEPT>();
}

fn remove_all_of<const K: usize>() {
    for (most, kept) in [(1, 8), (K / 2, K), (K / 2 + 1, K), (100_000, K)] {
        let serials: Vec<u64> = (0..most as u64).collect();
        let mut index = index_of::<K>(&serials);
        for (key, serial) in (0..).zip(&serials) {
            index.remove(*serial, key);
            index.tidy();
            let room = index.slots.len() + index.old.len();
            assert!(room <= K.max(24 * index.len) + 2 * K, "{room} for {}", index.len);
        }
        index.check_invariants();
        assert_eq!((index.len(), index.slots.len(), index.old.len()), (0, kept, 0), "after {most}");
        assert_eq!(index.find(0, u64::from), None);
    }
}

/// M9: no insertion and no removal moves more than a few entries.
#[test]
fn no_operation_moves_more_than_a_few_entries() {
    let serials: Vec<u64> = (0..50_000).collect();
    let mut index = Index::<FEW>::default();
    let behind = |index: &Index<FEW>| index.old.iter().filter(|slot| **slot > GONE).count();
    for (key, serial) in (0..).zip(&serials) {
        index.tidy();
        let before = (key % 512 == 0).then(|| behind(&index));
        index.insert(*serial, key);
        assert!(before.is_none_or(|before| before - behind(&index) <= MOVES), "at {serial}");
    }
}

/// Serials where 32 bits end, and where 64 do.
#[test]
fn serials_of_any_size_are_found() {
    let near = |end: u64| end.wrapping_sub(20)..=end.saturating_add(20);
    let serials: Vec<u64> = near(1 << 32).chain(near(1 << 63)).chain(near(u64::MAX)).collect();
    let mut index = index_of::<FEW>(&serials);
    for (key, serial) in (0..).zip(&serials) {
        let found = index.find(*serial, |key| serials[key as usize]);
        assert_eq!(found, Some(key), "{serial:#x}");
        index.remove(*serial, key);
        index.tidy();
    }
    assert_eq!(index.len(), 0);
}

/// A table that was made while another one came in its place is not needed any more.
#[test]
fn a_table_that_is_not_wanted_is_given_back() {
    let mut index = <Index>::default();
    assert_eq!(index.wanted(), Some(8));
    assert_eq!(index.add(<Index>::make(16)).len(), 16);
    assert_eq!(index.add(<Index>::make(8)).len(), 0);
    assert_eq!((index.wanted(), index.add(<Index>::make(8)).len()), (None, 8));
}

/// The slow twin is a map. Half of the rounds many are there at once, so that tables come and go.
#[test]
fn the_index_equals_a_map_through_inserts_and_removes() {
    insert_and_remove::<FEW>(99);
    insert_and_remove::<KEPT>(16);
}

fn insert_and_remove<const K: usize>(seeds: u64) {
    for seed in 1..=cases(seeds) {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let (mut index, mut twin, mut serials) =
            (Index::<K>::default(), BTreeMap::new(), Vec::new());
        let (range, rounds) = if seed % 4 < 2 { (24, 200) } else { (2_000, 3_000) };
        for round in 0..rounds {
            let serial = (next() % range) * if seed % 2 == 0 { 64 } else { 1 };
            let grows = if round / 700 % 2 == 0 { 9 } else { 1 };
            if next() % 10 < grows && !twin.contains_key(&serial) {
                let key = u32::try_from(serials.len()).unwrap();
                serials.push(serial);
                index.tidy();
                index.insert(serial, key);
                twin.insert(serial, key);
            } else {
                let key = twin.remove(&serial).unwrap_or(0);
                index.remove(serial, key);
                index.tidy();
            }
            if range == 24 || round % 37 == 0 {
                index.check_invariants();
            }
            for serial in (0..24).map(|n| n * range / 24).flat_map(|n| [n, n * 64]) {
                let found = index.find(serial, |key| serials[key as usize]);
                assert_eq!(found, twin.get(&serial).copied(), "seed {seed}, serial {serial}");
            }
        }
    }
}
