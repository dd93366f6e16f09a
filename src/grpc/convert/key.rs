mod import;
mod leak;
mod rotate;
mod update;

use std::str::FromStr;

pub(in crate::grpc) use import::{import, to_imported};
pub(in crate::grpc) use leak::report_leaked;
pub(in crate::grpc) use rotate::{rotate, to_rotated};
pub(in crate::grpc) use update::update;

use super::{
    common::{note, parse, permissions, texts, timestamp, to_timestamp, ttl},
    limit, upkeep,
    usage::to_usage,
};
use crate::{
    domain::{
        id::Revision,
        key::{KeyEnvironment, KeyState, KeyType, MAX_LABELS, RevokeReason},
        refusal::{Refusal, Violations},
        restriction::{MAX_ALLOWED, Restrictions},
        text::{Label, Name},
        time::Timestamp,
        usage::UsedKey,
    },
    grpc::unpack,
    keys::{Expiration, GetSealedSecret, NewKey, RevokeKey, Sealed},
    pb,
};

pub(in crate::grpc) fn new_key(request: &pb::CreateKeyRequest) -> Result<NewKey, Refusal> {
    let mut v = Violations::default();
    let expiration = match request.expiration {
        None => None,
        Some(pb::create_key_request::Expiration::ExpireTime(time)) => {
            timestamp(time, "expire_time", &mut v).map(Expiration::At)
        }
        Some(pb::create_key_request::Expiration::Ttl(time)) => ttl(time, &mut v).map(Expiration::After),
    };
    let application_id = parse(&request.application_id, "application_id", &mut v);
    let name = v.check("name", Name::parse(&request.name));
    let description = note(&request.description, "description", &mut v);
    let kind = kind(request.r#type, &mut v);
    let environment = environment(request.environment, &mut v);
    let permissions = permissions(&request.permissions, "permissions", &mut v);
    let restrictions = Restrictions {
        ip_ranges: rules(&request.ip_allowlist, "ip_allowlist", &mut v),
        referrers: rules(&request.referrer_allowlist, "referrer_allowlist", &mut v),
        resources: rules(&request.resource_allowlist, "resource_allowlist", &mut v),
    };
    let limits = limit::limits(&request.rate_limits, &request.quotas, &mut v);
    let labels = labels(&request.labels, "labels", &mut v);
    let rotation_period = upkeep::rotation_period(request.rotation_period, "rotation_period", &mut v);
    let rotation_recipient = upkeep::recipient(&request.rotation_recipient_kid, "rotation_recipient_kid", &mut v);
    if rotation_recipient.is_some() && request.rotation_period.is_none() {
        v.add("rotation_recipient_kid", "needs a rotation_period");
    }
    let auto_renew = request.auto_renew;
    let request = unpack::create_request(&request.request_id, "CreateKey", request, &mut v);
    let (application_id, name) = v.settle_with(application_id.zip(name))?;
    Ok(NewKey {
        application_id,
        name,
        description,
        kind,
        environment,
        permissions,
        expiration,
        restrictions,
        limits,
        labels,
        auto_renew,
        rotation_period,
        rotation_recipient,
        request,
    })
}

pub(in crate::grpc) fn revoke(request: pb::RevokeKeyRequest) -> Result<RevokeKey, Refusal> {
    let mut v = Violations::default();
    let reason = reason(request.reason, &mut v);
    let comment = note(&request.comment, "comment", &mut v);
    let application_id = parse(&request.application_id, "application_id", &mut v);
    let key_id = parse(&request.key_id, "key_id", &mut v);
    let (application_id, key_id) = v.settle_with(application_id.zip(key_id))?;
    Ok(RevokeKey { application_id, key_id, reason, comment, etag: request.etag })
}

pub(in crate::grpc) fn sealed_secret(request: &pb::GetSealedSecretRequest) -> Result<GetSealedSecret, Refusal> {
    let mut v = Violations::default();
    let application_id = parse(&request.application_id, "application_id", &mut v);
    let key_id = parse(&request.key_id, "key_id", &mut v);
    let (application_id, key_id) = v.settle_with(application_id.zip(key_id))?;
    Ok(GetSealedSecret { application_id, key_id })
}

pub(in crate::grpc) fn to_sealed(sealed: Sealed, revision: Revision) -> pb::GetSealedSecretResponse {
    pb::GetSealedSecretResponse {
        key_id: sealed.key_id.to_string(),
        kid: sealed.recipient.to_string(),
        ciphertext: sealed.ciphertext,
        algorithm: "RSA-OAEP-256".to_owned(),
        revision: revision.number(),
    }
}

pub(in crate::grpc) fn filter_environment(number: i32) -> Result<Option<KeyEnvironment>, Refusal> {
    if number == 0 {
        return Ok(None);
    }
    let mut v = Violations::default();
    let environment = environment(number, &mut v);
    v.settle()?;
    Ok(Some(environment))
}

fn labels(labels: &[pb::Label], field: &str, violations: &mut Violations) -> Vec<Label> {
    if labels.len() > MAX_LABELS {
        violations.add(field, format!("has {}; at most {MAX_LABELS} are allowed", labels.len()));
        return Vec::new();
    }
    let mut read: Vec<Label> = Vec::with_capacity(labels.len());
    for (at, label) in labels.iter().enumerate() {
        let (key_field, value_field) = (format!("{field}[{at}].key"), format!("{field}[{at}].value"));
        if read.iter().any(|known| known.key() == label.key) {
            violations.add(&key_field, "stands there twice");
        }
        violations.check(&key_field, Label::check_key(&label.key));
        violations.check(&value_field, Label::check_value(&label.value));
        read.extend(Label::parse(&label.key, &label.value));
    }
    read
}

/// An allowlist: at most 100 entries, each kept once.
fn rules<T>(texts: &[String], field: &str, violations: &mut Violations) -> Vec<T>
where
    T: FromStr + PartialEq,
    T::Err: ToString,
{
    if texts.len() > MAX_ALLOWED {
        violations.add(field, format!("has {}; at most {MAX_ALLOWED} are allowed", texts.len()));
        return Vec::new();
    }
    let mut rules: Vec<T> = Vec::with_capacity(texts.len());
    for (at, text) in texts.iter().enumerate() {
        let rule = violations.check(&format!("{field}[{at}]"), text.parse::<T>());
        rules.extend(rule.filter(|rule| !rules.contains(rule)));
    }
    rules
}

fn kind(number: i32, violations: &mut Violations) -> KeyType {
    match pb::KeyType::try_from(number) {
        Ok(pb::KeyType::Unspecified | pb::KeyType::Secret) => KeyType::Secret,
        Ok(pb::KeyType::Publishable) => KeyType::Publishable,
        Err(_) => {
            violations.add("type", "is not a value of KeyType");
            KeyType::Secret
        }
    }
}

pub(super) fn environment(number: i32, violations: &mut Violations) -> KeyEnvironment {
    match pb::KeyEnvironment::try_from(number) {
        Ok(pb::KeyEnvironment::Unspecified | pb::KeyEnvironment::Live) => KeyEnvironment::Live,
        Ok(pb::KeyEnvironment::Test) => KeyEnvironment::Test,
        Err(_) => {
            violations.add("environment", "is not a value of KeyEnvironment");
            KeyEnvironment::Live
        }
    }
}

fn reason(number: i32, violations: &mut Violations) -> RevokeReason {
    use pb::RevokeReason as R;
    match R::try_from(number) {
        Ok(R::Compromised) => RevokeReason::Compromised,
        Ok(R::Leaked) => RevokeReason::Leaked,
        Ok(R::Superseded) => RevokeReason::Superseded,
        Ok(R::Unused) => RevokeReason::Unused,
        Ok(R::OwnerGone) => RevokeReason::OwnerGone,
        Ok(R::Policy) => RevokeReason::Policy,
        Ok(R::Unspecified | R::Other) => RevokeReason::Other,
        Err(_) => {
            violations.add("reason", "is not a value of RevokeReason");
            RevokeReason::Other
        }
    }
}

pub(in crate::grpc) fn to_key(used: &UsedKey, now: Timestamp) -> pb::Key {
    let UsedKey { key, usage } = used;
    let end = key.end(now);
    let mut told = pb::Key {
        key_id: key.id.to_string(),
        application_id: key.application_id.to_string(),
        name: key.name.to_string(),
        description: key.description.to_string(),
        r#type: to_kind(key.kind).into(),
        environment: to_environment(key.environment).into(),
        prefix: key.prefix.clone(),
        permissions: texts(&key.permissions),
        state: to_state(key.state(now)).into(),
        disabled: key.disabled,
        ip_allowlist: texts(&key.restrictions.ip_ranges),
        referrer_allowlist: texts(&key.restrictions.referrers),
        resource_allowlist: texts(&key.restrictions.resources),
        rate_limits: key.limits.rate_limits.iter().map(limit::to_rate_limit).collect(),
        quotas: key.limits.quotas.iter().map(limit::to_quota).collect(),
        labels: key.labels.iter().map(to_label).collect(),
        create_time: Some(to_timestamp(key.create_time)),
        update_time: Some(to_timestamp(key.update_time)),
        expire_time: key.expire_time.map(to_timestamp),
        last_used_time: usage.last_used_time.map(to_timestamp),
        revoke_time: end.as_ref().map(|revoked| to_timestamp(revoked.time)),
        revoke_reason: end.as_ref().map_or(0, |revoked| to_reason(revoked.reason).into()),
        revoke_comment: end.as_ref().map_or_else(String::new, |revoked| revoked.comment.to_string()),
        created_by: key.created_by.to_string(),
        usage: to_usage(usage),
        unused: used.is_unused(now),
        revision: key.revision.number(),
        etag: key.revision.etag(),
        ..Default::default()
    };
    upkeep::add(key, &mut told);
    told
}

pub(super) fn to_label(label: &Label) -> pb::Label {
    pb::Label { key: label.key().to_owned(), value: label.value().to_owned() }
}

pub(in crate::grpc) fn to_kind(kind: KeyType) -> pb::KeyType {
    match kind {
        KeyType::Secret => pb::KeyType::Secret,
        KeyType::Publishable => pb::KeyType::Publishable,
    }
}

pub(in crate::grpc) fn to_environment(environment: KeyEnvironment) -> pb::KeyEnvironment {
    match environment {
        KeyEnvironment::Live => pb::KeyEnvironment::Live,
        KeyEnvironment::Test => pb::KeyEnvironment::Test,
    }
}

fn to_state(state: KeyState) -> pb::KeyState {
    match state {
        KeyState::Active => pb::KeyState::Active,
        KeyState::Disabled => pb::KeyState::Disabled,
        KeyState::Expired => pb::KeyState::Expired,
        KeyState::Revoked => pb::KeyState::Revoked,
    }
}

fn to_reason(reason: RevokeReason) -> pb::RevokeReason {
    match reason {
        RevokeReason::Compromised => pb::RevokeReason::Compromised,
        RevokeReason::Leaked => pb::RevokeReason::Leaked,
        RevokeReason::Superseded => pb::RevokeReason::Superseded,
        RevokeReason::Unused => pb::RevokeReason::Unused,
        RevokeReason::OwnerGone => pb::RevokeReason::OwnerGone,
        RevokeReason::Policy => pb::RevokeReason::Policy,
        RevokeReason::Other => pb::RevokeReason::Other,
    }
}
