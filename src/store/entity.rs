//! The tables. Nothing of this leaves `store`.

pub(super) mod alert;
pub(super) mod alert_hour;
pub(super) mod api_key;
pub(super) mod application;
pub(super) mod audit_event;
pub(super) mod audit_head;
pub(super) mod budget;
pub(super) mod create_request;
pub(super) mod delivery;
pub(super) mod event_log;
pub(super) mod job_claim;
pub(super) mod key_network;
pub(super) mod key_timer;
pub(super) mod last_use;
pub(super) mod log_head;
pub(super) mod nonce;
pub(super) mod notice;
pub(super) mod notice_head;
pub(super) mod replica;
pub(super) mod sealed_secret;
pub(super) mod service_account;
pub(super) mod service_account_key;
pub(super) mod usage_count;
pub(super) mod usage_source;
pub(super) mod webhook;

use sea_orm::{EntityTrait, IdenStatic as _, Iterable as _, prelude::Json};

/// All of them, each with its columns.
pub(super) fn tables() -> Vec<(&'static str, Vec<&'static str>)> {
    fn of<E: EntityTrait>() -> (&'static str, Vec<&'static str>) {
        (E::default().table_name(), E::Column::iter().map(|column| column.as_str()).collect())
    }
    macro_rules! all {
        ($($table:ident),*) => { vec![$(of::<$table::Entity>()),*] };
    }
    all!(
        alert,
        alert_hour,
        api_key,
        application,
        audit_event,
        audit_head,
        budget,
        create_request,
        delivery,
        event_log,
        job_claim,
        key_network,
        key_timer,
        last_use,
        log_head,
        nonce,
        notice,
        notice_head,
        replica,
        sealed_secret,
        service_account,
        service_account_key,
        usage_count,
        usage_source,
        webhook
    )
}

/// In events of before there were such lists.
fn is_empty_list(list: &Json) -> bool {
    list.as_array().is_some_and(Vec::is_empty)
}

fn empty_list() -> Json {
    Json::Array(Vec::new())
}

/// In events of before there were thresholds.
fn empty_object() -> Json {
    Json::Object(serde_json::Map::new())
}

/// In events of before applications chose it.
fn usual_overlap() -> i64 {
    i64::try_from(crate::domain::application::USUAL_OVERLAP.as_micros()).unwrap_or(i64::MAX)
}

/// In events of before applications chose it.
fn usual_leak_policy() -> String {
    super::codec::usual_leak_policy()
}

/// In events of before there were plans.
fn no_plan() -> String {
    super::codec::NO_PLAN.to_owned()
}

/// Bytes as base64 in the JSON of events.
pub(super) mod base64_bytes {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(in crate::store) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub(in crate::store) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64_STANDARD.decode(text).map_err(D::Error::custom)
    }
}
