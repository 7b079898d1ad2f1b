//! Chance that is none: the same text always gives the same number.

/// A number in 0..1 that depends on the text alone (FNV-1a): what is spread by it is spread in the same way after a restart, and a
/// plan that is made again is the same.
pub fn fraction(text: &str) -> f64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    f64::from(u32::try_from(hash >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}
