//! Deliveries: one notice on its way to one receiver.

use uuid::Uuid;

use super::{
    id::{ApplicationId, DeliveryId, KeyId, NoticeId, WebhookId},
    time::Timestamp,
};

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// To be sent, now or later.
    Pending,
    /// The receiver has it.
    Delivered,
    /// Given up.
    Failed,
    /// Its webhook is disabled; it is sent when that is enabled again.
    Held,
}

/// One notice on its way to one webhook, for those who look at it: what is sent is not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub id: DeliveryId,
    /// Its place among those of its webhook.
    pub number: i64,
    pub webhook_id: WebhookId,
    pub notice_id: NoticeId,
    pub application_id: Option<ApplicationId>,
    pub key_id: Option<KeyId>,
    /// `key.created` for instance.
    pub event_type: String,
    pub state: DeliveryState,
    pub attempts: u32,
    pub create_time: Timestamp,
    pub last_attempt_time: Option<Timestamp>,
    /// The HTTP status of the last attempt, if there was an answer.
    pub last_status: Option<u16>,
    /// Why the last attempt failed. Empty: it did not.
    pub last_error: String,
    /// None: not to be sent any more, or not yet.
    pub next_attempt_time: Option<Timestamp>,
}

/// Which deliveries are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeliveryFilter {
    pub state: Option<DeliveryState>,
    pub key_id: Option<KeyId>,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    Delivered {
        status: Option<u16>,
    },
    /// To be tried again, if it was not the last time.
    Failed {
        status: Option<u16>,
        why: String,
    },
    /// Not sent, since the operator has yet to give the key of its secret: to be tried again for as long as deliveries are
    /// kept, and nothing is held against the receiver.
    Unsigned {
        why: String,
    },
    /// Not to be tried again: the receiver will never take this one.
    Refused {
        why: String,
    },
    /// The receiver wants nothing more at all.
    Gone,
}

/// Who sends.
pub type Sender = Uuid;
