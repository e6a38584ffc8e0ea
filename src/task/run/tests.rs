//! Endings that fit their tasks.

use alloc::boxed::Box;
use core::future::pending;
use core::panic::Location;

use super::*;
use crate::task::cell::Origin;
use crate::task::state::CancelRequest;

/// The wrong reference given back would be unsound.
#[test]
fn an_ending_is_that_of_its_own_task_and_of_what_was_asked_of_it() {
    let side = LoopSide::new(Box::new(|| ()));
    let _entered = side.enter();
    let origin = |serial| Origin { serial, location: Location::caller() };
    let tasks = [1, 2].map(|serial| side.spawn(pending::<()>(), (), origin(serial)).0);
    assert_eq!(tasks[0].request(Request::Cancel), CancelRequest::Requested);
    let endings = tasks.each_ref().map(|task| side.end(task, JoinError::Cancelled).0);
    let requests = |how| endings.each_ref().map(|ending| ending.request(how));
    assert_eq!(requests(End::Cancelled), [Some(Request::Cancel), None]);
    assert_eq!(requests(End::Finished), [None, None], "its value won");
    for (at, ending) in endings.iter().enumerate() {
        assert_eq!(tasks.each_ref().map(|task| ending.is_of(task)), [at == 0, at == 1]);
    }
    for (ending, task) in endings.into_iter().zip(tasks) {
        assert!(ending.complete(task, &side).is_none());
    }
    side.resume();
    side.begin_batch(usize::MAX);
    let mut batch = side.batch();
    while let Some(popped) = batch.next() {
        assert!(matches!(popped.run(), Ran::Nothing));
    }
}
