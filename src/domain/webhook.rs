//! Webhooks: who wants to be told of what, and where.

mod url;

use std::{fmt, time::Duration};

pub use self::url::{UrlRefused, WebhookUrl};
use super::{
    event::{Changed, set},
    id::{ApplicationId, Revision, Versioned, WebhookId},
    text::Note,
    time::Timestamp,
};

/// A receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    pub id: WebhookId,
    /// None: of all applications.
    pub application_id: Option<ApplicationId>,
    pub url: WebhookUrl,
    /// What it is told of. Empty: everything.
    pub event_types: Vec<EventType>,
    pub description: Note,
    pub disabled: Option<Disabled>,
    pub secret: Sealed,
    /// Signs too, until then: a receiver learns the new one meanwhile.
    pub old_secret: Option<(Sealed, Timestamp)>,
    pub create_time: Timestamp,
    pub update_time: Timestamp,
    pub revision: Revision,
}

/// Why nothing is sent there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disabled {
    /// By an administrator.
    Administrator,
    /// Every attempt of a day failed.
    Failing,
    /// It answered 410: it wants nothing more.
    Gone,
}

/// A secret as it is stored: encrypted.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(..)")
    }
}

/// A type of notice, `key.created` for instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventType(&'static str);

/// Not a type of notice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a type of event; these are: {}", EventType::ALL.join(", "))]
pub struct NoEventType;

impl EventType {
    /// All that can be asked for. `webhook.test` is sent to whom it is asked for only.
    pub const ALL: [&str; 13] = [
        "key.created",
        "key.updated",
        "key.revoked",
        "key.rotated",
        "key.expiring",
        "key.expired",
        "key.renewed",
        "key.unused",
        "key.leaked",
        "key.suspicious",
        "limit.exceeded",
        "quota.exceeded",
        WEBHOOK_DISABLED,
    ];

    pub fn parse(text: &str) -> Result<Self, NoEventType> {
        Self::ALL.into_iter().find(|known| *known == text).map(Self).ok_or(NoEventType)
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// A webhook was disabled because nothing arrived there.
pub const WEBHOOK_DISABLED: &str = "webhook.disabled";
/// What `TestWebhook` sends.
pub const WEBHOOK_TEST: &str = "webhook.test";

/// Of one application, or of all of them together.
pub const MAX_WEBHOOKS: u64 = 20;
/// How long an old secret signs beside the new one, where nothing else is wanted, and at most.
pub const USUAL_SECRET_OVERLAP: Duration = Duration::from_hours(24);
pub const MAX_SECRET_OVERLAP: Duration = Duration::from_hours(7 * 24);

/// New values for the fields that an update names.
#[derive(Debug, Clone, Default)]
pub struct WebhookPatch {
    pub url: Option<WebhookUrl>,
    pub event_types: Option<Vec<EventType>>,
    pub description: Option<Note>,
    pub disabled: Option<bool>,
}

impl Versioned for Webhook {
    fn changed_by(&mut self, revision: Revision) {
        self.revision = revision;
    }
}

impl Webhook {
    pub fn update(&mut self, patch: WebhookPatch, now: Timestamp) -> Changed {
        let before = self.clone();
        let WebhookPatch { url, event_types, description, disabled } = patch;
        set(&mut self.url, url);
        set(&mut self.event_types, event_types);
        set(&mut self.description, description);
        match disabled {
            Some(false) => self.disabled = None,
            // Why it is disabled already says more.
            Some(true) => self.disabled = self.disabled.or(Some(Disabled::Administrator)),
            None => {}
        }
        self.touch_if_changed(&before, now)
    }

    /// What is sealed as `secret` signs from now on; the one before it for so long too.
    pub fn rotate(&mut self, secret: Sealed, overlap: Duration, now: Timestamp) {
        let until = now.checked_add(overlap).unwrap_or(Timestamp::MAX);
        let old = std::mem::replace(&mut self.secret, secret);
        self.old_secret = (!overlap.is_zero()).then_some((old, until));
        self.update_time = now;
    }

    /// What signs at `now`: the newest first.
    pub fn signing(&self, now: Timestamp) -> impl Iterator<Item = &Sealed> {
        let old = self.old_secret.as_ref().filter(|(_, until)| now < *until).map(|(old, _)| old);
        std::iter::once(&self.secret).chain(old)
    }

    /// Until when the old secret signs, if it does.
    #[must_use]
    pub fn old_secret_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.old_secret.as_ref().map(|(_, until)| *until).filter(|until| now < *until)
    }

    fn touch_if_changed(&mut self, before: &Self, now: Timestamp) -> Changed {
        if self == before {
            return Changed::No;
        }
        self.update_time = now;
        Changed::Yes(None)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn webhook() -> Webhook {
        Webhook {
            id: WebhookId::new(Uuid::nil()),
            application_id: None,
            url: WebhookUrl::parse("https://example.com/").expect("url"),
            event_types: Vec::new(),
            description: Note::default(),
            disabled: None,
            secret: Sealed(vec![1]),
            old_secret: None,
            create_time: at(1_000),
            update_time: at(1_000),
            revision: Revision::default(),
        }
    }

    #[test]
    fn the_old_secret_signs_beside_the_new_one_for_a_while() {
        let mut webhook = webhook();
        webhook.rotate(Sealed(vec![2]), Duration::from_secs(10), at(2_000));
        let signing = |webhook: &Webhook, now| webhook.signing(at(now)).map(|sealed| sealed.0[0]).collect::<Vec<_>>();
        assert_eq!(signing(&webhook, 2_009), [2, 1]);
        assert_eq!(webhook.old_secret_until(at(2_009)), Some(at(2_010)));
        assert_eq!(signing(&webhook, 2_010), [2]);
        assert_eq!(webhook.old_secret_until(at(2_010)), None);
        webhook.rotate(Sealed(vec![3]), Duration::ZERO, at(2_005));
        assert_eq!(signing(&webhook, 2_005), [3], "at once: the old one may be known to others");
    }

    #[test]
    fn only_types_that_there_are_can_be_asked_for() {
        for kind in EventType::ALL {
            assert_eq!(EventType::parse(kind).map(EventType::as_str), Ok(kind));
        }
        assert!(EventType::parse("key.*").is_err());
        assert!(EventType::parse("webhook.test").is_err());
    }

    #[test]
    fn enabling_forgets_why_and_disabling_keeps_it() {
        let mut webhook = Webhook { disabled: Some(Disabled::Failing), ..webhook() };
        let disabled = |disabled| WebhookPatch { disabled: Some(disabled), ..WebhookPatch::default() };
        assert_eq!(webhook.update(disabled(true), at(2_000)), Changed::No);
        assert_eq!(webhook.disabled, Some(Disabled::Failing));
        assert_eq!(webhook.update(disabled(false), at(2_000)), Changed::Yes(None));
        assert_eq!((webhook.disabled, webhook.update_time), (None, at(2_000)));
        assert_eq!(webhook.update(disabled(true), at(3_000)), Changed::Yes(None));
        assert_eq!(webhook.disabled, Some(Disabled::Administrator));
    }
}
