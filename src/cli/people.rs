//! What the commands for people share: how a message becomes a table, words for times, the
//! question before what cannot be undone, one way to call, all pages of a list.
//!
//! Names of keys are other people's texts: whatever goes to standard output or to standard error
//! here passes `clean` (or is JSON, which escapes it), so that no terminal obeys it.

mod args;
mod change;
mod column;
mod confirm;
mod fit;
mod limit;
mod look;
mod pages;
mod progress;
mod secret;
mod session;
mod table;
mod text;
mod when;
mod word;

pub(super) use args::{AppArgs, Printed, Retry, ServiceArgs, required_app};
pub(super) use change::{Changes, Clearable, clear_words};
pub(super) use column::{Cell, Column, Shown, Tint, detail, number, shrinks, whole};
pub(super) use confirm::Confirm;
pub(super) use limit::{label, quota, quota_word, rate_limit, rate_limit_word};
pub(super) use look::Look;
pub(super) use pages::{PageArgs, list};
pub(super) use progress::Progress;
pub(super) use secret::{REFUSED as SECRET_IN_ARGUMENT, read as read_secret};
pub(super) use session::{Repeat, Session};
pub(super) use table::{details, details_and, line, table};
pub(super) use when::{Moment, Span, moment, some_time, span, ttl};
pub(super) use word::{Environment, KeyKind, Leaks, PlanWord, Reason, RoleWord, Step, Wait, word};
