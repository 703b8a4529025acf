//! Chance that can be had again: a test that rolls dice prints their seed.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// Dice (`SplitMix64`).
#[derive(Clone, Debug)]
pub struct Dice {
    seed: u64,
    state: u64,
}

impl Dice {
    /// Dice with the seed in this variable, else with one that nobody chose.
    pub fn from_variable(name: &str) -> Self {
        let stated = std::env::var(name).ok().and_then(|text| text.parse().ok());
        // The standard library draws random keys for its hash maps; they are as good here.
        let seed = stated.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        Self { seed, state: seed }
    }

    /// What gives the same dice again.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Other dice, which fall as these decide.
    #[must_use]
    pub fn split(&mut self) -> Self {
        let seed = self.below(u64::MAX);
        Self { seed, state: seed }
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }
}
