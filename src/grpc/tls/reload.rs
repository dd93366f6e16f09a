use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;

use super::{
    Tls, TlsRefused,
    read::{Files, Loaded},
};
use crate::{clock::Clock, domain::time::Timestamp};

/// What is shown to whoever connects next. Read anew when the files change, and kept as it is
/// where what they hold is not usable: a server that goes on with a good certificate is worth more than
/// one that stops for a bad one.
pub(in crate::grpc) struct Certificates {
    tls: Tls,
    clock: Clock,
    current: RwLock<Loaded>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("tls", &self.tls).finish_non_exhaustive()
    }
}

/// What was said already.
#[derive(Debug, Default)]
struct Said {
    /// The words of what is wrong, and whether they were said.
    wrong: Option<(TlsRefused, bool)>,
    end: Option<&'static str>,
}

impl Certificates {
    /// Reads them for the first time: what is wrong then is refused.
    pub(in crate::grpc) async fn open(tls: Tls, clock: Clock) -> Result<Self, TlsRefused> {
        let loaded = Files::read(&tls).await?.load(&tls, clock.now())?;
        Ok(Self { tls, clock, current: RwLock::new(loaded) })
    }

    /// All that is wrong with the files, where [`Certificates::open`] tells the first of it.
    pub(in crate::grpc) async fn wrong(tls: &Tls, clock: &Clock) -> Vec<TlsRefused> {
        Files::wrong(tls, clock.now()).await
    }

    /// For one handshake.
    pub(in crate::grpc) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).config))
    }

    /// Of the server's own certificate.
    pub(in crate::grpc) fn end_time(&self) -> Timestamp {
        self.current.read().unwrap_or_else(PoisonError::into_inner).end_time
    }

    fn print(&self) -> [u8; 32] {
        self.current.read().unwrap_or_else(PoisonError::into_inner).print
    }

    /// Looks every few seconds, and at once on SIGHUP, until it is dropped.
    pub(in crate::grpc) async fn follow(self: Arc<Self>) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => Some(hangup),
            Err(error) => {
                tracing::error!(%error, "SIGHUP cannot be waited for; changed certificates are found all the same");
                None
            }
        };
        let mut said = Said::default();
        loop {
            self.tell_end(&mut said);
            let rung = async {
                match &mut hangup {
                    Some(hangup) => drop(hangup.recv().await),
                    None => std::future::pending().await,
                }
            };
            let asked = tokio::select! {
                () = tokio::time::sleep(self.tls.look_every) => false,
                () = rung => true,
            };
            self.look(asked, &mut said).await;
        }
    }

    async fn look(&self, asked: bool, said: &mut Said) {
        let read = match Files::read(&self.tls).await {
            Ok(files) if files.print() == self.print() => {
                said.wrong = None;
                if asked {
                    tracing::info!("the TLS files were read again, and hold what they held");
                }
                return;
            }
            Ok(files) => files.load(&self.tls, self.clock.now()),
            Err(error) => Err(error),
        };
        match read {
            Ok(loaded) => {
                *said = Said::default();
                tracing::info!(end_time = %loaded.end_time, "new TLS certificates are in use for new connections");
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = loaded;
            }
            Err(error) => say(error, asked, said),
        }
    }

    /// As it nears its end, once a stage.
    fn tell_end(&self, said: &mut Said) {
        let end_time = self.end_time();
        let left = end_time.seconds().saturating_sub(self.clock.now().seconds());
        let stage = stage(left);
        if said.end == stage {
            return;
        }
        said.end = stage;
        let path = self.tls.certificate.display();
        match stage {
            None => {}
            Some(OVER) => {
                tracing::error!(%path, %end_time, "the TLS certificate in use has ended: callers refuse it; renew it")
            }
            Some(left) => tracing::warn!(%path, %end_time, left, "the TLS certificate in use ends soon; renew it"),
        }
    }
}

/// One file may be written and the other not yet: it is said when it is so at two looks, or when
/// somebody asked.
fn say(error: TlsRefused, asked: bool, said: &mut Said) {
    let (seen, told) = match &said.wrong {
        Some((before, told)) if *before == error => (true, *told),
        _ => (false, false),
    };
    let tell = asked || (seen && !told);
    if tell {
        tracing::error!(%error, "changed TLS files are not taken: the certificates from before stay in use");
    }
    said.wrong = Some((error, told || tell));
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

    #[test]
    fn the_end_is_told_in_stages() {
        const DAY: i64 = 86_400;
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

    #[test]
    fn what_is_wrong_is_said_when_it_stays_wrong_and_once() {
        let wrong = || TlsRefused::Unusable("x".to_owned());
        let told = |said: &Said| said.wrong.as_ref().map(|(_, told)| *told);
        let mut said = Said::default();
        say(wrong(), false, &mut said);
        assert_eq!(told(&said), Some(false), "it may be on its way");
        say(wrong(), false, &mut said);
        assert_eq!(told(&said), Some(true));
        let mut said = Said::default();
        say(wrong(), true, &mut said);
        assert_eq!(told(&said), Some(true), "somebody asked");
    }
}
