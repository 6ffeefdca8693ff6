//! A hash whose values are the same in every run and every version: routes must not change with a restart.

use std::hash::Hasher;

/// Spreads a change of any bit over all bits (the finalizer of `MurmurHash3`).
pub(super) const fn mix(mut bits: u64) -> u64 {
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ (bits >> 33)
}

/// FNV-1a with 64 bits, mixed at the end because its low bits depend on too little.
pub(super) struct Stable(u64);

impl Default for Stable {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Stable {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Lengths, the same on every machine.
    fn write_usize(&mut self, length: usize) {
        self.write(&(length as u64).to_le_bytes());
    }

    fn finish(&self) -> u64 {
        mix(self.0)
    }
}
