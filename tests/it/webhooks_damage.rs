//! Webhooks that do not read: what they are told of happens all the same, and is told to others.

use std::time::Duration;

use portcullis::pb::{self, RevocationCause};

use crate::harness::{Rows, Server, Setup, receiver::Receiver, smtp::MailServer, until, verify::ttl, watch::from};

/// What stands in the row instead, and whether it is still known what the webhook wants.
const DAMAGES: [(&str, bool); 4] = [
    ("event_types = '[\"key.melted\", \"key.revoked\"]'", true),
    ("url = 'ftp://example.com/'", true),
    ("event_types = '{\"key.revoked\": true}'", false),
    ("event_types = '[1]'", false),
];

#[tokio::test]
async fn a_webhook_that_does_not_read_stops_no_mutation_no_job_and_no_other_delivery() {
    stop_nothing(&DAMAGES).await;
}

/// Columns of text hold any bytes there.
mod sqlite {
    const DAMAGES: [(&str, bool); 3] = [
        ("description = CAST(x'ff' AS TEXT)", true),
        ("event_types = '[\"key.revo'", false),
        ("event_types = CAST(x'ff' AS TEXT)", false),
    ];

    #[tokio::test]
    async fn what_is_no_text_stops_nothing_either() {
        super::stop_nothing(&DAMAGES).await;
    }
}

async fn stop_nothing(damages: &[(&str, bool)]) {
    for (damage, is_heard) in damages.iter().copied() {
        let mut mails = MailServer::start(&["none", "0"]).await;
        let mut setup = Setup::default();
        setup.notify.mail = mails.as_ref().map(MailServer::settings);
        let server = Server::start_with(setup).await;
        let (mut spoiled, mut good) = (Receiver::start().await, Receiver::start().await);
        let hook = server.hook(&spoiled.url).await;
        server
            .hook_with(&good.url, |webhook| {
                webhook.event_types = ["revoked", "expired"].map(|kind| format!("key.{kind}")).into()
            })
            .await;
        let wish = pb::Application { notify_emails: vec!["ops@example.org".to_owned()], ..Default::default() };
        server.choose(&["notify_emails"], wish).await;
        let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
        let rows = Rows::of(&server).await;
        rows.change("CREATE TABLE kept AS SELECT * FROM webhook").await;
        rows.change(&format!("UPDATE webhook SET {damage} WHERE webhook_id = '{}'", hook.webhook.webhook_id)).await;

        let revoked = server.key().await.key.expect("key");
        let expiring = server.key_with(|request| request.expiration = ttl(100)).await.key.expect("key");
        server.revoke(&revoked).await;
        assert_eq!(watch.revocation().await.0.key_id, revoked.key_id, "{damage}");
        assert_eq!(good.next().await.kind(), "key.revoked", "{damage}");
        // What is under way when the clock goes on is late, and is told again.
        let spoiled_id = &hook.webhook.webhook_id;
        let others =
            format!("SELECT count(*) FROM delivery WHERE destination <> '{spoiled_id}' AND state <> 'delivered'");
        until("it is noted that the others were told", async || rows.number(&others).await == 0).await;
        server.pass(100).await;
        let (told, _) = watch.revocation().await;
        assert_eq!((told.cause(), told.key_id), (RevocationCause::Expired, expiring.key_id), "{damage}");
        assert_eq!(good.next().await.kind(), "key.expired", "{damage}");
        if let Some(mails) = &mut mails {
            let mut subjects = Vec::new();
            for _ in 0..4 {
                subjects.push(mails.next().await["subject"].to_string());
            }
            for kind in ["key.revoked", "key.expired"] {
                assert!(subjects.iter().any(|subject| subject.contains(kind)), "{damage}: {subjects:?}");
            }
        }
        spoiled.nothing().await;

        // What is known to be for it waits for an hour, and says why.
        let of_it = format!("FROM delivery WHERE destination = '{}' AND state = 'pending'", hook.webhook.webhook_id);
        let errors = rows.texts(&format!("SELECT last_error {of_it} AND next_attempt_time > 0")).await;
        assert_eq!(errors.is_empty(), !is_heard, "{damage}: {errors:?}");
        assert!(errors.iter().all(|error| error.starts_with("not sent, it does not read")), "{damage}: {errors:?}");
        let kept =
            |column: &str| format!("{column} = (SELECT {column} FROM kept WHERE kept.webhook_id = webhook.webhook_id)");
        let kept = ["event_types", "url", "description"].map(kept).join(", ");
        rows.change(&format!("UPDATE webhook SET {kept}")).await;
        server.advance(Duration::from_secs(3601)).await;
        if is_heard {
            assert_eq!(spoiled.next().await.signed_by(&hook.secret), 1, "{damage}");
        } else {
            spoiled.nothing().await;
        }
    }
}
