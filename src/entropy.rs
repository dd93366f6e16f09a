//! The only place on the server's side that draws randomness.

use std::sync::{Arc, Mutex, PoisonError};

use rand::{
    Rng as _, SeedableRng as _, TryRng as _,
    rngs::{StdRng, SysRng},
};
use rsa::rand_core::{CryptoRng, RngCore};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::domain::time::Timestamp;

/// Where ids, key texts and jitter come from.
#[derive(Debug, Clone)]
pub struct Entropy(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Seeded(Arc<Mutex<StdRng>>),
}

/// The operating system gave no entropy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no entropy")]
pub struct NoEntropy;

/// Draws, inside [`Entropy::draw`] only.
#[derive(Debug)]
pub struct Draw<'a> {
    entropy: &'a Entropy,
    failed: bool,
}

impl RngCore for Draw<'_> {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.failed |= self.entropy.fill(bytes).is_err();
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Draw<'_> {}

impl Entropy {
    /// The operating system's.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// The same draws for the same seed: for tests, which print the seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed)))))
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        match &self.0 {
            Source::System => SysRng.try_fill_bytes(bytes).map_err(|_| NoEntropy),
            Source::Seeded(rng) => {
                rng.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
                Ok(())
            }
        }
    }

    /// 256 bits for the text of a key.
    pub fn key_material(&self) -> Result<Zeroizing<[u8; 32]>, NoEntropy> {
        let mut bytes = Zeroizing::new([0; 32]);
        self.fill(&mut *bytes)?;
        Ok(bytes)
    }

    /// Lets `f` draw through the interface that the rsa crate knows. What was made of a draw that
    /// failed is thrown away.
    pub fn draw<T>(&self, f: impl FnOnce(&mut Draw<'_>) -> T) -> Result<T, NoEntropy> {
        let mut draw = Draw { entropy: self, failed: false };
        let made = f(&mut draw);
        if draw.failed { Err(NoEntropy) } else { Ok(made) }
    }

    /// A UUID version 7: ordered by the time of its making, 74 bits of it random.
    pub fn uuid(&self, now: Timestamp) -> Result<Uuid, NoEntropy> {
        let mut random = [0; 10];
        self.fill(&mut random)?;
        let millis = u64::try_from(now.micros() / 1000).unwrap_or(0);
        Ok(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// 16 bytes for a name that need not be secret.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn name(&self) -> [u8; 16] {
        match &self.0 {
            // Every call that brings no name asks for one: the thread's generator makes no system call.
            Source::System => rand::random(),
            Source::Seeded(rng) => {
                let mut bytes = [0; 16];
                rng.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
                bytes
            }
        }
    }

    /// A number from 0 up to and not including 1, for jitter.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        let mut bytes = [0; 4];
        match self.fill(&mut bytes) {
            Ok(()) => f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
            Err(NoEntropy) => 0.5,
        }
    }
}
