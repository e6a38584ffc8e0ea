//! What there is inside a loop and not outside: `current` and its kin.

use std::panic::catch_unwind;
use std::thread;

use sideloop::{
    Executor, Handle, JoinHandle, LocalHandle, Turn, block_on, current, current_task, spawn_local,
    try_current,
};

use crate::support::*;

/// The message of the panic that `f` ends with.
#[track_caller]
fn message_of<T>(f: impl FnOnce() -> T + std::panic::UnwindSafe) -> String {
    let panic = catch_unwind(f).err().expect("it panics");
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).expect("a text")
}

/// The contract of `spawn_local`, `current` and `LocalHandle::current`: outside a loop they panic,
/// saying so.
#[test]
fn outside_a_loop_they_panic_and_say_so() {
    limited(|| {
        let messages = [
            message_of(|| spawn_local(async {})),
            message_of(current),
            message_of(LocalHandle::current),
        ];
        for message in messages {
            assert!(message.contains("loop"), "{message:?} does not say what is missing");
        }
        assert!(try_current().is_none() && current_task().is_none());
    });
}

/// The contract of `is_current`: inside the run on the loop's thread, nowhere else.
#[test]
fn a_handle_is_current_inside_its_own_run_only() {
    limited(|| {
        let (looped, mut executor) = (loop_started(), Executor::new());
        let handles: [Handle; 2] = [looped.handle().clone(), executor.handle().clone()];
        let seen = || handles.each_ref().map(Handle::is_current);
        assert_eq!(seen(), [false, false]);
        assert_eq!(executor.block_on(async { seen() }), [false, true]);
        assert_eq!(block_on(async { seen() }), [false, false]);
        assert_eq!(seen(), [false, false]);
        let theirs = handles.clone();
        let there = looped.handle().call(move || theirs.each_ref().map(Handle::is_current));
        assert_eq!(join_ok(there), [true, false]);
        let theirs = handles.clone();
        let there = looped.handle().call(move || {
            let other = thread::spawn(move || theirs.each_ref().map(Handle::is_current));
            other.join().expect("looks")
        });
        assert_eq!(join_ok(there), [false, false]);
    });
}

/// The contract of `current`: the handle of the loop one is on.
#[test]
fn current_is_the_loop_one_is_on() {
    limited(|| {
        let (one, two) = (loop_started(), loop_started());
        let id = thread_of(one.handle());
        let (own, other) = (one.handle().clone(), two.handle().clone());
        let nested = own.spawn(async move {
            let theirs = other.call(|| current().call(|| thread::current().id())).await;
            let ours = current().call(|| thread::current().id()).await.expect("ours");
            (ours, theirs.expect("theirs").await.expect("theirs"))
        });
        let (ours, theirs) = join_ok(nested);
        assert_eq!((ours, theirs), (id, thread_of(two.handle())));
    });
}

/// The contract of `current_task`: in polls and in a task's destructor it is that task; after a
/// nested run it is so again.
#[test]
fn current_task_is_the_one_that_runs() {
    limited(|| {
        let looped = loop_started();
        let task = looped.handle().spawn(async {
            let me = current_task();
            let child = spawn_local(async { current_task() }).await.expect("runs");
            let mut executor = Executor::new();
            let inner = executor.block_on(async { current_task() });
            (me, child, inner, current_task())
        });
        let id = task.id();
        let (me, child, inner, after) = join_ok(task);
        assert_eq!((me, inner, after), (Some(id), None, Some(id)));
        assert!(child.is_some_and(|child| child != id));
    });
}

/// The contract of the types: an executor and its local handles stay on their thread, and so does
/// the handle of a task whose output is not `Send`.
#[test]
fn what_belongs_to_a_thread_is_not_send() {
    macro_rules! not {
        ($bound:path: $($type:ty),+) => {$({
            trait Ambiguous<Marker> {
                fn check() {}
            }
            struct Has;
            impl<T: ?Sized> Ambiguous<()> for T {}
            impl<T: ?Sized + $bound> Ambiguous<Has> for T {}
            let _ = <$type as Ambiguous<_>>::check; // ambiguous, and an error, with the bound
        })+};
    }
    not!(Send: Executor, LocalHandle, JoinHandle<std::rc::Rc<()>>);
    not!(Sync: Executor, LocalHandle, JoinHandle<std::rc::Rc<()>>);
    not!(Clone: Executor, sideloop::LoopThread, JoinHandle<()>);
}

/// The contract of the plain types: what can be shown is, and a turn can be kept.
#[test]
fn everything_can_be_shown() {
    limited(|| {
        let (looped, mut executor) = (loop_started(), Executor::new());
        let task = looped.handle().spawn(async {});
        let turn: Turn = executor.turn().clone();
        let shown = [
            format!("{looped:?}"),
            format!("{:?}", looped.handle()),
            format!("{task:?}"),
            format!("{:?}", task.canceller()),
            format!("{:?}", task.id()),
            format!("{}", task.id()),
            format!("{executor:?}"),
            format!("{:?}", executor.local_handle()),
            format!("{turn:?}"),
            format!("{:?}", sideloop::Builder::new().name("x")),
            format!("{:?}", sideloop::Shutdown::now()),
            format!("{:?}", sideloop::time::sleep(WAIT)),
            format!("{:?}", looped.handle().task()),
        ];
        assert!(shown.iter().all(|text| !text.is_empty()), "{shown:?}");
        assert!(shown[5].contains(&task.id().as_u64().to_string()), "{shown:?}");
    });
}
