// SPDX-License-Identifier: MIT OR Apache-2.0
//! Chance that can be repeated. Every draw is named by what it is about, so that leaving out one
//! decision of a world changes no other one: that is what makes shrinking work.

/// A stream of numbers (splitmix64, Steele, Lea and Flood 2014).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The stream for this seed and this subject.
    pub(crate) fn about(seed: u64, subject: &[u64]) -> Self {
        let mut dice = Self(seed ^ 0x5EED_0F00_D1CE);
        for word in subject {
            dice.0 = dice.next() ^ word.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        dice
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// 0 to `n` - 1; 0 when `n` is 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.next() % n }
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// One of these; the list is never empty.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let n = u64::try_from(from.len()).unwrap_or(1);
        let at = usize::try_from(self.below(n)).unwrap_or(0);
        &from[at]
    }
}

/// A number for a name (FNV-1a).
pub(crate) fn number_of(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}
