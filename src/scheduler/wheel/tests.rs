//! Each named behaviour of the wheel. What it costs is in `cost`, random sequences against the
//! oracle in `random`.

mod cost;
mod random;

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::num::NonZeroU32;

use super::{TimerKey, WheelStep};
use crate::testing::wheel_oracle::{self, FEW};

/// The wheel of most tests refiles more lists than the one that ships; both are run by `random` and `cost`.
type Wheel<T> = super::Wheel<T, FEW>;
type Pair = wheel_oracle::Pair<FEW>;

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;
const YEAR: u64 = 365 * DAY;

/// Fires all that is due with no limit; the payloads in order.
fn fire_all<T>(wheel: &mut Wheel<T>, now: u64) -> Vec<T> {
    let mut budget = usize::MAX;
    let mut fired = Vec::new();
    while let WheelStep::Fired(payload) = wheel.step(now, &mut budget) {
        fired.push(payload);
    }
    wheel.check_invariants();
    fired
}

/// A wheel with these deadlines armed in this order, each its own payload.
fn wheel_of(deadlines: impl IntoIterator<Item = u64>) -> Wheel<u64> {
    any_wheel_of(deadlines)
}

fn any_wheel_of<const S: usize>(deadlines: impl IntoIterator<Item = u64>) -> super::Wheel<u64, S> {
    let mut wheel = super::Wheel::new(0);
    for deadline in deadlines {
        wheel.put(deadline, deadline);
    }
    wheel.file_last_armed();
    wheel.check_invariants();
    wheel
}

/// Arms a timer and files it at once.
fn file<T>(wheel: &mut Wheel<T>, deadline: u64, payload: T) -> TimerKey {
    let key = wheel.put(deadline, payload);
    wheel.file_last_armed();
    key
}

#[test]
fn an_empty_wheel_is_idle_and_has_no_deadline() {
    let mut wheel = Wheel::<()>::new(5);
    for now in [5, 0, u64::MAX] {
        assert_eq!(wheel.step(now, &mut 0), WheelStep::Idle, "at {now}");
        assert_eq!(wheel.least(), None);
        assert!(wheel.is_empty());
    }
}

// M1
#[test]
fn a_timer_fires_at_its_deadline_and_not_before() {
    for deadline in [1, 62, 63, 64, 1_000, SECOND, SECOND + 1, YEAR, u64::MAX] {
        let mut wheel = wheel_of([deadline]);
        assert_eq!(wheel.step(deadline - 1, &mut 9), WheelStep::Idle, "{deadline}");
        assert_eq!(wheel.least(), Some(deadline));
        assert_eq!(wheel.step(deadline, &mut 9), WheelStep::Fired(deadline));
        assert!(wheel.is_empty(), "{deadline}");
    }
}

#[test]
fn the_timer_armed_last_touches_no_list_until_another_is_armed() {
    let mut wheel = wheel_of([SECOND]);
    let in_use = wheel.in_use;
    let mut last = wheel.put(5, 5);
    for deadline in [7, 2 * SECOND, 6] {
        assert!(wheel.rearm(last, deadline));
        wheel.check_invariants();
        assert_eq!(wheel.cancel(last), Some(5));
        assert_eq!((wheel.in_use, wheel.cancel(last)), (in_use, None));
        wheel.check_invariants();
        last = wheel.put(5, 5);
        assert_eq!(wheel.step(4, &mut 9), WheelStep::Idle);
        assert_eq!((wheel.in_use, wheel.deadline(last)), (in_use, Some(5)));
    }
    assert_eq!(wheel.least(), Some(5));
    let other = wheel.put(4, 4);
    assert_ne!(wheel.in_use, in_use);
    assert!(wheel.rearm(last, 4)); // behind the other
    wheel.check_invariants();
    assert_eq!(wheel.cancel(other), Some(4));
    assert_eq!(fire_all(&mut wheel, SECOND), [5, SECOND]);
}

// The first of the two bugs of the prototype.
#[test]
fn cancelling_the_earlier_of_two_in_a_slot_does_not_fire_the_later_early() {
    let mut wheel = Wheel::new(0);
    let later = file(&mut wheel, 40_007, "later");
    let earlier = file(&mut wheel, 40_001, "earlier");
    assert_eq!(wheel.entry(later).map(|e| e.place), wheel.entry(earlier).map(|e| e.place));
    assert_eq!(wheel.cancel(earlier), Some("earlier"));
    assert_eq!(wheel.step(40_001, &mut 9), WheelStep::Idle);
    assert_eq!(wheel.step(40_006, &mut 9), WheelStep::Idle);
    assert_eq!(wheel.step(40_007, &mut 9), WheelStep::Fired("later"));
}

// The same with a list that stays unsorted, so that its bound goes stale.
#[test]
fn cancelling_the_earliest_of_three_in_a_slot_fires_none_of_the_others_early() {
    let mut wheel = wheel_of([40_007, 40_005]);
    let earliest = file(&mut wheel, 40_001, 40_001);
    assert_eq!(wheel.cancel(earliest), Some(40_001));
    assert_eq!(wheel.step(40_004, &mut 9), WheelStep::Idle);
    assert_eq!(wheel.least(), Some(40_005));
    assert_eq!(fire_all(&mut wheel, 50_000), [40_005, 40_007]);
}

// The second bug of the prototype.
#[test]
fn a_stale_bound_does_not_overtake_a_true_one() {
    // The first three share a slot of a coarse level.
    let mut wheel = wheel_of([2_000_090, 2_000_080]);
    let earliest = file(&mut wheel, 2_000_010, 0);
    assert_eq!(fire_all(&mut wheel, 1_999_000), []);
    wheel.put(2_000_050, 2_000_050);
    assert_eq!(wheel.cancel(earliest), Some(0));
    wheel.check_invariants();
    assert_eq!(fire_all(&mut wheel, 3_000_000), [2_000_050, 2_000_080, 2_000_090]);
}

// G2: exact also when the least timer of an unsorted list has gone.
#[test]
fn the_next_deadline_is_exact_after_each_cancel() {
    let mut wheel = Wheel::new(0);
    let mut keys: Vec<_> =
        (0..200_u64).map(|i| SECOND + i * 7_919 % 200).map(|at| (at, wheel.put(at, ()))).collect();
    keys.sort_by_key(|&(deadline, _)| deadline);
    for (deadline, key) in keys {
        assert_eq!(wheel.least(), Some(deadline));
        wheel.check_invariants();
        wheel.cancel(key);
    }
    assert_eq!(wheel.least(), None);
}

// M2
#[test]
fn equal_deadlines_fire_in_order_of_arming_from_whatever_distance() {
    let deadline = 3 * SECOND;
    let mut wheel = Wheel::new(0);
    let mut armed = 0;
    for before in [3 * SECOND, SECOND, 70_000, 5_000, 600, 63, 62, 61, 2, 1, 0] {
        assert_eq!(fire_all(&mut wheel, (deadline - before).saturating_sub(1)), []);
        for _ in 0..3 {
            wheel.put(deadline, armed);
            armed += 1;
        }
        wheel.check_invariants();
    }
    assert!(fire_all(&mut wheel, deadline).into_iter().eq(0..armed));
}

// A list refiled late, and in part, meets timers with its own deadline on level 0.
#[test]
fn equal_deadlines_keep_their_order_when_an_older_one_reaches_level_0_last() {
    let mut pair = Pair::new(0);
    for deadline in [5_050, 5_060, 5_040, 5_060] {
        pair.arm(deadline);
    }
    pair.run_until(4_500);
    for deadline in [5_060, 5_050, 5_040, 5_060] {
        pair.arm(deadline);
    }
    pair.run_until(5_039);
    for deadline in [5_060, 5_050, 5_060] {
        pair.arm(deadline);
        pair.step(5_040);
        pair.wheel.check_invariants();
    }
    pair.run_until(6_000);
}

// M2: `reset` counts as arming.
#[test]
fn rearming_goes_behind_equals_and_moves_both_ways() {
    let mut wheel = Wheel::new(0);
    let keys = ["a", "b", "c", "d"].map(|name| wheel.put(100, name));
    assert!(wheel.rearm(keys[0], 100));
    assert!(wheel.rearm(keys[1], SECOND));
    assert!(wheel.rearm(keys[3], 7));
    assert_eq!(keys.map(|key| wheel.deadline(key)), [100, SECOND, 100, 7].map(Some));
    assert_eq!(fire_all(&mut wheel, SECOND), ["d", "c", "a", "b"]);
}

#[test]
fn a_stale_key_touches_nothing() {
    let mut wheel = Wheel::new(0);
    let cancelled = wheel.put(10, "cancelled");
    assert_eq!(wheel.cancel(cancelled), Some("cancelled"));
    let fired = wheel.put(20, "fired");
    assert_eq!(fire_all(&mut wheel, 20), ["fired"]);
    let live = wheel.put(30, "live");
    assert_eq!((cancelled.slot, fired.slot), (live.slot, live.slot));
    for stale in [cancelled, fired] {
        assert_eq!(wheel.cancel(stale), None);
        assert!(!wheel.rearm(stale, 25));
        assert_eq!(wheel.deadline(stale), None);
        assert_eq!(wheel.payload_mut(stale), None);
    }
    assert_eq!(wheel.deadline(live), Some(30));
    assert_eq!(fire_all(&mut wheel, 30), ["live"]);
}

#[test]
fn serials_wrap_past_zero() {
    let mut wheel = Wheel::new(0);
    wheel.serial = NonZeroU32::new(u32::MAX - 1).expect("not zero");
    let keys = [1, 2, 3].map(|deadline| wheel.put(deadline, deadline));
    assert_eq!(keys.map(|key| key.serial), [u32::MAX, 1, 2]);
    assert_eq!(keys.map(|key| wheel.cancel(key)), [1, 2, 3].map(Some));
}

/// A slot's later tenant has another serial than its earlier ones, also across the wrap.
#[test]
fn stale_keys_stay_stale_across_the_wrap_of_serials() {
    let mut wheel = Wheel::new(0);
    wheel.serial = NonZeroU32::new(u32::MAX - 3).expect("not zero");
    let mut stale = Vec::new();
    for n in 0..8 {
        let key = wheel.put(n, n);
        for stale in &stale {
            assert_eq!(wheel.cancel(*stale), None, "{stale:?} is taken for {key:?}");
        }
        assert_eq!(wheel.cancel(key), Some(n));
        stale.push(key);
    }
    assert!(stale.iter().all(|key| key.slot == stale[0].slot), "{stale:?}");
}

/// M2: the order of arming goes on where 32 bits end, and up to the end of 64.
#[test]
fn the_order_of_arming_holds_to_the_end_of_its_counter() {
    for armings in [u64::from(u32::MAX) - 3, u64::MAX - 7] {
        let mut wheel = Wheel::new(0);
        wheel.armings = armings;
        let keys = [0, 1, 2, 3, 4].map(|n| wheel.put(DAY, n));
        assert!(wheel.rearm(keys[0], DAY) && wheel.rearm(keys[2], DAY));
        wheel.check_invariants();
        assert_eq!(fire_all(&mut wheel, DAY), [1, 3, 4, 0, 2], "from {armings}");
    }
}

#[test]
fn a_payload_can_be_replaced_in_place() {
    let mut wheel = Wheel::new(0);
    let key = wheel.put(10, "old");
    let old = wheel.payload_mut(key).map(|payload| core::mem::replace(payload, "new"));
    assert_eq!(old, Some("old"));
    assert_eq!(fire_all(&mut wheel, 10), ["new"]);
}

#[test]
fn each_payload_is_dropped_once() {
    let witness = Rc::new(());
    let mut wheel = Wheel::new(0);
    let keys: Vec<_> = (0..30).map(|i| wheel.put(i * i * 50, Rc::clone(&witness))).collect();
    drop(wheel.cancel(keys[20]));
    assert_eq!(Rc::strong_count(&witness), 30);
    assert_eq!(fire_all(&mut wheel, 50 * 81).len(), 10);
    assert_eq!(Rc::strong_count(&witness), 20);
    drop(wheel);
    assert_eq!(Rc::strong_count(&witness), 1);
}

// M8
#[test]
fn late_turn_fires_in_deadline_order() {
    let mut deadlines: Vec<u64> = (0..3_000).map(|i| i * 7_368_787 % (5 * SECOND)).collect();
    let mut wheel = wheel_of(deadlines.iter().copied());
    deadlines.sort_unstable();
    assert_eq!(fire_all(&mut wheel, 6 * SECOND), deadlines);
}

// M5, M8: tokio#8334, where short timers stopped once a very long one was pending.
#[test]
fn short_timers_fire_for_years_while_a_far_one_is_pending() {
    let far = 40 * YEAR + 1;
    let mut pair = Pair::new(0);
    pair.arm(far);
    pair.arm(u64::MAX);
    let mut now = 0;
    while now < far - 2 * DAY {
        pair.arm(now + DAY + 12_345);
        pair.run_until(now + DAY);
        assert_eq!(pair.wheel.len(), 3, "at {now}");
        now += DAY + 12_345;
        pair.run_until(now);
        assert_eq!(pair.wheel.len(), 2, "at {now}");
    }
    pair.run_until(far);
    assert_eq!(pair.wheel.len(), 1);
    pair.run_until(u64::MAX);
    assert!(pair.wheel.is_empty());
}

// M4, M5
#[test]
fn past_deadlines_fire_first_and_in_order() {
    let mut wheel = Wheel::new(0);
    wheel.put(SECOND, 0);
    assert_eq!(fire_all(&mut wheel, SECOND), [0]);
    for deadline in [700, SECOND - 1, 600, 700, SECOND + 5, 0, SECOND] {
        wheel.put(deadline, deadline);
        wheel.check_invariants();
    }
    assert_eq!(wheel.least(), Some(0));
    assert_eq!(fire_all(&mut wheel, SECOND), [0, 600, 700, 700, SECOND - 1, SECOND]);
    assert_eq!(wheel.least(), Some(SECOND + 5));
}

// M8
#[test]
fn a_clock_that_steps_back_loses_nothing_and_fires_nothing_early() {
    let mut wheel = wheel_of([YEAR]);
    assert_eq!(fire_all(&mut wheel, 100 * DAY), []);
    for i in [5, 3, 4, 1, 2] {
        wheel.put(DAY + i, i);
    }
    assert_eq!(wheel.least(), Some(DAY + 1));
    assert_eq!(fire_all(&mut wheel, DAY), []);
    assert_eq!(fire_all(&mut wheel, DAY + 3), [1, 2, 3]);
    assert_eq!(fire_all(&mut wheel, DAY), []);
    assert_eq!(fire_all(&mut wheel, DAY + 5), [4, 5]);
    assert_eq!(fire_all(&mut wheel, YEAR), [YEAR]);
}

// M8: a jump to the end of time is forgotten as soon as the wheel is empty.
#[test]
fn a_clock_that_jumped_ahead_and_came_back_files_into_slots_again() {
    let mut wheel = wheel_of([DAY]);
    assert_eq!(fire_all(&mut wheel, u64::MAX), [DAY]);
    assert_eq!(fire_all(&mut wheel, DAY), []);
    wheel.put(DAY + 5, 5);
    assert!(wheel.out_of_order().is_empty());
    assert_eq!(fire_all(&mut wheel, DAY + 5), [5]);
}

// The invariants hold between any two moves, so every operation may come there.
#[test]
fn a_half_refiled_list_takes_any_operation() {
    let mut pair = Pair::new(0);
    for i in 0..200 {
        pair.arm(SECOND + i * 7_919 % 5_000 / 3);
    }
    let now = SECOND + 800;
    let mut i = 0;
    while pair.step(now) {
        i += 1;
        match i % 5 {
            0 if i < 900 => drop(pair.arm(SECOND + i as u64)),
            1 => pair.cancel(i * 31 % 200),
            2 if i < 900 => pair.rearm(i * 17 % 200, now - i as u64 % 3),
            3 => pair.check(),
            _ => pair.check_timer(i % 200),
        }
        pair.wheel.check_invariants();
    }
    pair.check();
    pair.run_until(2 * SECOND);
}
