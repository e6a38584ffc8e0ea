//! How many cases those tests try that draw them by themselves.
#![cfg(test)]

/// All of them; or as many as the property tests, where `PROPTEST_CASES` limits those: under valgrind.
pub(crate) fn cases(all: u64) -> u64 {
    let most = std::env::var("PROPTEST_CASES").ok().and_then(|most| most.parse().ok());
    most.map_or(all, |most: u64| most.min(all))
}
