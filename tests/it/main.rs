//! The public contract, rule by rule: a module per subject, one behaviour per test.
//!
//! The first line of a test cites the rule of the contract that it checks. Nothing here sleeps to wait
//! for another thread, and nothing measures time, except for generous upper limits that turn a hang
//! into a named failure.

#![cfg(not(loom))]

mod child;
mod support;

mod elapsed;
mod embedding;
mod endings;
mod endings_timers;
mod executor;
mod groups;
mod intervals;
mod joining;
mod large;
mod outputs;
mod regressions;
mod second_time;
mod seed;
mod simulation;
mod spawning;
mod start;
mod stress;
mod turns;
mod wakers;
mod yielding;

mod blocking;
mod capacity;
mod observing;

mod bad_input;
mod bad_input_handles;
mod cancel_handles;
mod cancelling;
mod cancelling_by_id;
mod ending_for_ever;
mod ending_told;
mod ending_well;
#[cfg(target_os = "linux")]
mod faults;
mod guards;
mod guards_grace;
mod panics;
mod panics_hook;
mod panics_wakers;
#[cfg(target_os = "linux")]
mod precise_timers;
mod shutdown;
mod shutdown_guards;
mod shutdown_limits;
mod shutdown_report;
mod shutdown_survivors;
mod sleeping;
mod sleeping_elsewhere;
mod sleeping_order;
mod timed_calls;
mod timed_calls_late;
mod timeouts;
mod timeouts_elsewhere;
mod timer_tolerance;
mod virtual_time;
