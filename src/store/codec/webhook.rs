use super::{Word, corrupt, note, parse};
use crate::{
    domain::{
        delivery::{Delivery, DeliveryState},
        id::{NoticeId, Revision},
        time::Timestamp,
        webhook::{Disabled, EventType, Sealed, Webhook, WebhookUrl},
    },
    store::{
        Error,
        entity::{delivery, webhook},
    },
};

words!(Disabled { Administrator = "administrator", Failing = "failing", Gone = "gone" });
words!(DeliveryState { Pending = "pending", Delivered = "delivered", Failed = "failed", Held = "held" });

/// Pending too, behind another one of its destination and key.
pub(in crate::store) const QUEUED: &str = "queued";
/// Still to be sent.
pub(in crate::store) const OPEN: [&str; 2] = ["pending", QUEUED];

pub(in crate::store) fn state(state: DeliveryState) -> &'static str {
    state.word()
}

pub(in crate::store) fn webhook(row: webhook::Model) -> Result<Webhook, Error> {
    let types: Vec<String> = serde_json::from_value(row.event_types).map_err(|error| corrupt("event types", error))?;
    let event_type = |text: &String| EventType::parse(text).map_err(|_| corrupt("event type", text));
    let old = row.old_secret.map(Sealed).zip(row.old_secret_until.map(Timestamp::from_micros));
    Ok(Webhook {
        id: parse(&row.webhook_id, "webhook id")?,
        application_id: row.application_id.map(|id| parse(&id, "application id")).transpose()?,
        url: WebhookUrl::parse(&row.url).map_err(|error| corrupt("url", error))?,
        event_types: types.iter().map(event_type).collect::<Result<_, _>>()?,
        description: note(&row.description)?,
        disabled: if row.disabled.is_empty() { None } else { Some(Disabled::read(&row.disabled)?) },
        secret: Sealed(row.secret),
        old_secret: old,
        create_time: Timestamp::from_micros(row.create_time),
        update_time: Timestamp::from_micros(row.update_time),
        revision: Revision::new(row.revision),
    })
}

pub(in crate::store) fn webhook_row(webhook: &Webhook) -> webhook::Model {
    let (old_secret, old_secret_until) = webhook.old_secret.clone().map(|(old, until)| (old.0, until.micros())).unzip();
    webhook::Model {
        webhook_id: webhook.id.to_string(),
        application_id: webhook.application_id.map(|id| id.to_string()),
        url: webhook.url.as_str().to_owned(),
        event_types: super::texts(webhook.event_types.iter().map(|event_type| event_type.as_str())),
        description: webhook.description.to_string(),
        disabled: webhook.disabled.map_or_else(String::new, |disabled| disabled.word().to_owned()),
        failing_since: None,
        secret: webhook.secret.0.clone(),
        old_secret,
        old_secret_until,
        create_time: webhook.create_time.micros(),
        update_time: webhook.update_time.micros(),
        revision: webhook.revision.number(),
    }
}

/// Of a webhook; a mailbox's is not shown.
pub(in crate::store) fn delivery(row: delivery::Model) -> Result<Delivery, Error> {
    let is_queued = row.state == QUEUED;
    let state = if is_queued { DeliveryState::Pending } else { DeliveryState::read(&row.state)? };
    let is_planned = state == DeliveryState::Pending && !is_queued;
    // What is due at once has a time of 0, which no step of a clock puts off.
    let next = Timestamp::from_micros(row.next_attempt_time.max(row.create_time));
    Ok(Delivery {
        id: parse(&row.delivery_id, "delivery id")?,
        number: row.seq,
        webhook_id: parse(&row.destination, "webhook id")?,
        notice_id: NoticeId::new(row.notice_id),
        application_id: optional(&row.application_id, "application id")?,
        key_id: optional(&row.order_key, "key id")?,
        event_type: row.kind,
        state,
        attempts: u32::try_from(row.attempts).map_err(|error| corrupt("attempts", error))?,
        create_time: Timestamp::from_micros(row.create_time),
        last_attempt_time: row.last_attempt_time.map(Timestamp::from_micros),
        last_status: row.last_status.and_then(|status| u16::try_from(status).ok()),
        last_error: row.last_error,
        next_attempt_time: is_planned.then_some(next),
    })
}

fn optional<T: std::str::FromStr>(text: &str, what: &str) -> Result<Option<T>, Error> {
    if text.is_empty() { Ok(None) } else { parse(text, what).map(Some) }
}
