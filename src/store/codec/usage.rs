use super::Word;
use crate::{
    domain::{usage::UsageUnit, verdict::Verdict},
    store::Error,
};

words!(UsageUnit { Hour = "hour", Day = "day", Month = "month" });
words!(Verdict {
    Valid = "valid",
    Malformed = "malformed",
    NotFound = "not_found",
    Revoked = "revoked",
    Expired = "expired",
    Disabled = "disabled",
    EnvironmentNotAllowed = "environment_not_allowed",
    PermissionMissing = "permission_missing",
    IpNotAllowed = "ip_not_allowed",
    ReferrerNotAllowed = "referrer_not_allowed",
    ResourceNotAllowed = "resource_not_allowed",
    RateLimited = "rate_limited",
    QuotaExceeded = "quota_exceeded",
});

pub(in crate::store) fn unit(unit: UsageUnit) -> &'static str {
    unit.word()
}

pub(in crate::store) fn verdict(verdict: Verdict) -> &'static str {
    verdict.word()
}

pub(in crate::store) fn read_verdict(word: &str) -> Result<Verdict, Error> {
    Verdict::read(word)
}
