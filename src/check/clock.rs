use std::time::Duration;

use super::Finding;

/// What a signature may be away from the database's time.
const WINDOW: Duration = Duration::from_secs(300);
/// Clocks that are kept by NTP are nearer to each other, by far.
const NEAR: Duration = Duration::from_secs(2);

/// This machine's clock against the database's, which is `ahead` by so many microseconds.
#[must_use]
pub fn clock(ahead: i64) -> Finding {
    const OF: &str = "clock";
    let apart = Duration::from_micros(ahead.unsigned_abs());
    let way = if ahead < 0 { "ahead of" } else { "behind" };
    let said = format!("this machine's clock is {:.1} s {way} the database's", apart.as_secs_f64());
    if apart > WINDOW {
        let advice =
            "let NTP keep both; what is signed by a machine with this clock is refused: a signature may be 300 s away";
        Finding::fail(OF, said, advice)
    } else if apart > NEAR {
        let advice = "let NTP keep both: the service goes by the database's, and what is signed here comes nearer to the 300 s \
                      that it may be away";
        Finding::warn(OF, said, advice)
    } else {
        Finding::ok(OF, said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Level;

    #[test]
    fn ten_seconds_are_a_warning_with_the_figure_and_more_than_the_window_is_a_failure() {
        for (ahead, level, said) in [
            (0, Level::Ok, "0.0 s behind"),
            (-1_900_000, Level::Ok, "1.9 s ahead of"),
            (10_000_000, Level::Warn, "10.0 s behind"),
            (-10_040_000, Level::Warn, "10.0 s ahead of"),
            (300_000_000, Level::Warn, "300.0 s behind"),
            (300_000_001, Level::Fail, "300.0 s behind"),
            (i64::MIN, Level::Fail, "ahead of"),
        ] {
            let found = clock(ahead);
            assert_eq!(found.level, level, "{ahead}");
            assert!(found.said.contains(said), "{found:?}");
            assert_eq!(found.advice.is_none(), level == Level::Ok);
        }
    }
}
