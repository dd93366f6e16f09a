//! When an application wants to hear that a key behaves unlike before.

/// What counts as suspicious. Zero in a field: what is usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AlertThresholds {
    /// So many refused calls of a key within a minute.
    pub denied_per_minute: u32,
    /// So many times the busiest hour of the last week.
    pub volume_factor: u32,
    /// A key's first call from another network is nothing to tell.
    pub ignore_new_networks: bool,
}

/// The highest that a threshold may be set to.
pub const MAX_THRESHOLD: u32 = 1_000_000_000;
const USUAL_DENIED: u32 = 100;
const USUAL_FACTOR: u32 = 10;

impl AlertThresholds {
    #[must_use]
    pub fn denied_per_minute(&self) -> u32 {
        if self.denied_per_minute == 0 { USUAL_DENIED } else { self.denied_per_minute }
    }

    #[must_use]
    pub fn volume_factor(&self) -> u32 {
        if self.volume_factor == 0 { USUAL_FACTOR } else { self.volume_factor }
    }
}
