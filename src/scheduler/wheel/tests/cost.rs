//! What the wheel costs in memory, and in units of budget.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry as At;
use alloc::vec::Vec;
use core::mem::size_of;
use core::task::Waker;

use super::{DAY, FEW, Pair, SECOND, Wheel, YEAR, any_wheel_of, file, fire_all, wheel_of};
use crate::scheduler::wheel::level::{LEVELS, Level, NONE};
use crate::scheduler::wheel::{self, SHORT, TimerEntry, WheelStep};

// A third of an entry is its waker, which is two pointers.
const _: () = assert!(usize::BITS < 64 || size_of::<Option<TimerEntry<Waker>>>() == 48);
const _: () = assert!(size_of::<[Level; LEVELS]>() <= 22 * 1024);

// M9
#[test]
fn a_step_does_no_more_than_its_budget_and_says_if_more_is_due() {
    let deadlines: Vec<u64> = (0..5_000).map(|i| SECOND + i * 7_919 % 5_000).collect();
    let mut wheel = wheel_of(deadlines);
    assert_eq!(wheel.step(SECOND - 1, &mut 0), WheelStep::Idle);
    assert_eq!(wheel.step(SECOND, &mut 0), WheelStep::More);
    let (mut units, mut fired) = (0, 0);
    while !wheel.is_empty() {
        let mut budget = 7;
        let step = wheel.step(SECOND + 6_000, &mut budget);
        assert_ne!(step, WheelStep::Idle, "after {fired}");
        assert!(step != WheelStep::More || budget == 0, "stopped with {budget} left");
        fired += u64::from(step != WheelStep::More);
        units += 7 - budget;
        if units % 61 == 0 {
            wheel.check_invariants();
        }
    }
    assert_eq!(fired, 5_000);
    // From level 9 or so, and a list is refiled over two or three levels at a time.
    assert!(units < 5_000 * 6, "{units} units for 5000 timers");
}

// M9
#[test]
fn a_step_refiles_no_more_entries_than_its_budget() {
    let mut wheel = wheel_of((0..5_000).map(|i| SECOND + i * 7_919 % 5_000));
    let place = wheel.entries[0].place;
    let left = |wheel: &Wheel<u64>| wheel.entries.iter().filter(|e| e.1.place == place).count();
    let before = left(&wheel);
    for calls in 1..=10 {
        let mut budget = 13;
        assert_eq!(wheel.step(SECOND, &mut budget), WheelStep::More);
        assert_eq!((budget, before - left(&wheel)), (0, calls * 13), "call {calls}");
        wheel.check_invariants();
    }
}

/// What a look for the next deadline may cost: a few units more than a turn's, as short lists are
/// sorted whole.
const LOOK: usize = 16;

/// Cancels all timers in this order, and looks for the next deadline after each with a small budget, until it
/// is found. The most looks that it took, and the units of all.
fn cancel_all<const S: usize>(
    deadlines: &[u64],
    order: impl Iterator<Item = usize>,
) -> (usize, usize) {
    let mut wheel = wheel::Wheel::<_, S>::new(0);
    let keys: Vec<_> = deadlines.iter().map(|&deadline| wheel.put(deadline, deadline)).collect();
    let mut left: BTreeMap<u64, usize> = BTreeMap::new();
    deadlines.iter().for_each(|&deadline| *left.entry(deadline).or_default() += 1);
    let (mut most, mut units) = (0, 0);
    for (nth, at) in order.enumerate() {
        assert_eq!(wheel.cancel(keys[at]), Some(deadlines[at]));
        wheel.arena().tidy();
        if let At::Occupied(mut count) = left.entry(deadlines[at]) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        let mut looks = 1;
        loop {
            let mut budget = LOOK;
            let next = wheel.next_deadline(&mut budget);
            units += LOOK - budget;
            let Err(bound) = next else {
                assert_eq!(next, Ok(left.keys().next().copied()), "after {nth}");
                break;
            };
            assert!(left.keys().next().is_some_and(|least| *least >= bound), "{bound} is too late");
            looks += 1;
        }
        most = most.max(looks);
        if nth % 997 == 0 {
            wheel.check_invariants();
        }
    }
    assert!(wheel.is_empty());
    (most, units)
}

// M9, G2: each look costs a bounded step, and all of them a few units for each timer, whatever the order.
#[test]
fn cancels_in_any_order_with_looks_in_between_cost_a_few_units_each() {
    cancel_in_three_orders::<FEW>();
    cancel_in_three_orders::<SHORT>();
}

fn cancel_in_three_orders<const S: usize>() {
    const MANY: usize = 6_000;
    let scattered = |n: usize| n * 7_919 % MANY;
    let deadlines: Vec<u64> = (0..MANY).map(|n| SECOND + scattered(n) as u64 * 50_021).collect();
    let mut by_deadline: Vec<usize> = (0..MANY).collect();
    by_deadline.sort_by_key(|&at| deadlines[at]);
    let forward = cancel_all::<S>(&deadlines, by_deadline.iter().copied());
    let backward = cancel_all::<S>(&deadlines, by_deadline.iter().rev().copied());
    let random = cancel_all::<S>(&deadlines, (0..MANY).map(|n| n * 6_007 % MANY));
    for (name, (most, units)) in [("forward", forward), ("backward", backward), ("random", random)]
    {
        assert!(units < 8 * MANY, "{name}: {units} units for {MANY} timers");
        assert!(most <= 1 + 2 * MANY / LOOK, "{name}: {most} looks for one deadline");
    }
    assert_eq!(backward.1, 0, "the least one stays");
}

// What is armed for the time before a list that is being put in order fires before it.
#[test]
fn timers_armed_while_a_far_list_is_put_in_order_fire_in_their_turn() {
    let mut pair = Pair::new(0);
    let far: Vec<_> = (0..2_000).map(|n| pair.arm(10 * SECOND + n * 7_919 % 2_000)).collect();
    let least = far.iter().copied().min_by_key(|&name| (name as u64 * 7_919) % 2_000);
    pair.cancel(least.expect("there are some"));
    let mut now = 0;
    while !pair.look_ahead(LOOK) {
        now += 5_000;
        pair.arm(now + 1_000);
        pair.arm(now + 20_000);
        pair.arm(10 * SECOND + now % 1_999);
        pair.run_until(now);
        pair.wheel.check_invariants();
    }
    pair.run_until(9 * SECOND);
    pair.run_until(11 * SECOND);
    assert!(pair.wheel.is_empty());
}

// A tree that is no deeper than a few logarithms, whatever the order.
#[test]
fn timers_out_of_order_lie_in_a_flat_tree() {
    const MANY: u64 = 10_000;
    let orders: [fn(u64) -> u64; 4] = [|n| n, |n| MANY - n, |n| n * 6_765 % MANY, |_| 7];
    for order in orders {
        let mut wheel = Wheel::new(0);
        wheel.put(u64::MAX, 0);
        assert_eq!(fire_all(&mut wheel, DAY), []);
        for n in 0..MANY {
            file(&mut wheel, order(n), 0);
        }
        assert_eq!(wheel.out_of_order().len() as u64, MANY);
        let mut level = Vec::from([wheel.out_of_order]);
        let mut depth = 0;
        while !level.is_empty() {
            depth += 1;
            let links = level.iter().flat_map(|&id| {
                let entry = &wheel.entries[id as usize];
                [entry.prev, entry.next]
            });
            level = links.filter(|&id| id != NONE).collect();
        }
        assert!(depth < 50, "{MANY} timers out of order lie {depth} deep");
        wheel.check_invariants();
    }
}

// M9, G2: a host asks after every turn, and may not pay for a walk each time.
#[test]
fn looking_for_the_next_deadline_while_a_list_is_half_refiled_walks_over_nothing() {
    let mut wheel = wheel_of((0..6_400).map(|i| SECOND + i * 7_919 % 6_400));
    let mut next = SECOND;
    while !wheel.is_empty() {
        while let WheelStep::Fired(deadline) = wheel.step(2 * SECOND, &mut 13) {
            assert_eq!(deadline, next);
            next += 1;
        }
        assert_eq!(wheel.least(), Some(next).filter(|_| next < SECOND + 6_400));
        assert_eq!(wheel.out_of_order(), [], "a walk put entries aside");
        wheel.check_invariants();
    }
    assert_eq!(next, SECOND + 6_400);
}

// The same where the deadline that is looked for is on a level between.
#[test]
fn looking_for_the_next_deadline_that_an_exact_list_has_walks_over_no_stale_one() {
    let mut wheel = wheel_of((1..=64).rev().map(|i| SECOND + i));
    let least = file(&mut wheel, SECOND, SECOND);
    let stale = wheel.entries[least.slot as usize].place;
    wheel.cancel(least);
    assert_eq!(fire_all(&mut wheel, SECOND - 1_000), []);
    let other = file(&mut wheel, SECOND, SECOND);
    let place = wheel.entries[other.slot as usize].place;
    assert!(0 < place.level && place.level < stale.level, "{place:?} and {stale:?}");
    assert_eq!(wheel.least(), Some(SECOND));
    assert_eq!(wheel.out_of_order(), [], "a walk put entries aside");
    assert!(fire_all(&mut wheel, 2 * SECOND).into_iter().eq(SECOND..=SECOND + 64));
}

// Else what is armed after a long idle time would lie in coarse slots.
#[test]
fn an_idle_step_brings_the_base_up_to_now() {
    let mut wheel = wheel_of([YEAR]);
    assert_eq!(fire_all(&mut wheel, DAY), []);
    let near = file(&mut wheel, DAY + 62, DAY + 62);
    assert_eq!(wheel.entry(near).map(|entry| entry.place.level), Some(0));
}

#[test]
fn timers_armed_in_order_fire_at_one_unit_each() {
    let mut wheel = wheel_of((0..10_000).map(|i| 30 * SECOND + i * 1_000));
    let mut budget = 10_000;
    for i in 0..10_000 {
        assert_eq!(wheel.step(31 * SECOND, &mut budget), WheelStep::Fired(30 * SECOND + i * 1_000));
    }
    assert_eq!(budget, 0);
}

// Each look would leave `earliest_bound` at the deadline that it found.
#[test]
fn a_list_in_order_fires_without_a_look_at_the_others_but_not_beyond_the_budget() {
    let deadlines = [0, 1_000, 2_000, 3_000].map(|after| 30 * SECOND + after);
    let mut wheel = wheel_of(deadlines.into_iter().chain([31 * SECOND, YEAR]));
    for deadline in deadlines {
        assert_eq!(wheel.step(40 * SECOND, &mut 1), WheelStep::Fired(deadline));
        assert_eq!(wheel.earliest_bound, deadlines[0], "a look at {deadline}");
    }
    let mut wheel = wheel_of(deadlines);
    assert_eq!(wheel.step(40 * SECOND, &mut 1), WheelStep::Fired(deadlines[0]));
    assert_eq!(wheel.step(40 * SECOND, &mut 0), WheelStep::More);
    assert_eq!(fire_all(&mut wheel, 40 * SECOND), deadlines[1..]);
}

// A list of one more is refiled, level by level.
#[test]
fn a_short_list_in_any_order_costs_two_units_for_each_timer() {
    fire_short_lists::<FEW>();
    fire_short_lists::<SHORT>();
}

fn fire_short_lists<const S: usize>() {
    let units = |count: u64| {
        let deadline = |i: u64| 30 * SECOND + i / 2 * 1_000 + i % 2;
        let mut wheel = any_wheel_of::<S>((0..count).rev().map(deadline));
        let mut budget = usize::MAX;
        for i in 0..count {
            assert_eq!(wheel.step(31 * SECOND, &mut budget), WheelStep::Fired(deadline(i)));
        }
        usize::MAX - budget
    };
    assert_eq!((units(2), units(S as u64)), (2 * 2, 2 * S));
    assert!(units(S as u64 + 1) > 2 * (S + 1));
}

// M6
#[test]
fn after_a_burst_the_memory_left_is_that_of_what_lives() {
    let mut wheel = Wheel::new(0);
    let keys: Vec<_> = (0..50_000_u64).map(|i| wheel.put(i * 7_919 % 50_000, i)).collect();
    for (left, key) in keys.iter().enumerate().skip(5).rev() {
        wheel.cancel(*key);
        wheel.arena().tidy();
        assert!(
            wheel.entries.pages().0 <= left / 64 + 3,
            "{:?}, {left} left",
            wheel.entries.pages()
        );
    }
    assert!(wheel.entries.pages().0 <= 2 && wheel.entries.pages().1 <= 32);
    wheel.check_invariants();
}

// M6
#[test]
fn memory_follows_the_live_timers_and_not_the_armed_ones() {
    let mut wheel = Wheel::new(0);
    let mut keys: Vec<_> = (0..100).map(|i| wheel.put(i * SECOND, i)).collect();
    let capacity = wheel.entries.pages();
    for i in 0..50_000_u64 {
        let slot = (i % 100) as usize;
        assert!(wheel.cancel(keys[slot]).is_some());
        keys[slot] = wheel.put(i * 1_000_003 % (90 * DAY), i);
        assert!(wheel.rearm(keys[slot], i * 1_000_033 % DAY));
    }
    wheel.check_invariants();
    assert_eq!((wheel.len(), wheel.entries.pages()), (100, capacity));
}
