use prost_types::Timestamp;

use crate::{
    cli::people::{Cell, Column, Shown, Tint, detail, number, quota_word, rate_limit_word, shrinks, whole, word},
    pb,
};

impl Shown for pb::Key {
    const MESSAGE: &'static str = "Key";
    const MANY: &'static str = "keys";
    const COLUMNS: &'static [Column<Self>] = &[
        whole("key", |key, _| Cell::text(&key.key_id)),
        shrinks("name", |key, _| Cell::text(&key.name)),
        whole("state", |key, _| state(key)),
        whole("prefix", |key, _| Cell::text(&key.prefix)),
        whole("last used", |key, look| Cell::time(key.last_used_time.as_ref(), look)),
        whole("expires", |key, look| Cell::time(key.expire_time.as_ref(), look)),
        shrinks("permissions", |key, _| Cell::list(&key.permissions)),
        detail("application", |key, _| Cell::text(&key.application_id)),
        detail("description", |key, _| Cell::lines(&key.description)),
        detail("type", |key, _| Cell::text(&word(key.r#type().as_str_name(), "KEY_TYPE_"))),
        detail("environment", |key, _| Cell::text(&word(key.environment().as_str_name(), "KEY_ENVIRONMENT_"))),
        detail("allowed ip", |key, _| Cell::list(&key.ip_allowlist)),
        detail("allowed referrer", |key, _| Cell::list(&key.referrer_allowlist)),
        detail("allowed resource", |key, _| Cell::list(&key.resource_allowlist)),
        detail("rate limit", |key, _| Cell::list(key.rate_limits.iter().map(rate_limit_word))),
        detail("quota", |key, _| Cell::list(key.quotas.iter().map(quota_word))),
        detail("label", |key, _| Cell::list(key.labels.iter().map(|label| format!("{}={}", label.key, label.value)))),
        detail("unused", |key, _| Cell::yes(key.unused).tinted(Tint::Careful)),
        detail("used", |key, _| used(key)),
        detail("created", |key, look| Cell::time(key.create_time.as_ref(), look)),
        detail("created by", |key, _| Cell::text(&key.created_by)),
        detail("updated", |key, look| Cell::time(key.update_time.as_ref(), look)),
        detail("renews itself", |key, _| Cell::yes(key.auto_renew)),
        detail("rotate every", |key, _| Cell::span(key.rotation_period.as_ref())),
        detail("next rotation", |key, look| Cell::time(key.next_rotation_time.as_ref(), look)),
        detail("rotation recipient", |key, _| Cell::text(&key.rotation_recipient_kid)),
        detail("rotated from", |key, _| Cell::text(&key.rotated_from)),
        detail("rotated to", |key, _| Cell::text(&key.rotated_to)),
        detail("good until", |key, look| Cell::time(key.overlap_end_time.as_ref(), look).tinted(Tint::Careful)),
        detail("revoked", |key, look| Cell::time(key.revoke_time.as_ref(), look).tinted(Tint::Bad)),
        detail("reason", |key, _| reason(key)),
        detail("comment", |key, _| Cell::lines(&key.revoke_comment)),
        detail("etag", |key, _| Cell::text(&key.etag)),
    ];
}

fn state(key: &pb::Key) -> Cell {
    let tint = match key.state() {
        pb::KeyState::Active => Tint::Good,
        pb::KeyState::Disabled | pb::KeyState::Expired => Tint::Careful,
        pb::KeyState::Revoked => Tint::Bad,
        pb::KeyState::Unspecified => Tint::Plain,
    };
    Cell::text(&word(key.state().as_str_name(), "KEY_STATE_")).tinted(tint)
}

fn used(key: &pb::Key) -> Cell {
    let Some(usage) = &key.usage else { return Cell::default() };
    Cell::text(&format!(
        "{} times today ({} refused), {} times this month",
        usage.requests_today, usage.denied_today, usage.requests_this_month
    ))
}

fn reason(key: &pb::Key) -> Cell {
    match key.revoke_reason() {
        pb::RevokeReason::Unspecified => Cell::default(),
        reason => Cell::text(&word(reason.as_str_name(), "REVOKE_REASON_")),
    }
}

impl Shown for pb::VerifyKeyResponse {
    const MESSAGE: &'static str = "VerifyKeyResponse";
    const MANY: &'static str = "verdicts";
    const COLUMNS: &'static [Column<Self>] = &[
        whole("verdict", |answer, _| verdict(answer.verdict())),
        whole("key", |answer, _| Cell::text(&answer.key_id)),
        shrinks("name", |answer, _| Cell::text(&answer.name)),
        detail("application", |answer, _| Cell::text(&answer.application_id)),
        detail("permissions", |answer, _| Cell::list(&answer.permissions)),
        detail("expires", |answer, look| Cell::time(answer.expire_time.as_ref(), look)),
        detail("limits", |answer, _| Cell::list(answer.rate_limits.iter().map(left))),
        detail("try again after", |answer, _| Cell::span(answer.retry_after.as_ref())),
        detail("rotated to", |answer, _| Cell::text(&answer.superseded_by)),
        detail("may be kept for", |answer, _| Cell::span(answer.cache_ttl.as_ref())),
        detail("would be refused", |answer, _| Cell::list(answer.failed_checks().map(name)).tinted(Tint::Bad)),
    ];
}

fn name(verdict: pb::Verdict) -> String {
    verdict.as_str_name().trim_start_matches("VERDICT_").to_owned()
}

fn verdict(verdict: pb::Verdict) -> Cell {
    let tint = if verdict == pb::Verdict::Valid { Tint::Good } else { Tint::Bad };
    Cell::text(&name(verdict)).tinted(tint)
}

fn left(status: &pb::RateLimitStatus) -> String {
    format!("{}: {} of {} left", status.name, status.remaining, status.limit)
}

impl Shown for pb::WatchRevocationsResponse {
    const MESSAGE: &'static str = "WatchRevocationsResponse";
    const MANY: &'static str = "revocations";
    const COLUMNS: &'static [Column<Self>] = &[
        whole("time", |item, _| Cell::text(&time(item))),
        whole("cause", |item, _| cause(item)),
        whole("key", |item, _| Cell::text(item.revocation().map_or("", |revocation| &revocation.key_id))),
        whole("application", |item, _| {
            Cell::text(item.revocation().map_or("", |revocation| &revocation.application_id))
        }),
        number("revision", |item, _| Cell::number(revision(item))),
    ];
}

trait Item {
    fn revocation(&self) -> Option<&pb::Revocation>;
    fn bookmark(&self) -> Option<&pb::Bookmark>;
}

impl Item for pb::WatchRevocationsResponse {
    fn revocation(&self) -> Option<&pb::Revocation> {
        match &self.item {
            Some(pb::watch_revocations_response::Item::Revocation(revocation)) => Some(revocation),
            _ => None,
        }
    }

    fn bookmark(&self) -> Option<&pb::Bookmark> {
        match &self.item {
            Some(pb::watch_revocations_response::Item::Bookmark(bookmark)) => Some(bookmark),
            _ => None,
        }
    }
}

/// The moment itself: what comes now is not helped by "now".
fn time(item: &pb::WatchRevocationsResponse) -> String {
    let of_bookmark = || item.bookmark().and_then(|bookmark| bookmark.time.as_ref());
    let time = item.revocation().map_or_else(of_bookmark, |revocation| revocation.time.as_ref());
    time.map(|time| Timestamp { nanos: 0, ..*time }.to_string()).unwrap_or_default()
}

fn cause(item: &pb::WatchRevocationsResponse) -> Cell {
    match item.revocation() {
        Some(revocation) => Cell::text(&word(revocation.cause().as_str_name(), "REVOCATION_CAUSE_")).tinted(Tint::Bad),
        None => Cell::text("bookmark").tinted(Tint::Faint),
    }
}

fn revision(item: &pb::WatchRevocationsResponse) -> i64 {
    let of_bookmark = || item.bookmark().map_or(0, |bookmark| bookmark.revision);
    item.revocation().map_or_else(of_bookmark, |revocation| revocation.revision)
}
