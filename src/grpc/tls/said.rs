use std::{path::Path, time::Duration};

use super::TlsRefused;
use crate::domain::time::Timestamp;

/// What was said already: of the server's own certificate, or of the authorities of clients.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The words of what is wrong, and whether they were said.
    wrong: Option<(TlsRefused, bool)>,
    end: Option<&'static str>,
}

impl Said {
    /// What is to be taken, if there is anything new.
    pub(super) fn of<T>(&mut self, read: Result<Option<T>, TlsRefused>, asked: bool) -> Option<T> {
        match read {
            Ok(None) => self.wrong = None,
            Ok(Some(new)) => {
                *self = Self::default();
                return Some(new);
            }
            Err(error) => self.wrong(error, asked),
        }
        None
    }

    pub(super) fn is_well(&self) -> bool {
        self.wrong.is_none()
    }

    /// One file may be written and the other not yet: it is said when it is so at two looks, or when
    /// somebody asked.
    pub(super) fn wrong(&mut self, error: TlsRefused, asked: bool) {
        let (seen, told) = match &self.wrong {
            Some((before, told)) if *before == error => (true, *told),
            _ => (false, false),
        };
        let tell = asked || (seen && !told);
        if tell {
            tracing::error!(%error, "changed TLS files are not taken: the certificates from before stay in use");
        }
        self.wrong = Some((error, told || tell));
    }

    /// As it nears its end, once a stage.
    pub(super) fn end(&mut self, what: &str, path: &Path, end_time: Timestamp, now: Timestamp) {
        let stage = stage(end_time.seconds().saturating_sub(now.seconds()));
        if self.end == stage {
            return;
        }
        self.end = stage;
        let path = path.display();
        match stage {
            None => {}
            Some(OVER) => tracing::error!(%path, %end_time, "{what} has ended; renew it"),
            Some(left) => tracing::warn!(%path, %end_time, left, "{what} ends soon; renew it"),
        }
    }
}

const OVER: &str = "nothing";

fn stage(left: i64) -> Option<&'static str> {
    const DAY: i64 = Duration::from_hours(24).as_secs() as i64;
    match left {
        ..=0 => Some(OVER),
        left if left <= DAY => Some("a day or less"),
        left if left <= 7 * DAY => Some("7 days or less"),
        left if left <= 30 * DAY => Some("30 days or less"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::lines::Lines;

    const DAY: i64 = 86_400;

    #[test]
    fn the_end_is_told_in_stages() {
        let stages = [31 * DAY, 30 * DAY, 8 * DAY, 7 * DAY, DAY + 1, DAY, 1, 0, -DAY].map(stage);
        let expected = [
            None,
            Some("30 days or less"),
            Some("30 days or less"),
            Some("7 days or less"),
            Some("7 days or less"),
            Some("a day or less"),
            Some("a day or less"),
            Some(OVER),
            Some(OVER),
        ];
        assert_eq!(stages, expected);
    }

    /// What is logged meanwhile.
    fn logged(work: impl FnOnce()) -> Vec<String> {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).without_time().with_writer(move || writer.clone());
        tracing::subscriber::with_default(subscriber.finish(), work);
        lines.text().lines().map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn each_stage_is_logged_once_and_again_of_another_certificate() {
        let end_time = Timestamp::from_seconds(1_800_000_000);
        let left = |said: &mut Said, left: i64| {
            let now = Timestamp::from_seconds(end_time.seconds() - left);
            said.end("the TLS certificate in use", Path::new("tls.crt"), end_time, now);
        };
        let mut said = Said::default();
        let lines = logged(|| {
            for days in [40, 30, 29, 7, 6, 1, 1, 0, -1] {
                left(&mut said, days * DAY);
            }
        });
        let soon = |left: &str| {
            format!(
                "WARN portcullis::grpc::tls::said: the TLS certificate in use ends soon; renew it path=tls.crt \
                 end_time={end_time} left=\"{left}\""
            )
        };
        let over = format!(
            "ERROR portcullis::grpc::tls::said: the TLS certificate in use has ended; renew it path=tls.crt \
             end_time={end_time}"
        );
        assert_eq!(lines, [soon("30 days or less"), soon("7 days or less"), soon("a day or less"), over]);
        let again = logged(|| {
            assert!(said.of(Ok(Some(())), false).is_some());
            left(&mut said, 30 * DAY);
        });
        assert_eq!(again, [soon("30 days or less")]);
    }

    #[test]
    fn what_is_wrong_is_said_when_it_stays_wrong_and_once() {
        let mut said = Said::default();
        let mut look = |what: &str, asked| {
            let wrong = Err(TlsRefused::Unusable(what.to_owned()));
            logged(|| assert_eq!(said.of::<()>(wrong, asked), None)).len()
        };
        assert_eq!(look("x", false), 0, "it may be on its way");
        assert_eq!([look("x", false), look("x", false)], [1, 0]);
        assert_eq!(look("x", true), 1, "somebody asked");
        assert_eq!([look("y", false), look("y", false)], [0, 1], "something else");
    }
}
