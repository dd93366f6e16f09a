//! What people and their systems are told of keys, by webhook and by e-mail.

use super::{
    id::{ApplicationId, KeyId, WebhookId},
    key::{Key, KeyEnvironment, KeyType, RevokeReason},
    text::{Name, Note},
    time::Timestamp,
    webhook::{Disabled, WEBHOOK_DISABLED},
};

/// Something that happened to a key, or is about to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub application_id: ApplicationId,
    pub key: NoticeKey,
    pub what: What,
}

/// As much of a key as it takes to recognise it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeKey {
    pub id: KeyId,
    pub name: Name,
    pub prefix: String,
    pub kind: KeyType,
    pub environment: KeyEnvironment,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Created,
    /// The names of the fields that were set.
    Updated {
        fields: Vec<&'static str>,
    },
    Revoked {
        reason: RevokeReason,
        comment: Note,
    },
    Rotated {
        successor: KeyId,
        overlap_end_time: Timestamp,
    },
    Expiring {
        due: Due,
        time: Timestamp,
    },
    Expired {
        expire_time: Timestamp,
    },
    Renewed {
        expire_time: Timestamp,
    },
    /// Not for 90 days. None: never.
    Unused {
        last_used_time: Option<Timestamp>,
    },
    /// Its text was found where it does not belong.
    Leaked {
        action: LeakPolicy,
        source: Note,
    },
    Suspicious(Suspicion),
    /// By its name.
    LimitExceeded {
        limit: String,
    },
    QuotaExceeded {
        limit: String,
    },
}

/// What comes at the time that is told ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    Expiry,
    Renewal,
    Rotation,
}

/// What is done with a key whose text was found where it does not belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeakPolicy {
    #[default]
    Alert,
    Disable,
    Revoke,
}

/// What is unlike before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Suspicion {
    /// The first call from there; a network is an IPv4 /24 or an IPv6 /48.
    NewNetwork {
        network: String,
    },
    DeniedBurst {
        denied: u64,
    },
    UsedAfterRevocation,
    SuddenVolume {
        requests: u64,
        usual: u64,
    },
}

/// A webhook that nothing arrives at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookNotice {
    pub webhook_id: WebhookId,
    /// None: of all applications.
    pub application_id: Option<ApplicationId>,
    /// Of its URL.
    pub host: String,
    pub why: Disabled,
    /// Of the last attempt.
    pub last_error: String,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    Key(Notice),
    Webhook(WebhookNotice),
}

impl Told {
    /// As it is subscribed to.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Key(notice) => notice.kind(),
            Self::Webhook(_) => WEBHOOK_DISABLED,
        }
    }

    #[must_use]
    pub fn application_id(&self) -> Option<ApplicationId> {
        match self {
            Self::Key(notice) => Some(notice.application_id),
            Self::Webhook(notice) => notice.application_id,
        }
    }

    #[must_use]
    pub fn key_id(&self) -> Option<KeyId> {
        match self {
            Self::Key(notice) => Some(notice.key.id),
            Self::Webhook(_) => None,
        }
    }
}

impl Notice {
    #[must_use]
    pub fn of(key: &Key, what: What) -> Self {
        let Key { id, name, prefix, kind, environment, application_id, .. } = key;
        let key =
            NoticeKey { id: *id, name: name.clone(), prefix: prefix.clone(), kind: *kind, environment: *environment };
        Self { application_id: *application_id, key, what }
    }

    /// As it is subscribed to.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.what {
            What::Created => "key.created",
            What::Updated { .. } => "key.updated",
            What::Revoked { .. } => "key.revoked",
            What::Rotated { .. } => "key.rotated",
            What::Expiring { .. } => "key.expiring",
            What::Expired { .. } => "key.expired",
            What::Renewed { .. } => "key.renewed",
            What::Unused { .. } => "key.unused",
            What::Leaked { .. } => "key.leaked",
            What::Suspicious(_) => "key.suspicious",
            What::LimitExceeded { .. } => "limit.exceeded",
            What::QuotaExceeded { .. } => "quota.exceeded",
        }
    }
}
