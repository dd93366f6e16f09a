//! Limits, quotas and labels as one word each: `login=100/1m`, `10000/day`, `team=search`.

use super::when;
use crate::pb;

/// `login=100/1m`; without a name, the window is its name.
pub(in crate::cli) fn rate_limit(text: &str) -> Result<pb::RateLimit, String> {
    let form = || "write it as 100/1m, or with a name as login=100/1m".to_owned();
    let (name, amount) = text.split_once('=').map_or((None, text), |(name, amount)| (Some(name), amount));
    let (limit, window) = amount.split_once('/').ok_or_else(form)?;
    Ok(pb::RateLimit {
        name: name.unwrap_or(window).to_owned(),
        limit: limit.parse().map_err(|_| form())?,
        window: Some(when::span(window)?),
    })
}

pub(in crate::cli) fn rate_limit_word(limit: &pb::RateLimit) -> String {
    let window = limit.window.as_ref().map(when::span_words).unwrap_or_default();
    format!("{}={}/{window}", limit.name, limit.limit)
}

/// `10000/day`, `100000/month`.
pub(in crate::cli) fn quota(text: &str) -> Result<pb::Quota, String> {
    let form = || "write it as 10000/day or 100000/month".to_owned();
    let (limit, period) = text.split_once('/').ok_or_else(form)?;
    let period = match period {
        "day" => pb::QuotaPeriod::Day,
        "month" => pb::QuotaPeriod::Month,
        _ => return Err(form()),
    };
    Ok(pb::Quota { limit: limit.parse().map_err(|_| form())?, period: period.into() })
}

pub(in crate::cli) fn quota_word(quota: &pb::Quota) -> String {
    format!("{}/{}", quota.limit, super::word(quota.period().as_str_name(), "QUOTA_PERIOD_"))
}

/// `team=search`.
pub(in crate::cli) fn label(text: &str) -> Result<pb::Label, String> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE, such as team=search")?;
    Ok(pb::Label { key: key.to_owned(), value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_told_in_the_same_word() {
        for word in ["login=100/1m", "7d=5/7d"] {
            assert_eq!(rate_limit_word(&rate_limit(word).expect(word)), word);
        }
        assert_eq!(rate_limit_word(&rate_limit("100/90s").expect("a limit")), "90s=100/1m 30s");
        for word in ["10000/day", "1/month"] {
            assert_eq!(quota_word(&quota(word).expect(word)), word);
        }
        let label = label("team=a=b").expect("a label");
        assert_eq!((label.key.as_str(), label.value.as_str()), ("team", "a=b"));
    }

    #[test]
    fn what_is_no_limit_is_told_how_to_write_one() {
        for text in ["100", "x/1m", "100/", "100/soon", "login=100/0s"] {
            assert!(rate_limit(text).is_err(), "{text}");
        }
        for text in ["100", "x/day", "100/week"] {
            assert!(quota(text).expect_err(text).contains("10000/day"), "{text}");
        }
        assert!(super::label("team").is_err());
    }
}
