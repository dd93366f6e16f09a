use super::{
    super::{
        common::{note, parse, permissions, timestamp},
        limit,
        mask::Mask,
        upkeep,
    },
    labels, rules,
};
use crate::{
    domain::{
        key::KeyPatch,
        refusal::{Refusal, Violations},
        text::Name,
        time::Timestamp,
    },
    keys::UpdateKey,
    pb,
};

const UPDATABLE: &[&str] = &[
    "name",
    "description",
    "permissions",
    "disabled",
    "labels",
    "expire_time",
    "ip_allowlist",
    "referrer_allowlist",
    "resource_allowlist",
    "rate_limits",
    "quotas",
    "overlap_end_time",
    "auto_renew",
    "rotation_period",
    "rotation_recipient_kid",
];

pub(in crate::grpc) fn update(request: pb::UpdateKeyRequest) -> Result<UpdateKey, Refusal> {
    let mut v = Violations::default();
    let mask = Mask::read(request.update_mask, UPDATABLE, &mut v);
    let Some(key) = request.key else {
        v.add("key", "is required");
        return Err(Refusal::FieldInvalid(v));
    };
    let patch = KeyPatch {
        name: mask.pick("name", !key.name.is_empty(), || v.check("key.name", Name::parse(&key.name))).flatten(),
        description: mask
            .pick("description", !key.description.is_empty(), || note(&key.description, "key.description", &mut v)),
        permissions: mask.pick("permissions", !key.permissions.is_empty(), || {
            permissions(&key.permissions, "key.permissions", &mut v)
        }),
        ip_ranges: mask.pick("ip_allowlist", !key.ip_allowlist.is_empty(), || {
            rules(&key.ip_allowlist, "key.ip_allowlist", &mut v)
        }),
        referrers: mask.pick("referrer_allowlist", !key.referrer_allowlist.is_empty(), || {
            rules(&key.referrer_allowlist, "key.referrer_allowlist", &mut v)
        }),
        resources: mask.pick("resource_allowlist", !key.resource_allowlist.is_empty(), || {
            rules(&key.resource_allowlist, "key.resource_allowlist", &mut v)
        }),
        rate_limits: mask.pick("rate_limits", !key.rate_limits.is_empty(), || {
            limit::rate_limits(&key.rate_limits, "key.rate_limits", &mut v)
        }),
        quotas: mask.pick("quotas", !key.quotas.is_empty(), || limit::quotas(&key.quotas, "key.quotas", &mut v)),
        labels: mask.pick("labels", !key.labels.is_empty(), || labels(&key.labels, "key.labels", &mut v)),
        disabled: mask.pick("disabled", key.disabled, || key.disabled),
        expire_time: mask.pick("expire_time", key.expire_time.is_some(), || {
            key.expire_time.and_then(|time| timestamp(time, "key.expire_time", &mut v))
        }),
        overlap_end_time: mask
            .pick("overlap_end_time", key.overlap_end_time.is_some(), || overlap_end_time(&key, &mask, &mut v))
            .flatten(),
        auto_renew: mask.pick("auto_renew", key.auto_renew, || key.auto_renew),
        rotation_period: mask.pick("rotation_period", key.rotation_period.is_some(), || {
            upkeep::rotation_period(key.rotation_period, "key.rotation_period", &mut v)
        }),
        rotation_recipient: mask.pick("rotation_recipient_kid", !key.rotation_recipient_kid.is_empty(), || {
            upkeep::recipient(&key.rotation_recipient_kid, "key.rotation_recipient_kid", &mut v)
        }),
    };
    let application_id = parse(&key.application_id, "key.application_id", &mut v);
    let key_id = parse(&key.key_id, "key.key_id", &mut v);
    let (application_id, key_id) = v.settle_with(application_id.zip(key_id))?;
    Ok(UpdateKey { application_id, key_id, patch, etag: key.etag })
}

/// What was rotated ends: the end may be moved, but not taken away.
fn overlap_end_time(key: &pb::Key, mask: &Mask, violations: &mut Violations) -> Option<Timestamp> {
    if key.overlap_end_time.is_none() && !matches!(mask, Mask::All) {
        violations.add("key.overlap_end_time", "cannot be unset; set another time");
    }
    key.overlap_end_time.and_then(|time| timestamp(time, "key.overlap_end_time", violations))
}
