use super::{
    application::set_by_server,
    common::{duration, note, parse, texts, to_timestamp},
    mask::Mask,
};
use crate::{
    domain::{
        delivery::{Attempt, Delivery, DeliveryFilter, DeliveryState},
        id::{ApplicationId, WebhookId},
        page::PageRequest,
        refusal::{Refusal, Violations},
        time::Timestamp,
        webhook::{Disabled, EventType, MAX_SECRET_OVERLAP, USUAL_SECRET_OVERLAP, Webhook, WebhookPatch, WebhookUrl},
    },
    grpc::unpack,
    pb,
    webhooks::{
        DeleteWebhook, ListWebhookDeliveries, ListWebhooks, NewWebhook, RotateWebhookSecret, TestWebhook, Tested,
        UpdateWebhook,
    },
};

const UPDATABLE: &[&str] = &["url", "event_types", "description", "disabled"];

pub(in crate::grpc) fn new_webhook(request: &pb::CreateWebhookRequest) -> Result<NewWebhook, Refusal> {
    let mut v = Violations::default();
    let create = unpack::create_request(&request.request_id, "CreateWebhook", request, &mut v);
    let Some(wish) = &request.webhook else {
        v.add("webhook", "is required");
        return Err(Refusal::FieldInvalid(v));
    };
    set_by_server(&wish.webhook_id, "webhook.webhook_id", &mut v);
    set_by_server(&wish.etag, "webhook.etag", &mut v);
    let application_id = application(&wish.application_id, "webhook.application_id", &mut v);
    let event_types = event_types(&wish.event_types, &mut v);
    let description = note(&wish.description, "webhook.description", &mut v);
    let url = url(&wish.url, &mut v);
    let url = v.settle_with(url)?;
    Ok(NewWebhook { application_id, url, event_types, description, disabled: wish.disabled, request: create })
}

pub(in crate::grpc) fn update(request: pb::UpdateWebhookRequest) -> Result<UpdateWebhook, Refusal> {
    let mut v = Violations::default();
    let mask = Mask::read(request.update_mask, UPDATABLE, &mut v);
    let Some(wish) = request.webhook else {
        v.add("webhook", "is required");
        return Err(Refusal::FieldInvalid(v));
    };
    let patch = WebhookPatch {
        url: mask.pick("url", !wish.url.is_empty(), || url(&wish.url, &mut v)).flatten(),
        event_types: mask.pick("event_types", !wish.event_types.is_empty(), || event_types(&wish.event_types, &mut v)),
        description: mask.pick("description", !wish.description.is_empty(), || {
            note(&wish.description, "webhook.description", &mut v)
        }),
        disabled: mask.pick("disabled", wish.disabled, || wish.disabled),
    };
    let application_id = application(&wish.application_id, "webhook.application_id", &mut v);
    let id = parse(&wish.webhook_id, "webhook.webhook_id", &mut v);
    let webhook_id = v.settle_with(id)?;
    Ok(UpdateWebhook { application_id, webhook_id, patch, etag: wish.etag })
}

/// An application and a webhook of it.
fn named(application_id: &str, webhook_id: &str) -> Result<(Option<ApplicationId>, WebhookId), Refusal> {
    let mut v = Violations::default();
    let application = application(application_id, "application_id", &mut v);
    let id = parse(webhook_id, "webhook_id", &mut v);
    Ok((application, v.settle_with(id)?))
}

pub(in crate::grpc) fn get(request: &pb::GetWebhookRequest) -> Result<(Option<ApplicationId>, WebhookId), Refusal> {
    named(&request.application_id, &request.webhook_id)
}

pub(in crate::grpc) fn list(request: &pb::ListWebhooksRequest) -> Result<ListWebhooks, Refusal> {
    let mut v = Violations::default();
    let application_id = application(&request.application_id, "application_id", &mut v);
    let page = PageRequest::parse(request.page_size, &request.page_token, &["webhooks", &request.application_id]);
    let ((), page) = unpack::both(v.settle(), page)?;
    Ok(ListWebhooks { application_id, page })
}

pub(in crate::grpc) fn delete(request: pb::DeleteWebhookRequest) -> Result<DeleteWebhook, Refusal> {
    let (application_id, webhook_id) = named(&request.application_id, &request.webhook_id)?;
    Ok(DeleteWebhook { application_id, webhook_id, etag: request.etag })
}

pub(in crate::grpc) fn test(request: &pb::TestWebhookRequest) -> Result<TestWebhook, Refusal> {
    let (application_id, webhook_id) = named(&request.application_id, &request.webhook_id)?;
    Ok(TestWebhook { application_id, webhook_id })
}

pub(in crate::grpc) fn rotate(request: &pb::RotateWebhookSecretRequest) -> Result<RotateWebhookSecret, Refusal> {
    let mut v = Violations::default();
    let create = unpack::create_request(&request.request_id, "RotateWebhookSecret", request, &mut v);
    let overlap = request.overlap.map_or(Some(USUAL_SECRET_OVERLAP), duration);
    let overlap = overlap.filter(|overlap| *overlap <= MAX_SECRET_OVERLAP);
    if overlap.is_none() {
        v.add("overlap", "must be from 0 to 7 days");
    }
    let ((), (application_id, webhook_id)) =
        unpack::both(v.settle(), named(&request.application_id, &request.webhook_id))?;
    let overlap = overlap.unwrap_or(USUAL_SECRET_OVERLAP);
    Ok(RotateWebhookSecret { application_id, webhook_id, overlap, etag: request.etag.clone(), request: create })
}

pub(in crate::grpc) fn deliveries(
    request: &pb::ListWebhookDeliveriesRequest,
) -> Result<ListWebhookDeliveries, Refusal> {
    let mut v = Violations::default();
    let application_id = application(&request.application_id, "application_id", &mut v);
    let id = parse(&request.webhook_id, "webhook_id", &mut v);
    let key_id = if request.key_id.is_empty() { None } else { parse(&request.key_id, "key_id", &mut v) };
    let state = match pb::DeliveryState::try_from(request.state) {
        Ok(pb::DeliveryState::Unspecified) => None,
        Ok(pb::DeliveryState::Pending) => Some(DeliveryState::Pending),
        Ok(pb::DeliveryState::Delivered) => Some(DeliveryState::Delivered),
        Ok(pb::DeliveryState::Failed) => Some(DeliveryState::Failed),
        Ok(pb::DeliveryState::Held) => Some(DeliveryState::Held),
        Err(_) => {
            v.add("state", "is not a value of DeliveryState");
            None
        }
    };
    let filter =
        ["deliveries", &request.application_id, &request.webhook_id, &request.state.to_string(), &request.key_id];
    let page = PageRequest::parse(request.page_size, &request.page_token, &filter);
    let (webhook_id, page) = unpack::both(v.settle_with(id), page)?;
    Ok(ListWebhookDeliveries { application_id, webhook_id, filter: DeliveryFilter { state, key_id }, page })
}

/// Empty: all applications.
fn application(text: &str, field: &str, violations: &mut Violations) -> Option<ApplicationId> {
    if text.is_empty() { None } else { parse(text, field, violations) }
}

fn url(text: &str, violations: &mut Violations) -> Option<WebhookUrl> {
    if text.is_empty() {
        violations.add("webhook.url", "is required");
        return None;
    }
    violations.check("webhook.url", WebhookUrl::parse(text))
}

/// Each named once.
fn event_types(types: &[String], violations: &mut Violations) -> Vec<EventType> {
    if types.len() > 100 {
        violations.add("webhook.event_types", format!("has {}; there are {}", types.len(), EventType::ALL.len()));
        return Vec::new();
    }
    let mut wanted = Vec::new();
    for (at, text) in types.iter().enumerate() {
        match EventType::parse(text) {
            Ok(known) if wanted.contains(&known) => {}
            Ok(known) => wanted.push(known),
            Err(error) => violations.add(format!("webhook.event_types[{at}]"), error),
        }
    }
    wanted
}

/// As of `now`.
pub(in crate::grpc) fn to_webhook(webhook: &Webhook, now: Timestamp) -> pb::Webhook {
    pb::Webhook {
        webhook_id: webhook.id.to_string(),
        application_id: webhook.application_id.map_or_else(String::new, |id| id.to_string()),
        url: webhook.url.as_str().to_owned(),
        event_types: texts(webhook.event_types.iter().map(|event_type| event_type.as_str())),
        description: webhook.description.to_string(),
        disabled: webhook.disabled.is_some(),
        disabled_reason: match webhook.disabled {
            None => pb::WebhookDisabledReason::Unspecified,
            Some(Disabled::Administrator) => pb::WebhookDisabledReason::Administrator,
            Some(Disabled::Failing) => pb::WebhookDisabledReason::Failing,
            Some(Disabled::Gone) => pb::WebhookDisabledReason::Gone,
        }
        .into(),
        old_secret_end_time: webhook.old_secret_until(now).map(to_timestamp),
        create_time: Some(to_timestamp(webhook.create_time)),
        update_time: Some(to_timestamp(webhook.update_time)),
        revision: webhook.revision.number(),
        etag: webhook.revision.etag(),
    }
}

pub(in crate::grpc) fn to_tested(tested: Tested, revision: i64) -> pb::TestWebhookResponse {
    let (delivered, status, error) = match tested.attempt {
        Attempt::Delivered { status } => (true, status, String::new()),
        Attempt::Failed { status, why } => (false, status, why),
        Attempt::Refused { why } | Attempt::Unsigned { why } => (false, None, why),
        Attempt::Gone => (false, Some(410), "HTTP 410: the receiver wants nothing more".to_owned()),
    };
    let message_id = tested.message_id.to_string();
    pb::TestWebhookResponse { delivered, status: status.map_or(0, i32::from), error, message_id, revision }
}

pub(in crate::grpc) fn to_delivery(delivery: Delivery) -> pb::WebhookDelivery {
    pb::WebhookDelivery {
        delivery_id: delivery.id.to_string(),
        webhook_id: delivery.webhook_id.to_string(),
        message_id: delivery.notice_id.to_string(),
        event_type: delivery.event_type,
        application_id: delivery.application_id.map_or_else(String::new, |id| id.to_string()),
        key_id: delivery.key_id.map_or_else(String::new, |id| id.to_string()),
        state: match delivery.state {
            DeliveryState::Pending => pb::DeliveryState::Pending,
            DeliveryState::Delivered => pb::DeliveryState::Delivered,
            DeliveryState::Failed => pb::DeliveryState::Failed,
            DeliveryState::Held => pb::DeliveryState::Held,
        }
        .into(),
        attempts: i32::try_from(delivery.attempts).unwrap_or(i32::MAX),
        create_time: Some(to_timestamp(delivery.create_time)),
        last_attempt_time: delivery.last_attempt_time.map(to_timestamp),
        last_status: delivery.last_status.map_or(0, i32::from),
        last_error: delivery.last_error,
        next_attempt_time: delivery.next_attempt_time.map(to_timestamp),
    }
}
