//! Oracles and histories, for the unit tests and the fuzz targets.
//!
//! An oracle is a slow and plain definition of what a part of the crate does. A history is a sequence of
//! operations on that part, drawn from a seed or from the fuzzer's bytes. It is run on the part and on the
//! oracle side by side, and each answer is compared. Nothing here is in a build of the product.

#[cfg(not(loom))]
pub(crate) mod choices;
#[cfg(all(feature = "std", not(any(loom, shuttle))))]
pub(crate) mod injection_history;
#[cfg(not(loom))]
pub(crate) mod registry_history;
#[cfg(all(feature = "std", not(any(loom, shuttle))))]
mod task_oracle;
#[cfg(all(feature = "std", not(any(loom, shuttle))))]
pub(crate) mod waker_history;
#[cfg(not(loom))]
pub(crate) mod wheel_history;
#[cfg(not(loom))]
pub(crate) mod wheel_oracle;

/// How many cases a test tries that draws them itself: all of them; or as many as the property tests, where
/// `PROPTEST_CASES` limits those: under valgrind.
#[cfg(test)]
pub(crate) fn cases(all: u64) -> u64 {
    let most = std::env::var("PROPTEST_CASES").ok().and_then(|most| most.parse().ok());
    most.map_or(all, |most: u64| most.min(all))
}
