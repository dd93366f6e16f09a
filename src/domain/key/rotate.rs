use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use super::{Key, KeyState, RevokeReason, Revoked};
use crate::domain::{
    id::{KeyId, Revision, ServiceAccountId},
    lineage::{Lineage, Successor},
    refusal::{Refusal, Violations},
    secret::SecretHash,
    text::Note,
    time::Timestamp,
    upkeep::{RotationPolicy, Upkeep},
};

/// What a successor has of its own: everything else is its predecessor's.
#[derive(Debug, Clone)]
pub struct Rotation {
    pub successor: KeyId,
    pub prefix: String,
    pub hash: SecretHash,
    /// Who rotates.
    pub created_by: ServiceAccountId,
    /// How long the old key stays good. Zero: it ends at once. Beyond all time: until its
    /// successor's secret was fetched.
    pub overlap: Duration,
    /// None: as the old key.
    pub expire_time: Option<Timestamp>,
}

impl Key {
    /// Makes the successor, and notes in this key that there is one and when its own end is. A
    /// rotation policy begins anew with the successor. Whether somebody may have its secret is the
    /// caller's to say.
    pub fn rotate(&mut self, rotation: Rotation, now: Timestamp) -> Result<Self, Refusal> {
        let Rotation { successor, prefix, hash, created_by, overlap, expire_time } = rotation;
        if self.is_revoked(now) {
            return Err(Refusal::KeyRevoked);
        }
        if let Some(known) = self.lineage.successor {
            return Err(Refusal::KeyAlreadyRotated(known.key_id));
        }
        if self.state(now) == KeyState::Expired && expire_time.is_none() {
            let what = "the key has expired, and so would its successor; set an expire_time or a ttl";
            return Err(Refusal::FieldInvalid(Violations::one("expire_time", what)));
        }
        let rotation = self.upkeep.rotation.as_ref();
        let next = Self {
            id: successor,
            prefix,
            hash,
            imported: false,
            create_time: now,
            update_time: now,
            expire_time: expire_time.or(self.expire_time),
            expired: false,
            lineage: Lineage { chain: self.lineage.chain, rotated_from: Some(self.id), successor: None },
            upkeep: Upkeep {
                auto_renew: self.upkeep.auto_renew,
                lifetime: expire_time.map(|at| at.since(now)).or(self.upkeep.lifetime),
                rotation: rotation.map(|known| RotationPolicy::begin(known.period, known.recipient.clone(), now)),
            },
            created_by,
            revision: Revision::default(),
            ..self.clone()
        };
        self.begin_overlap(successor, overlap, now);
        Ok(next)
    }

    /// Not beyond its own expiry. One that has expired has no time left to be good in.
    fn begin_overlap(&mut self, key_id: KeyId, overlap: Duration, now: Timestamp) {
        let end = match now.checked_add(overlap) {
            _ if self.state(now) == KeyState::Expired => now,
            None => Lineage::OPEN,
            Some(wished) => wished.min(self.expire_time.unwrap_or(wished)),
        };
        self.lineage.successor = Some(Successor { key_id, overlap_end_time: end });
        self.update_time = now;
        self.end_overlap(now);
    }

    /// Writes its end down when the time beside its successor is over. `false`: it is not, or
    /// the key ended before.
    pub fn end_overlap(&mut self, now: Timestamp) -> bool {
        let end = if self.revoked.is_none() { self.superseded(now) } else { None };
        let Some(end) = end else { return false };
        self.revoked = Some(end);
        self.update_time = now;
        true
    }

    /// What the end of its overlap is, once that is over.
    pub(super) fn superseded(&self, now: Timestamp) -> Option<Revoked> {
        let over = self.lineage.successor.filter(|_| self.lineage.is_over(now))?;
        Some(Revoked { time: over.overlap_end_time, reason: RevokeReason::Superseded, comment: Note::default() })
    }
}

/// The keys of a chain in the order of their rotations: ids and times of keys that were made at one
/// moment, or while a clock was set back, do not say it. Where keys of it are gone, each piece
/// begins with the key whose predecessor is not there, the piece that was made first first. Nothing
/// is left out, whatever the keys say of each other.
#[must_use]
pub fn oldest_first(keys: Vec<Key>) -> Vec<Key> {
    let there: HashSet<KeyId> = keys.iter().map(|key| key.id).collect();
    let mut chain: Vec<Key> = Vec::with_capacity(keys.len());
    let mut by_predecessor: BTreeMap<Option<KeyId>, Vec<Key>> = BTreeMap::new();
    for key in keys {
        let predecessor = key.lineage.rotated_from.filter(|id| there.contains(id));
        by_predecessor.entry(predecessor).or_default().push(key);
    }
    let mut ahead = by_predecessor.remove(&None).unwrap_or_default();
    ahead.sort_by_key(|key| Reverse((key.create_time, key.id)));
    while let Some(next) = ahead.pop() {
        ahead.extend(by_predecessor.remove(&Some(next.id)).unwrap_or_default());
        chain.push(next);
    }
    chain.extend(by_predecessor.into_values().flatten());
    chain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        event::{Cause, Changed},
        id::ApplicationId,
        key::{KeyEnvironment, KeyPatch, KeyType},
        limit::Limits,
        restriction::Restrictions,
        text::{Label, Name},
    };

    const HOUR: Duration = Duration::from_hours(1);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn id(number: u128) -> KeyId {
        KeyId::new(Uuid::from_u128(number))
    }

    fn hash(byte: u8) -> SecretHash {
        SecretHash::from_bytes([byte; 32])
    }

    fn key(expire_time: Option<Timestamp>) -> Key {
        let maker = ServiceAccountId::new(Uuid::from_u128(8));
        Key {
            id: id(1),
            application_id: ApplicationId::new(Uuid::from_u128(9)),
            name: Name::parse("mine").expect("name"),
            description: Note::parse("what for").expect("note"),
            kind: KeyType::Secret,
            environment: KeyEnvironment::Test,
            prefix: "sk_test_000000".to_owned(),
            hash: hash(1),
            imported: true,
            permissions: vec!["tasks:read".parse().expect("permission")],
            restrictions: Restrictions {
                ip_ranges: vec!["192.0.2.0/24".parse().expect("range")],
                ..Default::default()
            },
            limits: Limits::default(),
            labels: vec![Label::parse("team", "a").expect("label")],
            disabled: false,
            create_time: at(0),
            update_time: at(0),
            expire_time,
            expired: false,
            revoked: None,
            lineage: Lineage::first(id(1)),
            upkeep: Upkeep {
                auto_renew: expire_time.is_some(),
                lifetime: expire_time.map(|end| end.since(at(0))),
                rotation: Some(RotationPolicy::begin(24 * HOUR, None, at(0))),
            },
            created_by: maker,
            revision: Revision::new(7),
        }
    }

    fn to(number: u8, overlap: Duration) -> Rotation {
        let created_by = ServiceAccountId::new(Uuid::from_u128(10));
        let prefix = format!("sk_test_{number:06}");
        Rotation { successor: id(number.into()), prefix, hash: hash(number), created_by, overlap, expire_time: None }
    }

    #[test]
    fn a_successor_has_all_of_the_settings_and_nothing_else() {
        let mut old = key(Some(at(1_000_000)));
        let was = old.clone();
        let new = old.rotate(to(2, HOUR), at(500)).expect("rotate");
        let own = Key {
            id: id(2),
            prefix: "sk_test_000002".to_owned(),
            hash: hash(2),
            imported: false,
            create_time: at(500),
            update_time: at(500),
            lineage: Lineage { chain: id(1), rotated_from: Some(id(1)), successor: None },
            upkeep: Upkeep { rotation: Some(RotationPolicy::begin(24 * HOUR, None, at(500))), ..was.upkeep.clone() },
            created_by: ServiceAccountId::new(Uuid::from_u128(10)),
            revision: Revision::default(),
            ..was.clone()
        };
        assert_eq!(new, own);
        let successor = Some(Successor { key_id: id(2), overlap_end_time: at(500 + 3600) });
        let lineage = Lineage { successor, ..was.lineage.clone() };
        assert_eq!(old, Key { lineage, update_time: at(500), ..was });
        assert_eq!((old.state(at(4099)), old.state(at(4100))), (KeyState::Active, KeyState::Revoked));
    }

    #[test]
    fn a_new_expiration_begins_a_new_lifetime_and_the_old_one_stays_otherwise() {
        let lifetime = |expire_time| {
            let mut old = key(Some(at(1000)));
            let new = old.rotate(Rotation { expire_time, ..to(2, HOUR) }, at(500)).expect("rotate");
            (new.expire_time, new.upkeep.lifetime)
        };
        assert_eq!(lifetime(None), (Some(at(1000)), Some(Duration::from_secs(1000))));
        assert_eq!(lifetime(Some(at(700))), (Some(at(700)), Some(Duration::from_secs(200))));
    }

    #[test]
    fn without_an_overlap_the_old_key_ends_at_once() {
        let mut old = key(None);
        old.rotate(to(2, Duration::ZERO), at(500)).expect("rotate");
        let end = Revoked { time: at(500), reason: RevokeReason::Superseded, comment: Note::default() };
        assert_eq!(old.revoked, Some(end));
        assert_eq!(old.rotate(to(3, HOUR), at(500)).expect_err("ended"), Refusal::KeyRevoked);
    }

    #[test]
    fn only_the_newest_rotates() {
        let mut old = key(None);
        let mut new = old.rotate(to(2, HOUR), at(0)).expect("rotate");
        assert_eq!(old.rotate(to(3, HOUR), at(1)).expect_err("rotated"), Refusal::KeyAlreadyRotated(id(2)));
        let third = new.rotate(to(3, HOUR), at(1)).expect("rotate");
        assert_eq!((third.lineage.chain, third.lineage.rotated_from), (id(1), Some(id(2))));
        assert_eq!(old.rotate(to(4, HOUR), at(3600)).expect_err("over"), Refusal::KeyRevoked);
    }

    #[test]
    fn an_expired_key_rotates_with_a_new_expiration_only_and_has_no_overlap() {
        for expired in [false, true] {
            let mut old = Key { expired, ..key(Some(at(if expired { 900 } else { 100 }))) };
            let refused = old.rotate(to(2, HOUR), at(500)).expect_err("expired");
            assert!(matches!(refused, Refusal::FieldInvalid(_)), "{refused}");
            let expire_time = Some(at(1000));
            let new = old.rotate(Rotation { expire_time, ..to(2, HOUR) }, at(500)).expect("rotate");
            assert_eq!((new.state(at(500)), old.state(at(500))), (KeyState::Active, KeyState::Revoked));
            assert_eq!(old.revoked.map(|end| end.time), Some(at(500)), "and not before it was rotated");
        }
    }

    #[test]
    fn the_end_of_an_overlap_is_written_whatever_somebody_revokes_it_for() {
        let mut old = key(None);
        old.rotate(to(2, HOUR), at(0)).expect("rotate");
        assert!(!old.end_overlap(at(3599)));
        let mut early = old.clone();
        assert_eq!(early.revoke(RevokeReason::Leaked, Note::default(), at(3599)), Some(Cause::Revoked));
        assert_eq!(early.revoked.as_ref().map(|end| end.reason), Some(RevokeReason::Leaked));
        assert!(!early.end_overlap(at(3600)), "an end stays as it is");
        let seen = old.end(at(4000));
        assert_eq!(old.revoke(RevokeReason::Leaked, Note::default(), at(4000)), Some(Cause::Rotated));
        assert_eq!(old.revoked, seen, "as everybody saw it before");
        assert_eq!(old.revoked.as_ref().map(|end| (end.time, end.reason)), Some((at(3600), RevokeReason::Superseded)));
        assert_eq!(old.revoke(RevokeReason::Leaked, Note::default(), at(4001)), None);
    }

    #[test]
    fn the_end_of_an_overlap_moves_within_the_expiry() {
        let mut old = key(Some(at(9000)));
        old.rotate(to(2, HOUR), at(0)).expect("rotate");
        let all = ["*".parse().expect("permission")];
        let mut set = |end| {
            let patch = KeyPatch { overlap_end_time: Some(at(end)), ..Default::default() };
            let changed = old.update(patch, &all, at(1)).expect("update");
            (changed, old.lineage.successor.map(|successor| successor.overlap_end_time))
        };
        assert_eq!(set(1800), (Changed::Yes(Some(Cause::Narrowed)), Some(at(1800))));
        assert_eq!(set(7200), (Changed::Yes(None), Some(at(7200))));
        assert_eq!(set(10_000), (Changed::Yes(None), Some(at(9000))));
        let patch = KeyPatch { expire_time: Some(Some(at(600))), ..Default::default() };
        assert_eq!(old.update(patch, &all, at(1)), Ok(Changed::Yes(Some(Cause::Narrowed))));
        assert_eq!(old.lineage.successor.map(|successor| successor.overlap_end_time), Some(at(600)));
    }

    /// `length` keys, each the successor of the one before, all made at one moment.
    fn chain_of(length: u8) -> Vec<Key> {
        let mut chain = vec![key(None)];
        for next in 2..=length {
            let successor = chain.last_mut().expect("a key").rotate(to(next, HOUR), at(0)).expect("rotate");
            chain.push(successor);
        }
        chain
    }

    #[test]
    fn keys_that_follow_each_other_in_a_circle_are_all_there() {
        let mut chain = chain_of(3);
        chain[0].lineage.rotated_from = Some(id(3));
        let mut found: Vec<_> = oldest_first(chain).into_iter().map(|key| key.id).collect();
        found.sort();
        assert_eq!(found, [id(1), id(2), id(3)]);
    }

    proptest! {
        #[test]
        fn the_order_stays_whichever_keys_are_gone(
            kept in proptest::collection::vec(any::<bool>(), 1..12), turn in 0_u8..=255,
        ) {
            let chain = chain_of(u8::try_from(kept.len()).expect("few"));
            let left: Vec<Key> = chain.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(key, _)| key).collect();
            let mut shuffled = left.clone();
            shuffled.sort_by_key(|key| key.hash.as_bytes()[0].wrapping_mul(91).wrapping_add(turn));
            prop_assert_eq!(oldest_first(shuffled), left);
        }

        /// Whatever is rotated whenever: a chain has one newest key, each key its own secret, an
        /// overlap ends when it was told to, within the expiry, and nothing else changes.
        #[test]
        fn a_chain_stays_a_chain(
            expires in proptest::option::of(1_i64..50), disabled: bool,
            steps in proptest::collection::vec((0_i64..10, 0_u64..20, proptest::option::of(1_i64..20), 0_usize..4), 1..12),
        ) {
            let mut now = 0;
            let mut chain = vec![Key { disabled, ..key(expires.map(at)) }];
            for (wait, overlap, ttl, back) in steps {
                now += wait;
                let asked = chain.len().saturating_sub(1 + back / 3);
                let next = u8::try_from(chain.len() + 1).expect("few");
                let rotation =
                    Rotation { expire_time: ttl.map(|ttl| at(now + ttl)), ..to(next, Duration::from_secs(overlap)) };
                let (was, mut old) = (chain[asked].clone(), chain[asked].clone());
                match old.rotate(rotation, at(now)) {
                    Err(_) => prop_assert_eq!(&old, &was, "what is refused changes nothing"),
                    Ok(new) => {
                        prop_assert_eq!(asked + 1, chain.len());
                        let end = old.lineage.successor.expect("a successor").overlap_end_time;
                        prop_assert!(end <= at(now + i64::try_from(overlap).expect("small")));
                        prop_assert!(end >= at(now) && old.expire_time.is_none_or(|expiry| end <= expiry.max(at(now))));
                        prop_assert_eq!(old.revoked.is_some(), end == at(now));
                        prop_assert_eq!(new.state(at(now)), if disabled { KeyState::Disabled } else { KeyState::Active });
                        prop_assert_eq!((&new.permissions, &new.restrictions, &new.limits, &new.labels),
                            (&was.permissions, &was.restrictions, &was.limits, &was.labels));
                        chain[asked] = old;
                        chain.push(new);
                    }
                }
            }
            for pair in chain.windows(2) {
                prop_assert_eq!(pair[0].lineage.successor.map(|next| next.key_id), Some(pair[1].id));
                prop_assert_eq!(pair[1].lineage.rotated_from, Some(pair[0].id));
                prop_assert_eq!(pair[1].lineage.chain, chain[0].id);
                prop_assert!(pair[0].hash != pair[1].hash && pair[0].prefix != pair[1].prefix);
            }
            let mut shuffled = chain.clone();
            shuffled.sort_by_key(|key| key.hash.as_bytes()[0].wrapping_mul(91));
            prop_assert_eq!(&oldest_first(shuffled), &chain);
            prop_assert!(chain.last().is_some_and(|newest| newest.lineage.successor.is_none()));
        }
    }
}
