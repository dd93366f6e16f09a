use super::{
    common::{parse, permissions, to_duration, to_timestamp},
    key::{environment, to_environment, to_kind, to_label},
    limit,
};
use crate::{
    domain::{
        id::Revision,
        limit::MAX_COST,
        network,
        referrer::Origin,
        refusal::{Refusal, Violations},
        resource::Resource,
        secret::{SecretHash, SecretMalformed},
        verdict::{Facts, Verdict},
    },
    keys::{Answer, GetRateLimit, Subject, VerifyKey},
    pb,
};

pub(in crate::grpc) fn verify(request: &pb::VerifyKeyRequest) -> Result<VerifyKey, Refusal> {
    let mut v = Violations::default();
    let application_id = match request.application_id.as_str() {
        "" => None,
        text => parse(text, "application_id", &mut v),
    };
    let facts = facts(request, &mut v);
    let cost = cost(request.cost, &mut v);
    let min_revision = min_revision(request.min_revision, &mut v);
    let subject = match &request.subject {
        Some(pb::verify_key_request::Subject::Secret(text)) => Some(presented(text)),
        Some(pb::verify_key_request::Subject::KeyId(id)) if request.dry_run => {
            parse(id, "key_id", &mut v).map(Subject::Id)
        }
        Some(pb::verify_key_request::Subject::KeyId(_)) => {
            v.add("key_id", "is for dry runs only; send the secret, or set dry_run");
            None
        }
        None => {
            v.add("secret", "this is required, or a key_id with dry_run");
            None
        }
    };
    let subject = v.settle_with(subject)?;
    let dry_run = request.dry_run;
    Ok(VerifyKey { subject, application_id, facts, cost, min_revision, dry_run, may_cache: true })
}

pub(in crate::grpc) fn rate_limit(request: &pb::GetRateLimitRequest) -> Result<GetRateLimit, Refusal> {
    let mut v = Violations::default();
    let application_id = match request.application_id.as_str() {
        "" => None,
        text => parse(text, "application_id", &mut v),
    };
    let subject = match &request.subject {
        Some(pb::get_rate_limit_request::Subject::Secret(text)) => Some(presented(text)),
        Some(pb::get_rate_limit_request::Subject::KeyId(id)) => parse(id, "key_id", &mut v).map(Subject::Id),
        None => {
            v.add("secret", "this or a key_id is required");
            None
        }
    };
    Ok(GetRateLimit { subject: v.settle_with(subject)?, application_id })
}

/// A key's text as its holder sent it.
pub(in crate::grpc) fn presented(text: &str) -> Subject {
    match SecretHash::of_presented(text) {
        Ok(hash) => Subject::Hash(hash),
        Err(SecretMalformed) => SecretHash::of_foreign(text).map_or(Subject::Malformed, Subject::Foreign),
    }
}

/// What is known of the request. `client_ip` comes from infrastructure: what is no address
/// is a mistake in its configuration. Referrer and resource come from whoever sent the
/// request: what does not read is as good as unknown, and refused where it matters.
fn facts(request: &pb::VerifyKeyRequest, v: &mut Violations) -> Facts {
    let client_ip = match request.client_ip.as_str() {
        "" => None,
        text => v.check("client_ip", network::parse_address(text)),
    };
    Facts {
        environment: environment(request.environment, v),
        required_permissions: permissions(&request.required_permissions, "required_permissions", v),
        client_ip,
        referrer: Origin::parse(&request.referrer).ok(),
        resource: Resource::parse(&request.resource).ok(),
    }
}

fn cost(cost: i64, violations: &mut Violations) -> u64 {
    match u64::try_from(cost) {
        Ok(0) => 1,
        Ok(cost) if cost <= MAX_COST => cost,
        _ => {
            violations.add("cost", format!("must be 1 to {MAX_COST}, or unset for 1"));
            1
        }
    }
}

fn min_revision(revision: i64, violations: &mut Violations) -> Revision {
    if revision < 0 {
        violations.add("min_revision", "must not be negative");
    }
    Revision::new(revision.max(0))
}

pub(in crate::grpc) fn to_answer(answer: &Answer) -> pb::VerifyKeyResponse {
    let mut response = pb::VerifyKeyResponse {
        verdict: to_verdict(answer.verdict).into(),
        revision: answer.revision.number(),
        failed_checks: answer.failed_checks.iter().map(|verdict| to_verdict(*verdict).into()).collect(),
        ..Default::default()
    };
    if let Some(key) = &answer.key {
        response.key_id = key.id.to_string();
        response.application_id = key.application_id.to_string();
        response.name = String::from(&*key.name);
        response.r#type = to_kind(key.kind).into();
        response.environment = to_environment(key.environment).into();
        response.permissions = key.permissions.iter().map(|permission| permission.as_str().to_owned()).collect();
        response.labels = key.labels.iter().map(to_label).collect();
        response.expire_time = key.expire_time.map(to_timestamp);
        response.rate_limits = answer.balances.iter().map(limit::to_status).collect();
        response.retry_after = answer.retry_after.map(to_duration);
        response.superseded_by = key.successor.as_ref().map_or_else(String::new, |next| next.key_id.to_string());
        response.cache_ttl = answer.cache_ttl.map(to_duration);
    }
    response
}

pub(in crate::grpc) fn to_verdict(verdict: Verdict) -> pb::Verdict {
    match verdict {
        Verdict::Valid => pb::Verdict::Valid,
        Verdict::Malformed => pb::Verdict::Malformed,
        Verdict::NotFound => pb::Verdict::NotFound,
        Verdict::Revoked => pb::Verdict::Revoked,
        Verdict::Expired => pb::Verdict::Expired,
        Verdict::Disabled => pb::Verdict::Disabled,
        Verdict::EnvironmentNotAllowed => pb::Verdict::EnvironmentNotAllowed,
        Verdict::PermissionMissing => pb::Verdict::PermissionMissing,
        Verdict::IpNotAllowed => pb::Verdict::IpNotAllowed,
        Verdict::ReferrerNotAllowed => pb::Verdict::ReferrerNotAllowed,
        Verdict::ResourceNotAllowed => pb::Verdict::ResourceNotAllowed,
        Verdict::RateLimited => pb::Verdict::RateLimited,
        Verdict::QuotaExceeded => pb::Verdict::QuotaExceeded,
    }
}
