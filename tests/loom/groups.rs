//! Groups: members that end, and those who wait for the next one.

use std::future::Future;
use std::sync::Arc as StdArc;
use std::task::{Context, Waker};

use loom::thread;

use crate::group::members::Members;
use crate::runtime::thread_waker::ThreadWaker;
use crate::support::{Model, spawn_remote, wait_for};
use crate::task::join::Join;

/// A group of members that are known by their number, and for each what ends it.
fn group_of(count: u8) -> (StdArc<Members<u8>>, Vec<Waker>) {
    let (members, mut enders) = (Members::new(), Vec::new());
    for member in 0..count {
        members.add(
            |_| member,
            |_, waker| {
                enders.push(waker.clone());
                true
            },
        );
    }
    (StdArc::new(members), enders)
}

fn ends(member: Waker) -> thread::JoinHandle<()> {
    thread::spawn(move || member.wake())
}

/// G1: a member ends while a waiter looks and goes to sleep: it is given out.
///
/// Faults: `waiter_sleeps_unasked`.
#[test]
fn end_against_who_waits() {
    loom::model(|| {
        let (members, enders) = group_of(2);
        let threads: Vec<_> = enders.into_iter().map(ends).collect();
        let mut given = [wait_for(members.next()), wait_for(members.next())];
        given.sort();
        assert_eq!(given, [Some(0), Some(1)]);
        assert_eq!(wait_for(members.next()), None);
        threads.into_iter().for_each(|thread| thread.join().expect("ends"));
    });
}

/// G1: two wait for the last member: one of them gets it, and the other learns that there is none.
///
/// Faults: `last_member_calls_nobody`.
#[test]
fn two_wait_for_the_last_member() {
    loom::model(|| {
        let (members, mut enders) = group_of(1);
        let ender = ends(enders.pop().expect("one"));
        let others = StdArc::clone(&members);
        let other = thread::spawn(move || wait_for(others.next()));
        let given = [wait_for(members.next()), other.join().expect("ends")];
        assert!(given == [Some(0), None] || given == [None, Some(0)], "{given:?}");
        ender.join().expect("ends");
    });
}

/// G1: a waiter that has slept leaves while a member ends: the other one gets it.
///
/// Faults: `called_waiter_leaves`.
#[test]
fn a_waiter_that_leaves_against_an_end() {
    loom::model(|| {
        let (members, mut enders) = group_of(2);
        let still_runs = enders.pop();
        let others = StdArc::clone(&members);
        let mut first = Box::pin(members.next());
        let waker = Waker::from(StdArc::new(ThreadWaker::default()));
        assert!(first.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let other = thread::spawn(move || wait_for(others.next()));
        let ender = ends(enders.pop().expect("one"));
        drop(first);
        assert_eq!(other.join().expect("ends"), Some(0));
        ender.join().expect("ends");
        drop(still_runs);
    });
}

/// J5: a member ends while the group lets it go: its end is told to nobody, though another has its key by then.
///
/// Faults: `end_of_a_detached_member_told`.
#[test]
fn detach_against_an_end() {
    loom::model(|| {
        let (members, mut enders) = group_of(1);
        let ender = ends(enders.pop().expect("one"));
        members.take_all().for_each(drop);
        let mut later = None;
        let register = |_: &mut u8, waker: &Waker| {
            later = Some(waker.clone());
            true
        };
        members.add(|_| 9, register);
        ender.join().expect("ends");
        assert!(members.take(&mut None).is_pending(), "the new member runs");
        later.expect("it has one").wake();
        assert_eq!(wait_for(members.next()), Some(9));
    });
}

/// G1: a task becomes a member while the loop ends it: it is told once, and given out.
///
/// Faults: `ended_member_untold`.
#[test]
fn member_made_against_its_end() {
    loom::model(|| {
        let model = Model::new();
        let join = spawn_remote(&model.run_queues(), async { 7 });
        let waiter = thread::spawn(move || {
            let members = Members::new();
            members.add(|_| join, Join::register);
            let mut member = wait_for(members.next()).expect("one member");
            assert!(matches!(member.try_take(), Some(Ok(7))));
            assert!(wait_for(members.next()).is_none());
        });
        model.turn();
        waiter.join().expect("ends");
        model.turn();
        model.close();
    });
}
