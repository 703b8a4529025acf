//! Random bytes from the operating system, handed to the core as arguments.

use doorward_core::secret::FlightKey;

/// Fills an array with random bytes.
///
/// # Panics
/// Where the operating system has no randomness to give: nothing that Doorward makes would be a secret then.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "there is no way to go on without randomness"
)]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// A fresh key for one flight.
#[must_use]
pub fn flight_key() -> FlightKey {
    FlightKey::from_random(bytes())
}

/// A random number from 0 up to, not including, 1.
#[must_use]
pub fn fraction() -> f64 {
    f64::from(u32::from_le_bytes(bytes())) / (f64::from(u32::MAX) + 1.0)
}
