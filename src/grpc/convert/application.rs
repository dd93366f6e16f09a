use super::{
    common::{parse, to_timestamp},
    mask::Mask,
};
use crate::{
    applications::{NewApplication, UpdateApplication},
    domain::{
        application::{Application, ApplicationPatch},
        refusal::{Refusal, Violations},
        secret::KeyPrefix,
        text::Name,
    },
    grpc::unpack,
    pb,
};

const UPDATABLE: &[&str] = &["name", "key_prefix"];

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
    let name = v.check("application.name", Name::parse(&wish.name));
    let name = v.settle_with(name)?;
    Ok(NewApplication { name, key_prefix, request: create })
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

fn key_prefix(text: &str, violations: &mut Violations) -> Option<KeyPrefix> {
    if text.is_empty() { None } else { violations.check("application.key_prefix", KeyPrefix::parse(text)) }
}

pub(in crate::grpc) fn to_application(application: &Application) -> pb::Application {
    pb::Application {
        application_id: application.id.to_string(),
        name: application.name.to_string(),
        key_prefix: application.key_prefix.as_ref().map_or_else(String::new, |prefix| prefix.as_str().to_owned()),
        create_time: Some(to_timestamp(application.create_time)),
        update_time: Some(to_timestamp(application.update_time)),
        revision: application.revision.number(),
        etag: application.revision.etag(),
    }
}
