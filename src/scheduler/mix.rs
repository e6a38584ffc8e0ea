//! A number that looks like chance, from one that counts.

/// 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes a number so that its high bits depend on all of its bits. One product alone spreads most runs of numbers
/// evenly (Knuth, "The Art of Computer Programming", vol. 3, 6.4), but not those whose distance from each
/// other is a Fibonacci number: they come to lie side by side.
#[inline]
pub(super) fn mix(number: u64) -> u64 {
    let mixed = number.wrapping_mul(GOLDEN);
    (mixed ^ (mixed >> 32)).wrapping_mul(GOLDEN)
}

/// The number that [`mix`] makes `mixed` of.
#[cfg(any(test, fuzzing))]
pub(super) fn unmix(mixed: u64) -> u64 {
    // What gives 1 when it is multiplied with an odd number, by Newton's method.
    let better = |x: u64, _| x.wrapping_mul(2_u64.wrapping_sub(GOLDEN.wrapping_mul(x)));
    let inverse = (0..6).fold(GOLDEN, better);
    let folded = mixed.wrapping_mul(inverse);
    (folded ^ (folded >> 32)).wrapping_mul(inverse)
}
