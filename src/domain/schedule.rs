//! What is done for a key by itself, and when: from the key alone. What was done shows in
//! the key, so that nothing is done twice, and what an hour of downtime passed over is found
//! again.

use std::time::Duration;

use super::{
    key::{Key, KeyState},
    lineage::Lineage,
    time::Timestamp,
};

/// A change of a key that nobody asks for at the moment that it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// The overlap with its successor is over: it ends for good.
    EndOverlap,
    /// It goes on for as long as it was made for.
    Renew,
    /// A successor is made, and its secret sealed.
    Rotate,
    /// It is expired, and stays so whatever a clock says.
    Expire,
}

/// A renewal comes so long before the expiry; a tenth of the lifetime, where that is less.
const RENEWED_AHEAD: Duration = Duration::from_hours(7 * 24);

impl Key {
    /// What comes for it, each with its moment: in the past, if it is due.
    ///
    /// What has ended comes to nothing more: an expired key is not renewed, however long ago
    /// that was due, since everybody who asked was told EXPIRED. A key that is disabled, or
    /// that has a successor, expires and ends; it is neither renewed nor rotated. But it is
    /// renewed while nobody has its successor's secret: it is the one in use.
    pub fn deeds(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, Deed)> {
        let lives = self.revoked.is_none();
        let is_kept = self.is_kept(now);
        let overlap = self.lineage.successor.map(|successor| (successor.overlap_end_time, Deed::EndOverlap));
        let in_use = is_kept || (self.overlap_is_open() && self.state(now) == KeyState::Active);
        let renewal = self.renewal_time().map(|at| (at, Deed::Renew)).filter(|_| in_use);
        let rotation = self.upkeep.rotation.as_ref().filter(|rotation| is_kept && rotation.recipient.is_some());
        let rotation = rotation.map(|rotation| (rotation.next_time, Deed::Rotate));
        let expiry = self.expire_time.filter(|_| !self.expired).map(|at| (at, Deed::Expire));
        [overlap, renewal, rotation, expiry].into_iter().flatten().filter(move |_| lives)
    }

    /// Whether it is looked after: it is good, and the newest of its chain.
    #[must_use]
    pub fn is_kept(&self, now: Timestamp) -> bool {
        self.state(now) == KeyState::Active && self.lineage.successor.is_none()
    }

    /// When it is renewed. None: it is not.
    #[must_use]
    pub fn renewal_time(&self) -> Option<Timestamp> {
        let lifetime = self.upkeep.lifetime.filter(|_| self.upkeep.auto_renew)?;
        self.renewed()?;
        Some(self.expire_time?.saturating_sub(RENEWED_AHEAD.min(lifetime / 10)))
    }

    /// The expiry that a renewal gives it. None: there is none, or no later one.
    fn renewed(&self) -> Option<Timestamp> {
        let lifetime = self.upkeep.lifetime.filter(|lifetime| !lifetime.is_zero())?;
        self.expire_time?.checked_add(lifetime)
    }

    /// Answers its new expiry. It was good until now, so that one lifetime more is ahead.
    pub fn renew(&mut self, now: Timestamp) -> Option<Timestamp> {
        let renewed = self.renewed()?;
        self.expire_time = Some(renewed);
        self.update_time = now;
        Some(renewed)
    }

    /// It has expired. Only an update that sets another time wakes it.
    pub fn expire(&mut self, now: Timestamp) {
        self.expired = true;
        self.update_time = now;
    }

    /// Whether its overlap goes on until its successor's secret was fetched.
    #[must_use]
    pub fn overlap_is_open(&self) -> bool {
        self.lineage.successor.is_some_and(|successor| successor.overlap_end_time == Lineage::OPEN)
    }

    /// Its overlap was open, and has an end from now on. `false`: it has one already, or none.
    pub fn close_overlap(&mut self, overlap: Duration, now: Timestamp) -> bool {
        if self.is_revoked(now) || !self.overlap_is_open() {
            return false;
        }
        let Some(successor) = &mut self.lineage.successor else { return false };
        let wished = now.checked_add(overlap).unwrap_or(Timestamp::MAX);
        successor.overlap_end_time = self.expire_time.map_or(wished, |expires| wished.min(expires));
        self.update_time = now;
        true
    }
}

#[cfg(test)]
mod tests;
