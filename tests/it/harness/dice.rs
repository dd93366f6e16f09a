use portcullis::entropy::Entropy;

/// Numbers for random moments: the same for the same seed, which a failing test prints.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new() -> Self {
        let seed = (Entropy::system().fraction() * 4e9) as u64;
        println!("seed {seed}");
        Self(seed)
    }

    pub(crate) const fn from(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from 0 up to and not including `below`.
    pub(crate) fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}
