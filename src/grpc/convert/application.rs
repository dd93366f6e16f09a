use std::time::Duration;

use super::{
    common::{duration, parse, to_duration, to_timestamp},
    limit,
    mask::Mask,
};
use crate::{
    applications::{NewApplication, UpdateApplication},
    domain::{
        application::{Application, ApplicationPatch, MAX_CACHE_TTL},
        limit::{Plan, PlanKind},
        refusal::{Refusal, Violations},
        secret::KeyPrefix,
        text::Name,
    },
    grpc::unpack,
    pb,
};

const UPDATABLE: &[&str] = &["name", "plan", "rate_limits", "max_cache_ttl", "key_prefix"];

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
    let name = v.check("application.name", Name::parse(&wish.name));
    let (name, plan) = v.settle_with(name.zip(plan))?;
    Ok(NewApplication { name, plan, max_cache_ttl, key_prefix, request: create })
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

pub(in crate::grpc) fn to_application(application: &Application) -> pb::Application {
    pb::Application {
        application_id: application.id.to_string(),
        name: application.name.to_string(),
        plan: to_plan(&application.plan).into(),
        rate_limits: application.plan.own().iter().map(limit::to_rate_limit).collect(),
        max_cache_ttl: (!application.max_cache_ttl.is_zero()).then(|| to_duration(application.max_cache_ttl)),
        key_prefix: application.key_prefix.as_ref().map_or_else(String::new, |prefix| prefix.as_str().to_owned()),
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
