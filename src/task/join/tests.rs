//! What a reference to a task says of it.

use alloc::boxed::Box;
use alloc::format;
use core::panic::Location;

use crate::error::JoinError;
use crate::task::cell::Origin;
use crate::task::loop_side::LoopSide;

/// The public types that hold a task or a mailbox derive their debug form from these.
#[test]
fn the_debug_form_of_a_reference_names_its_task_and_that_of_a_mailbox_itself() {
    let side = LoopSide::new(Box::new(|| ()));
    let _entered = side.enter();
    let origin = Origin { serial: 7, location: Location::caller() };
    let (task, join) = side.spawn(async {}, (), origin);
    assert_eq!(format!("{:?}", join.task()), format!("TaskRef({:?})", task.id()));
    assert_eq!(format!("{:?}", side.mailbox()), "Mailbox { .. }");
    let (ending, _) = side.end(&task, JoinError::Cancelled);
    assert!(ending.complete(task, &side).is_none());
}
