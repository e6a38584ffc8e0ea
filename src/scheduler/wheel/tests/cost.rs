//! What the wheel costs in memory, and in units of budget.

use alloc::vec::Vec;
use core::mem::size_of;
use core::task::Waker;

use super::{DAY, SECOND, YEAR, file, fire_all, wheel_of};
use crate::scheduler::wheel::level::{LEVELS, Level};
use crate::scheduler::wheel::{Entry, SHORT, Step, Wheel};

// A third of an entry is its waker, which is two pointers.
const _: () = assert!(usize::BITS < 64 || size_of::<Option<Entry<Waker>>>() == 48);
const _: () = assert!(size_of::<[Level; LEVELS]>() <= 22 * 1024);

// M9
#[test]
fn a_step_does_no_more_than_its_budget_and_says_if_more_is_due() {
    let deadlines: Vec<u64> = (0..5_000).map(|i| SECOND + i * 7_919 % 5_000).collect();
    let mut wheel = wheel_of(deadlines);
    assert_eq!(wheel.step(SECOND - 1, &mut 0), Step::Idle);
    assert_eq!(wheel.step(SECOND, &mut 0), Step::More);
    let (mut units, mut fired) = (0, 0);
    while !wheel.is_empty() {
        let mut budget = 7;
        let step = wheel.step(SECOND + 6_000, &mut budget);
        assert_ne!(step, Step::Idle, "after {fired}");
        assert!(step != Step::More || budget == 0, "stopped with {budget} left");
        fired += u64::from(step != Step::More);
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
        assert_eq!(wheel.step(SECOND, &mut budget), Step::More);
        assert_eq!((budget, before - left(&wheel)), (0, calls * 13), "call {calls}");
        wheel.check_invariants();
    }
}

#[test]
fn looking_for_the_next_deadline_thins_out_a_list_that_lost_its_least() {
    let mut wheel = wheel_of((0..6_400).map(|i| SECOND + 1 + i * 7_919 % 6_400));
    let least = file(&mut wheel, SECOND, SECOND);
    wheel.cancel(least);
    assert_eq!(wheel.next_deadline(), Some(SECOND + 1));
    assert_eq!(wheel.strays.len(), 6_400 / 32);
    wheel.check_invariants();
    assert!(fire_all(&mut wheel, 2 * SECOND).into_iter().eq(SECOND + 1..=SECOND + 6_400));
}

// M9, G2: a host asks after every turn, and may not pay for a walk each time.
#[test]
fn looking_for_the_next_deadline_while_a_list_is_half_refiled_walks_over_nothing() {
    let mut wheel = wheel_of((0..6_400).map(|i| SECOND + i * 7_919 % 6_400));
    let mut next = SECOND;
    while !wheel.is_empty() {
        while let Step::Fired(deadline) = wheel.step(2 * SECOND, &mut 13) {
            assert_eq!(deadline, next);
            next += 1;
        }
        assert_eq!(wheel.next_deadline(), Some(next).filter(|_| next < SECOND + 6_400));
        assert!(wheel.strays.is_empty(), "a walk put {} entries aside", wheel.strays.len());
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
    assert_eq!(wheel.next_deadline(), Some(SECOND));
    assert!(wheel.strays.is_empty(), "a walk put {} entries aside", wheel.strays.len());
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
        assert_eq!(wheel.step(31 * SECOND, &mut budget), Step::Fired(30 * SECOND + i * 1_000));
    }
    assert_eq!(budget, 0);
}

// Each look would leave `soonest` at the deadline that it found.
#[test]
fn a_list_in_order_fires_without_a_look_at_the_others_but_not_beyond_the_budget() {
    let deadlines = [0, 1_000, 2_000, 3_000].map(|after| 30 * SECOND + after);
    let mut wheel = wheel_of(deadlines.into_iter().chain([31 * SECOND, YEAR]));
    for deadline in deadlines {
        assert_eq!(wheel.step(40 * SECOND, &mut 1), Step::Fired(deadline));
        assert_eq!(wheel.soonest, deadlines[0], "a look at {deadline}");
    }
    let mut wheel = wheel_of(deadlines);
    assert_eq!(wheel.step(40 * SECOND, &mut 1), Step::Fired(deadlines[0]));
    assert_eq!(wheel.step(40 * SECOND, &mut 0), Step::More);
    assert_eq!(fire_all(&mut wheel, 40 * SECOND), deadlines[1..]);
}

// A list of one more is refiled, level by level.
#[test]
fn a_short_list_in_any_order_costs_two_units_for_each_timer() {
    let units = |count: u64| {
        let deadline = |i: u64| 30 * SECOND + i / 2 * 1_000 + i % 2;
        let mut wheel = wheel_of((0..count).rev().map(deadline));
        let mut budget = usize::MAX;
        for i in 0..count {
            assert_eq!(wheel.step(31 * SECOND, &mut budget), Step::Fired(deadline(i)));
        }
        usize::MAX - budget
    };
    assert_eq!((units(2), units(SHORT as u64)), (2 * 2, 2 * SHORT));
    assert!(units(SHORT as u64 + 1) > 2 * (SHORT + 1));
}

// M6
#[test]
fn memory_follows_the_live_timers_and_not_the_armed_ones() {
    let mut wheel = Wheel::new(0);
    let mut keys: Vec<_> = (0..100).map(|i| wheel.arm(i * SECOND, i)).collect();
    let capacity = wheel.entries.capacity();
    for i in 0..50_000_u64 {
        let slot = (i % 100) as usize;
        assert!(wheel.cancel(keys[slot]).is_some());
        keys[slot] = wheel.arm(i * 1_000_003 % (90 * DAY), i);
        assert!(wheel.rearm(keys[slot], i * 1_000_033 % DAY));
    }
    wheel.check_invariants();
    assert_eq!((wheel.len(), wheel.entries.capacity()), (100, capacity));
}
