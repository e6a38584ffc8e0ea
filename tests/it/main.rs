//! The public contract, rule by rule: a module per subject, one behaviour per test.
//!
//! The first line of a test cites the rule of the contract that it checks. Nothing here sleeps and
//! nothing measures time, except for generous upper limits that turn a hang into a named failure.

#![cfg(not(loom))]

mod child;
mod support;

mod executor;
mod groups;
mod joining;
mod seed;
mod spawning;
mod start;
mod stress;
mod turns;
mod wakers;

mod bad_input;
mod bad_input_handles;
mod cancel_handles;
mod cancelling;
mod cancelling_by_id;
mod panics;
mod panics_hook;
mod panics_wakers;
mod shutdown;
mod shutdown_limits;
mod shutdown_report;
mod shutdown_survivors;
mod sleeping;
mod sleeping_elsewhere;
mod sleeping_order;
