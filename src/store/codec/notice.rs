use serde_json::{Value, json};

use super::Word as _;
use crate::domain::{
    notice::{Due, Notice, Suspicion, Told, WebhookNotice, What},
    time::Timestamp,
};

/// What a receiver is sent, by Standard Webhooks: `type`, `timestamp`, `data`.
pub(in crate::store) fn payload(told: &Told, time: Timestamp) -> String {
    let data = match told {
        Told::Key(notice) => of_key(notice),
        Told::Webhook(notice) => of_webhook(notice),
    };
    json!({"type": told.kind(), "timestamp": time.to_string(), "data": data}).to_string()
}

fn of_webhook(notice: &WebhookNotice) -> Value {
    json!({
        "application_id": notice.application_id.map(|id| id.to_string()),
        "webhook": {"webhook_id": notice.webhook_id.to_string(), "host": notice.host},
        "reason": notice.why.word(),
        "last_error": notice.last_error,
    })
}

fn of_key(notice: &Notice) -> Value {
    let Notice { application_id, key, what } = notice;
    let mut data = json!({
        "application_id": application_id.to_string(),
        "key": {
            "key_id": key.id.to_string(),
            "name": key.name.to_string(),
            "prefix": key.prefix,
            "type": key.kind.word(),
            "environment": key.environment.word(),
        },
    });
    if let (Some(data), Value::Object(details)) = (data.as_object_mut(), details(what)) {
        data.extend(details);
    }
    data
}

/// The same, and that it stands for so many more of its kind that were not told.
pub(in crate::store) fn with_held_back(payload: String, held_back: i64) -> String {
    match serde_json::from_str::<Value>(&payload) {
        Ok(mut read) if held_back > 0 => {
            read["data"]["held_back"] = held_back.into();
            read.to_string()
        }
        _ => payload,
    }
}

fn details(what: &What) -> Value {
    match what {
        What::Created => json!({}),
        What::Updated { fields } => json!({"fields": fields}),
        What::Revoked { reason, comment } => json!({"reason": reason.word(), "comment": comment.to_string()}),
        What::Rotated { successor, overlap_end_time } => {
            json!({"rotated_to": successor.to_string(), "overlap_end_time": overlap_end_time.to_string()})
        }
        What::Expiring { due, time } => json!({"due": due_word(*due), "due_time": time.to_string()}),
        What::Expired { expire_time } | What::Renewed { expire_time } => {
            json!({"expire_time": expire_time.to_string()})
        }
        What::Unused { last_used_time } => json!({"last_used_time": last_used_time.map(|time| time.to_string())}),
        What::Leaked { action, source } => json!({"action": action.word(), "source": source.to_string()}),
        What::Suspicious(suspicion) => suspicious(suspicion),
        What::LimitExceeded { limit } | What::QuotaExceeded { limit } => json!({"limit": limit}),
    }
}

fn due_word(due: Due) -> &'static str {
    match due {
        Due::Expiry => "expiry",
        Due::Renewal => "renewal",
        Due::Rotation => "rotation",
    }
}

fn suspicious(suspicion: &Suspicion) -> Value {
    match suspicion {
        Suspicion::NewNetwork { network } => json!({"why": "new_network", "network": network}),
        Suspicion::DeniedBurst { denied } => json!({"why": "denied_burst", "denied": denied}),
        Suspicion::UsedAfterRevocation => json!({"why": "used_after_revocation"}),
        Suspicion::SuddenVolume { requests, usual } => {
            json!({"why": "sudden_volume", "requests": requests, "usual": usual})
        }
    }
}
