//! Models of the task floor: every interleaving of a few threads, by loom.
//!
//! The floor is compiled right into this test, which shows that it stands alone. Each model names the
//! faults that it was seen to find: patches in `tests/loom/mutants`, tried by `.ci/deep`. A lost
//! wake-up shows as a deadlock, a lost reference as a leaked `Arc`, a race on what is not atomic as a
//! causality violation.
//!
//! Every protocol between two threads has its model here:
//!
//! | protocol | model | fault that it finds |
//! |---|---|---|
//! | push against take-all, two producers | `wakes::push_against_take_all` | `take_all_unreversed` |
//! | push against the end of the loop | `ends::spawn_against_the_end` | `push_after_close` |
//! | the sleep word: push and unpark against the last look and park | `wakes::wake_against_poll` | `park_swaps` |
//! | two wakers, one park | `wakes::two_wakers_one_park` | `unpark_without_sleep` |
//! | a producer that is stopped in its push against the last look before a sleep | `wakes::a_producer_stopped_in_its_push_delays_nobody_else` | `no_last_look` |
//! | the sleep word, and the lock and bell behind it | `parker::notify_against_sleep` | `last_look_outside_the_lock` |
//! | the same, two producers: one ring for each sleep | `parker::two_producers_ring_once` | `late_ring_ends_the_next_sleep` |
//! | the sleep word of a host that is told: push against the end of a run | `parker::push_against_the_end_of_a_run` | `rest_overwrites_a_bell` |
//! | two places to sleep in: two wakers against a loop that moves to its driver | `bells::two_wakers_against_a_loop_that_moves` | `bell_hung_and_not_named` |
//! | a coalesced wake happens before the poll | `wakes::coalesced_wake_is_visible` | `wake_of_queued_publishes_nothing` |
//! | wake during a poll | `wakes::local_poll_against_remote_wakes` | `begin_poll_clears_relaxed` |
//! | wake after completion | `ends::wake_after_completion` | `wake_of_done_pushes` |
//! | wake of the future of `block_on` against its take, and against park | `block_on_waker::wake_against_take_and_park` | `main_marked_after_the_bell`, `main_mark_of_others_not_asked`, `main_take_relaxed` |
//! | its wake behind another one happens before the poll | `block_on_waker::coalesced_wake_of_the_main_future_is_visible` | `main_wake_behind_another_publishes_nothing` |
//! | last waker dropped elsewhere against completion | `ends::last_reference_elsewhere` | `clone_uncounted` |
//! | wake against the drop of the executor | `ends::wake_against_the_end` | `queue_reference_ignored` |
//! | cancel against wake | `joins::cancel_against_wake` | `request_lost_behind_a_wake` |
//! | cancel against cancel | `joins::two_cancels_race` | `both_requested` |
//! | cancel against completion | `joins::cancel_against_completion` | `early_request_forgotten` |
//! | cancel against the drop of the handle | `guards::cancel_against_drop_of_the_handle` | `cancel_dropped_with_the_handle` |
//! | cancel against the end of the loop | `closing::cancel_of_a_task_taken_in_at_the_end` | `queue_reference_decided_by_done` |
//! | drop of the handle against completion | `joins::completion_against_drop_of_the_handle` | `outcome_dropped_by_the_handle` |
//! | drop of the handle against the end of the loop | `ends::drop_of_a_finished_handle_against_the_end` | `refused_remote_drop_leaks` |
//! | the same, of a task that the end aborts | `closing::handle_dropped_while_the_loop_closes` | `remote_drop_forgotten` |
//! | wakes on their way against the drop of the handle | `closing::output_of_a_local_task_stays_home` | `queue_reference_takes_the_outcome` |
//! | join: registration against completion | `joins::completion_against_registration` | `lend_after_done` |
//! | join: replaced wakers against completion | `joins::completion_against_replaced_wakers` | `reclaim_after_done` |
//! | blocking join against completion against cancel | `guards::blocking_join_against_complete_against_cancel` | `cancelled_joiner_not_woken` |
//! | shutdown against spawn against park | `gates::shutdown_against_spawn` | `bell_before_the_request` |
//! | guard made against cancel | `guards::cancel_against_guard` | `guard_ignored` |
//! | guard dropped against cancel | `guards::cancel_against_the_last_guards_drop` | `unguard_forgets_the_request` |
//! | guard made against the drop of the one before | `requests::guard_against_the_drop_of_another` | `unguard_outside_of_the_lock` |
//! | who waits for a request against a cancel | `requests::register_against_a_cancel` | `asked_before_the_lock` |
//! | the same, two | `requests::two_wait_for_one_request` | `two_wait_in_one_place` |
//! | who waits for a request against the end of the task | `requests::register_against_the_end_of_the_task` | `end_leaves_no_mark` |
//! | refusal against abort | `guards::refusal_against_an_abort` | `refuse_loses_an_abort` |
//! | start of a blocking job against cancel | `jobs::start_against_cancel` | `pin_after_a_request` |
//! | a job against its task, that is polled meanwhile | `jobs::result_against_poll` | `job_done_wakes_nobody` |
//! | start of a blocking job against the end of the loop | `jobs::start_against_the_end` | `closure_left_to_the_worker` |
//! | a job that comes against the end of an idle worker | `jobs::submit_against_an_idle_worker` | `idle_worker_leaves_unasked` |
//! | a job that is queued against the end of its task | `jobs::queued_against_a_cancel` | `queued_job_is_left` |
//! | the end of the loop against its workers | `jobs::end_against_a_job_that_runs_on` | `pool_waits_for_a_job_that_runs_on` |
//! | a group: a member ends against who waits | `groups::end_against_who_waits` | `waiter_sleeps_unasked` |
//! | the same, two wait for one member | `groups::two_wait_for_the_last_member` | `last_member_calls_nobody` |
//! | the same, and one of them leaves | `groups::a_waiter_that_leaves_against_an_end` | `called_waiter_leaves` |
//! | a group: a member is made against its end | `groups::member_made_against_its_end` | `ended_member_untold` |
//! | end of a member against its detach | `groups::detach_against_an_end` | `end_of_a_detached_member_told` |
//! | what happens once to a loop, against who begins to wait for it | `events::wait_against_the_event` | `event_waiter_sleeps_unasked` |
//! | a thread that blocks in a join against its wake | `threads::wake_against_wait` | `thread_rung_before_the_mark` |
//! | a poll that begins against a watchdog that goes to rest | `watchdog::polls_against_rest` | `watchdog_sleeps_unasked` |
//! | a poll that ends against a watchdog | `watchdog::a_poll_that_is_over` | `end_leaves_the_poll` |
//! | the end of the loop against its watchdog | `watchdog::stop_against_rest` | `watchdog_rung_before_the_mark` |
//! | bounded queue: room against who waits | `gates::room_for_who_waits`, `gates::two_wait_for_one_room` | `full_gate_unmarked`, `leave_wakes_nobody` |
//! | the same, and who waits gives up | `gates::a_waiter_that_gives_up_against_room` | `served_waiter_keeps_its_place` |
//! | bounded queue: who waits against shutdown | `gates::a_blocked_spawner_against_the_end` | `closing_wakes_nobody` |
//! | serials of two words: two draw past the end of one | `serials::two_draw_past_an_edge` | `late_note_taken_as_it_is` |
//! | a timer's key dropped elsewhere against its firing | `timers::key_dropped_elsewhere` | `stale_key_cancels` |
//!
//! ```text
//! RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target-loom LOOM_MAX_PREEMPTIONS=3 \
//!     cargo test --release --test loom -- --test-threads=1 --skip=floor::
//! ```
#![cfg(loom)]
#![allow(dead_code, unused_imports, unreachable_pub, missing_docs)] // the floor serves more than the models

extern crate alloc;

/// The floor and the vocabulary below it, as they are in the crate; and of the shell what is modelled.
#[path = "../src"]
mod floor {
    pub(crate) mod group {
        pub(crate) mod completions;
        pub(crate) mod members;
    }
    /// The counter of machines without atomics of 64 bits.
    #[path = "sync"]
    pub(crate) mod narrow {
        pub(crate) mod fixed {
            pub(crate) use crate::serials::Half;
            pub(crate) use loom::sync::atomic::Ordering;
        }
        pub(crate) mod wide;
    }
    pub(crate) mod runtime {
        pub(crate) mod bells;
        pub(crate) mod block_on_waker;
        pub(crate) mod blocking;
        pub(crate) mod gate;
        pub(crate) mod guards {
            pub(crate) mod record;
        }
        pub(crate) mod latch;
        pub(crate) mod parker;
        pub(crate) mod shutdown_request;
        pub(crate) mod thread_waker;
        pub(crate) mod waiters;
        pub(crate) mod watchdog {
            pub(crate) mod watch;
        }
    }
    pub(crate) mod scheduler {
        pub(crate) mod arena;
        pub(crate) mod mix;
        pub(crate) mod wheel;
    }

    pub(crate) mod error;
    pub(crate) mod id;
    pub(crate) mod sync;
    pub(crate) mod task;
}
pub(crate) use floor::{error, group, id, runtime, scheduler, sync, task};

#[path = "loom/bells.rs"]
mod bells;
#[path = "loom/block_on_waker.rs"]
mod block_on_waker;
#[path = "loom/closing.rs"]
mod closing;
#[path = "loom/ends.rs"]
mod ends;
#[path = "loom/events.rs"]
mod events;
#[path = "loom/gates.rs"]
mod gates;
#[path = "loom/groups.rs"]
mod groups;
#[path = "loom/guards.rs"]
mod guards;
#[path = "loom/jobs.rs"]
mod jobs;
#[path = "loom/joins.rs"]
mod joins;
#[path = "loom/parker.rs"]
mod parker;
#[path = "loom/requests.rs"]
mod requests;
#[path = "loom/serials.rs"]
mod serials;
#[path = "loom/support.rs"]
mod support;
#[path = "loom/threads.rs"]
mod threads;
#[path = "loom/timers.rs"]
mod timers;
#[path = "loom/wakes.rs"]
mod wakes;
#[path = "loom/watchdog.rs"]
mod watchdog;
