//! A number that looks like chance, from one that counts.

/// 2^64 divided by the golden ratio.
pub(crate) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes a number so that its high bits depend on all of its bits. One product alone spreads most runs of numbers
/// evenly (Knuth, "The Art of Computer Programming", vol. 3, 6.4), but not those whose distance from each
/// other is a Fibonacci number: they come to lie side by side.
#[inline]
pub(super) fn mix(number: u64) -> u64 {
    let mixed = number.wrapping_mul(GOLDEN);
    (mixed ^ (mixed >> 32)).wrapping_mul(GOLDEN)
}
