use sea_orm::prelude::Json;
use serde::{Deserialize, Serialize};

use super::{Word as _, corrupt, duration, limits, list, micros, name, parse, texts};
use crate::{
    domain::{
        alert::AlertThresholds, application::Application, id::Revision, notice::LeakPolicy, secret::KeyPrefix,
        time::Timestamp,
    },
    store::{Error, entity::application},
};

/// Zeros, which say nothing, are left out.
#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct ThresholdsRow {
    denied_per_minute: u32,
    volume_factor: u32,
    ignore_new_networks: bool,
}

pub(in crate::store) fn application(row: application::Model) -> Result<Application, Error> {
    let prefix = |text: String| KeyPrefix::parse(&text).map_err(|_| corrupt("key prefix", text));
    Ok(Application {
        id: parse(&row.application_id, "application id")?,
        name: name(&row.name)?,
        plan: limits::plan(&row.plan, row.rate_limits)?,
        max_cache_ttl: duration(row.max_cache_ttl, "cache ttl")?,
        key_prefix: row.key_prefix.map(prefix).transpose()?,
        overlap: duration(row.overlap, "overlap")?,
        notify_emails: list(row.notify_emails, "e-mail address")?,
        leak_policy: LeakPolicy::read(&row.leak_policy)?,
        alert_thresholds: thresholds(row.alert_thresholds)?,
        create_time: Timestamp::from_micros(row.create_time),
        update_time: Timestamp::from_micros(row.update_time),
        revision: Revision::new(row.revision),
    })
}

pub(in crate::store) fn application_row(application: &Application) -> application::Model {
    let (plan, rate_limits) = limits::plan_row(&application.plan);
    application::Model {
        application_id: application.id.to_string(),
        name: application.name.to_string(),
        key_prefix: application.key_prefix.as_ref().map(|prefix| prefix.as_str().to_owned()),
        create_time: application.create_time.micros(),
        update_time: application.update_time.micros(),
        revision: application.revision.number(),
        plan,
        rate_limits,
        max_cache_ttl: micros(application.max_cache_ttl),
        overlap: micros(application.overlap),
        notify_emails: texts(&application.notify_emails),
        leak_policy: application.leak_policy.word().to_owned(),
        alert_thresholds: thresholds_json(application.alert_thresholds),
    }
}

/// For what is noted beside a row.
pub(in crate::store) fn leak_word(policy: LeakPolicy) -> &'static str {
    policy.word()
}

/// Where nothing was chosen.
pub(in crate::store) fn usual_leak_policy() -> String {
    LeakPolicy::default().word().to_owned()
}

fn thresholds(json: Json) -> Result<AlertThresholds, Error> {
    let row: ThresholdsRow = serde_json::from_value(json).map_err(|error| corrupt("alert thresholds", error))?;
    let ThresholdsRow { denied_per_minute, volume_factor, ignore_new_networks } = row;
    Ok(AlertThresholds { denied_per_minute, volume_factor, ignore_new_networks })
}

fn thresholds_json(thresholds: AlertThresholds) -> Json {
    let AlertThresholds { denied_per_minute, volume_factor, ignore_new_networks } = thresholds;
    serde_json::json!(ThresholdsRow { denied_per_minute, volume_factor, ignore_new_networks })
}
