use super::{Word as _, corrupt, duration, environment, limits, list, micros, name, note, parse, texts};
use crate::{
    domain::{
        id::Revision,
        key::{Key, KeyEnvironment, KeyType, RevokeReason, Revoked},
        lineage::{Lineage, Successor},
        restriction::Restrictions,
        secret::{HASH_VERSION, SecretHash},
        text::Label,
        time::Timestamp,
        upkeep::{RotationPolicy, Upkeep},
    },
    store::{Error, entity::api_key},
};

pub(in crate::store) fn key(row: api_key::Model) -> Result<Key, Error> {
    let (lineage, upkeep) = (lineage(&row)?, upkeep(&row)?);
    let labels: Vec<(String, String)> = serde_json::from_value(row.labels).map_err(|e| corrupt("labels", e))?;
    let labels = labels.iter().map(|(key, value)| Label::parse(key, value).map_err(|e| corrupt("label", e)));
    let hash: [u8; 32] = row.secret_sha256.try_into().map_err(|_| corrupt("hash of", &row.key_id))?;
    if row.hash_version != HASH_VERSION {
        return Err(corrupt("hash version", row.hash_version));
    }
    let revoked = match (row.revoke_time, row.revoke_reason) {
        (Some(time), Some(reason)) => Some(Revoked {
            time: Timestamp::from_micros(time),
            reason: RevokeReason::read(&reason)?,
            comment: note(&row.revoke_comment)?,
        }),
        (None, None) => None,
        _ => return Err(corrupt("half a revocation of", &row.key_id)),
    };
    Ok(Key {
        id: parse(&row.key_id, "key id")?,
        application_id: parse(&row.application_id, "application id")?,
        name: name(&row.name)?,
        description: note(&row.description)?,
        kind: KeyType::read(&row.key_type)?,
        environment: KeyEnvironment::read(&row.environment)?,
        prefix: row.prefix,
        hash: SecretHash::from_bytes(hash),
        imported: row.imported,
        permissions: list(row.permissions, "permission")?,
        restrictions: Restrictions {
            ip_ranges: list(row.ip_allowlist, "IP range")?,
            referrers: list(row.referrer_allowlist, "referrer")?,
            resources: list(row.resource_allowlist, "resource")?,
        },
        limits: limits::limits(row.rate_limits, row.quotas)?,
        labels: labels.collect::<Result<_, _>>()?,
        disabled: row.disabled,
        create_time: Timestamp::from_micros(row.create_time),
        update_time: Timestamp::from_micros(row.update_time),
        expire_time: row.expire_time.map(Timestamp::from_micros),
        expired: row.expired,
        revoked,
        lineage,
        upkeep,
        created_by: parse(&row.created_by, "service account id")?,
        revision: Revision::new(row.revision),
    })
}

fn lineage(row: &api_key::Model) -> Result<Lineage, Error> {
    // Events of before there were rotations name no chain.
    let chain = if row.chain.is_empty() { &row.key_id } else { &row.chain };
    let successor = match (&row.rotated_to, row.overlap_end_time) {
        (Some(id), Some(end)) => {
            Some(Successor { key_id: parse(id, "key id")?, overlap_end_time: Timestamp::from_micros(end) })
        }
        (None, None) => None,
        _ => return Err(corrupt("half a rotation of", &row.key_id)),
    };
    let rotated_from = row.rotated_from.as_deref().map(|id| parse(id, "key id")).transpose()?;
    Ok(Lineage { chain: parse(chain, "key id")?, rotated_from, successor })
}

fn upkeep(row: &api_key::Model) -> Result<Upkeep, Error> {
    let recipient = row.rotation_recipient_kid.as_deref().map(|kid| parse(kid, "kid")).transpose()?;
    let rotation = match (row.rotation_period, row.next_rotation_time) {
        (Some(period), Some(next)) => Some(RotationPolicy {
            period: duration(period, "rotation period")?,
            next_time: Timestamp::from_micros(next),
            recipient,
        }),
        (None, None) if recipient.is_none() => None,
        _ => return Err(corrupt("half a rotation policy of", &row.key_id)),
    };
    let lifetime = row.lifetime.map(|micros| duration(micros, "lifetime")).transpose()?;
    Ok(Upkeep { auto_renew: row.auto_renew, lifetime, rotation })
}

pub(in crate::store) fn key_row(key: &Key) -> api_key::Model {
    let labels: Vec<(&str, &str)> = key.labels.iter().map(|label| (label.key(), label.value())).collect();
    let Key { lineage, upkeep, .. } = key;
    let rotation = upkeep.rotation.as_ref();
    api_key::Model {
        key_id: key.id.to_string(),
        application_id: key.application_id.to_string(),
        name: key.name.to_string(),
        description: key.description.to_string(),
        key_type: key.kind.word().to_owned(),
        environment: environment(key.environment),
        prefix: key.prefix.clone(),
        secret_sha256: key.hash.as_bytes().to_vec(),
        hash_version: HASH_VERSION,
        permissions: texts(&key.permissions),
        labels: serde_json::json!(labels),
        disabled: key.disabled,
        create_time: key.create_time.micros(),
        update_time: key.update_time.micros(),
        expire_time: key.expire_time.map(Timestamp::micros),
        revoke_time: key.revoked.as_ref().map(|revoked| revoked.time.micros()),
        revoke_reason: key.revoked.as_ref().map(|revoked| revoked.reason.word().to_owned()),
        revoke_comment: key.revoked.as_ref().map_or_else(String::new, |revoked| revoked.comment.to_string()),
        created_by: key.created_by.to_string(),
        revision: key.revision.number(),
        ip_allowlist: texts(&key.restrictions.ip_ranges),
        referrer_allowlist: texts(&key.restrictions.referrers),
        resource_allowlist: texts(&key.restrictions.resources),
        rate_limits: limits::rate_limits_json(&key.limits.rate_limits),
        quotas: limits::quotas_json(&key.limits.quotas),
        chain: lineage.chain.to_string(),
        rotated_from: lineage.rotated_from.map(|id| id.to_string()),
        rotated_to: lineage.successor.map(|successor| successor.key_id.to_string()),
        overlap_end_time: lineage.successor.map(|successor| successor.overlap_end_time.micros()),
        expired: key.expired,
        auto_renew: upkeep.auto_renew,
        lifetime: upkeep.lifetime.map(micros),
        rotation_period: rotation.map(|rotation| micros(rotation.period)),
        next_rotation_time: rotation.map(|rotation| rotation.next_time.micros()),
        imported: key.imported,
        rotation_recipient_kid: rotation.and_then(|rotation| rotation.recipient.as_ref()).map(ToString::to_string),
    }
}
