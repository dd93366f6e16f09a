use std::time::Duration;

use super::{
    common::{duration, parse, to_duration, to_timestamp},
    limit,
    mask::Mask,
    upkeep,
};
use crate::{
    applications::{NewApplication, UpdateApplication},
    domain::{
        alert::{AlertThresholds, MAX_THRESHOLD},
        application::{Application, ApplicationPatch, MAX_CACHE_TTL, USUAL_OVERLAP},
        email::{EmailAddress, MAX_EMAILS},
        limit::{Plan, PlanKind},
        notice::LeakPolicy,
        refusal::{Refusal, Violations},
        secret::KeyPrefix,
        text::Name,
    },
    grpc::unpack,
    pb,
};

const UPDATABLE: &[&str] = &[
    "name",
    "plan",
    "rate_limits",
    "overlap",
    "max_cache_ttl",
    "key_prefix",
    "notify_emails",
    "leak_policy",
    "alert_thresholds",
];

pub(in crate::grpc) fn new_application(request: &pb::CreateApplicationRequest) -> Result<NewApplication, Refusal> {
    let mut v = Violations::default();
    let create = unpack::create_request(&request.request_id, "CreateApplication", request, &mut v);
    let Some(wish) = &request.application else {
        v.add("application", "is required");
        return Err(Refusal::FieldInvalid(v));
    };
    set_by_server(&wish.application_id, "application.application_id", &mut v);
    set_by_server(&wish.etag, "application.etag", &mut v);
    let key_prefix = key_prefix(&wish.key_prefix, &mut v);
    let own = limit::rate_limits(&wish.rate_limits, "application.rate_limits", &mut v);
    let kind = plan(wish.plan, &mut v);
    let plan = v.check("application.rate_limits", Plan::None.patched(Some(kind), Some(own)));
    let max_cache_ttl = max_cache_ttl(wish.max_cache_ttl, &mut v);
    let overlap = upkeep::overlap(wish.overlap, "application.overlap", &mut v).unwrap_or(USUAL_OVERLAP);
    let notify_emails = emails(&wish.notify_emails, &mut v);
    let leak_policy = leak_policy(wish.leak_policy, &mut v);
    let alert_thresholds = thresholds(wish.alert_thresholds, &mut v);
    let name = v.check("application.name", Name::parse(&wish.name));
    let (name, plan) = v.settle_with(name.zip(plan))?;
    Ok(NewApplication {
        name,
        plan,
        max_cache_ttl,
        key_prefix,
        overlap,
        notify_emails,
        leak_policy,
        alert_thresholds,
        request: create,
    })
}

pub(in crate::grpc) fn update(request: pb::UpdateApplicationRequest) -> Result<UpdateApplication, Refusal> {
    let mut v = Violations::default();
    let mask = Mask::read(request.update_mask, UPDATABLE, &mut v);
    let Some(wish) = request.application else {
        v.add("application", "is required");
        return Err(Refusal::FieldInvalid(v));
    };
    let patch = ApplicationPatch {
        name: mask
            .pick("name", !wish.name.is_empty(), || v.check("application.name", Name::parse(&wish.name)))
            .flatten(),
        plan: mask.pick("plan", wish.plan != 0, || plan(wish.plan, &mut v)),
        rate_limits: mask.pick("rate_limits", !wish.rate_limits.is_empty(), || {
            limit::rate_limits(&wish.rate_limits, "application.rate_limits", &mut v)
        }),
        max_cache_ttl: mask
            .pick("max_cache_ttl", wish.max_cache_ttl.is_some(), || max_cache_ttl(wish.max_cache_ttl, &mut v)),
        key_prefix: mask.pick("key_prefix", !wish.key_prefix.is_empty(), || key_prefix(&wish.key_prefix, &mut v)),
        overlap: mask.pick("overlap", wish.overlap.is_some(), || {
            upkeep::overlap(wish.overlap, "application.overlap", &mut v).unwrap_or(USUAL_OVERLAP)
        }),
        notify_emails: mask
            .pick("notify_emails", !wish.notify_emails.is_empty(), || emails(&wish.notify_emails, &mut v)),
        leak_policy: mask.pick("leak_policy", wish.leak_policy != 0, || leak_policy(wish.leak_policy, &mut v)),
        alert_thresholds: mask
            .pick("alert_thresholds", wish.alert_thresholds.is_some(), || thresholds(wish.alert_thresholds, &mut v)),
    };
    let id = parse(&wish.application_id, "application.application_id", &mut v);
    let application_id = v.settle_with(id)?;
    Ok(UpdateApplication { application_id, patch, etag: wish.etag })
}

/// What the server sets is not taken from a create: it would be ignored, unnoticed.
pub(in crate::grpc) fn set_by_server(value: &str, field: &str, violations: &mut Violations) {
    if !value.is_empty() {
        violations.add(field, "is set by the server; leave it out");
    }
}

fn plan(number: i32, violations: &mut Violations) -> PlanKind {
    match pb::Plan::try_from(number) {
        Ok(pb::Plan::Unspecified) => PlanKind::None,
        Ok(pb::Plan::Free) => PlanKind::Free,
        Ok(pb::Plan::Professional) => PlanKind::Professional,
        Ok(pb::Plan::Enterprise) => PlanKind::Enterprise,
        Err(_) => {
            violations.add("application.plan", "is not a value of Plan");
            PlanKind::None
        }
    }
}

fn max_cache_ttl(ttl: Option<prost_types::Duration>, violations: &mut Violations) -> Duration {
    let ttl = ttl.map_or(Some(Duration::ZERO), duration).filter(|ttl| *ttl <= MAX_CACHE_TTL);
    ttl.unwrap_or_else(|| {
        violations.add("application.max_cache_ttl", "must be from 0 to 60 seconds");
        Duration::ZERO
    })
}

fn key_prefix(text: &str, violations: &mut Violations) -> Option<KeyPrefix> {
    if text.is_empty() { None } else { violations.check("application.key_prefix", KeyPrefix::parse(text)) }
}

/// Each named once.
fn emails(texts: &[String], violations: &mut Violations) -> Vec<EmailAddress> {
    if texts.len() > MAX_EMAILS {
        violations.add("application.notify_emails", format!("has {}; at most {MAX_EMAILS} are allowed", texts.len()));
        return Vec::new();
    }
    let mut read: Vec<EmailAddress> = Vec::with_capacity(texts.len());
    for (at, text) in texts.iter().enumerate() {
        let address = violations.check(&format!("application.notify_emails[{at}]"), text.parse());
        read.extend(address.filter(|address| !read.contains(address)));
    }
    read
}

fn leak_policy(number: i32, violations: &mut Violations) -> LeakPolicy {
    match pb::LeakPolicy::try_from(number) {
        Ok(pb::LeakPolicy::Unspecified | pb::LeakPolicy::Alert) => LeakPolicy::Alert,
        Ok(pb::LeakPolicy::Disable) => LeakPolicy::Disable,
        Ok(pb::LeakPolicy::Revoke) => LeakPolicy::Revoke,
        Err(_) => {
            violations.add("application.leak_policy", "is not a value of LeakPolicy");
            LeakPolicy::Alert
        }
    }
}

fn thresholds(wish: Option<pb::AlertThresholds>, violations: &mut Violations) -> AlertThresholds {
    let wish = wish.unwrap_or_default();
    let mut number = |number: i32, field: &str| {
        let fits = u32::try_from(number).ok().filter(|number| *number <= MAX_THRESHOLD);
        fits.unwrap_or_else(|| {
            let field = format!("application.alert_thresholds.{field}");
            violations.add(field, format!("must be 1 to {MAX_THRESHOLD}, or 0 for what is usual"));
            0
        })
    };
    AlertThresholds {
        denied_per_minute: number(wish.denied_per_minute, "denied_per_minute"),
        volume_factor: number(wish.volume_factor, "volume_factor"),
        ignore_new_networks: wish.ignore_new_networks,
    }
}

fn to_thresholds(thresholds: AlertThresholds) -> Option<pb::AlertThresholds> {
    let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let AlertThresholds { denied_per_minute, volume_factor, ignore_new_networks } = thresholds;
    (thresholds != AlertThresholds::default()).then(|| pb::AlertThresholds {
        denied_per_minute: number(denied_per_minute),
        volume_factor: number(volume_factor),
        ignore_new_networks,
    })
}

fn to_leak_policy(policy: LeakPolicy) -> pb::LeakPolicy {
    match policy {
        LeakPolicy::Alert => pb::LeakPolicy::Alert,
        LeakPolicy::Disable => pb::LeakPolicy::Disable,
        LeakPolicy::Revoke => pb::LeakPolicy::Revoke,
    }
}

pub(in crate::grpc) fn to_application(application: &Application) -> pb::Application {
    pb::Application {
        application_id: application.id.to_string(),
        name: application.name.to_string(),
        plan: to_plan(&application.plan).into(),
        rate_limits: application.plan.own().iter().map(limit::to_rate_limit).collect(),
        max_cache_ttl: (!application.max_cache_ttl.is_zero()).then(|| to_duration(application.max_cache_ttl)),
        key_prefix: application.key_prefix.as_ref().map_or_else(String::new, |prefix| prefix.as_str().to_owned()),
        overlap: Some(to_duration(application.overlap)),
        notify_emails: application.notify_emails.iter().map(ToString::to_string).collect(),
        leak_policy: to_leak_policy(application.leak_policy).into(),
        alert_thresholds: to_thresholds(application.alert_thresholds),
        create_time: Some(to_timestamp(application.create_time)),
        update_time: Some(to_timestamp(application.update_time)),
        revision: application.revision.number(),
        etag: application.revision.etag(),
    }
}

fn to_plan(plan: &Plan) -> pb::Plan {
    match plan.kind() {
        PlanKind::None => pb::Plan::Unspecified,
        PlanKind::Free => pb::Plan::Free,
        PlanKind::Professional => pb::Plan::Professional,
        PlanKind::Enterprise => pb::Plan::Enterprise,
    }
}
