//! Bad input to Verify, and to what it decides about: a field violation or a refused
//! verdict, never a pass, never a defect.

use std::net::IpAddr;

use portcullis::pb::{self, Verdict};
use tonic::{Code, Status};

use crate::{
    fields::{create, ids, texts},
    harness::{
        Dice, Headers, Server, refusal,
        verify::{Answer, about, about_id, rate_limit, update},
    },
};

const VERIFY: &str = "KeyService/VerifyKey";
const CREATE: &str = "KeyService/CreateKey";

#[tokio::test]
async fn a_client_ip_that_is_no_address_is_a_wrong_field_restricted_or_not() {
    let server = Server::start().await;
    let free = server.key().await.secret;
    let restricted = server.key_with(|request| request.ip_allowlist = texts(&["0.0.0.0/0", "::/0"])).await.secret;
    let long = "1".repeat(60 * 1024);
    for text in [
        " ",
        "unknown",
        "localhost",
        "192.0.2.1:443",
        "192.0.2.1/32",
        "192.0.2.1, 198.51.100.1",
        " 192.0.2.1",
        "192.0.2.1\0",
        "192.0.2.01",
        "192.0.2.256",
        "192.0.2",
        "3221225985",
        "0xc0000201",
        "[2001:db8::1]",
        "fe80::1%eth0",
        "1:2:3:4:5:6:7:8:9",
        "::ffff:192.0.2.1.5",
        "١٩٢.0.2.1",
        "_hidden",
        &long,
    ] {
        for secret in [&free, &restricted] {
            let question = pb::VerifyKeyRequest { client_ip: text.to_owned(), ..about(secret) };
            server.refuses_fields(VERIFY, &question, &["client_ip"]).await;
        }
    }
}

#[tokio::test]
async fn a_cost_is_one_to_a_billion_and_nothing_is_one() {
    let server = Server::start().await;
    let free = server.key().await.secret;
    let limited = server.key_with(|request| request.rate_limits = vec![rate_limit("minute", 5, 60)]).await.secret;
    let costing = |secret: &str, cost| pb::VerifyKeyRequest { cost, ..about(secret) };
    for cost in [i64::MIN, -1, 1_000_000_001, i64::MAX] {
        for secret in [&free, &limited] {
            server.refuses_fields(VERIFY, &costing(secret, cost), &["cost"]).await;
        }
    }
    assert_eq!(server.verdict_on(&costing(&free, 1_000_000_000)).await, Verdict::Valid);
    let answer = server.ask(&server.admin, &costing(&limited, 1_000_000_000)).await.expect("verify");
    assert_eq!((answer.verdict(), answer.retry_after), (Verdict::RateLimited, None), "it never will pass");
    assert_eq!(server.remaining(&limited).await, [("minute".to_owned(), 5)], "and was not spent");
    for (cost, left) in [(0, 4), (1, 3), (3, 0)] {
        assert_eq!(server.verdict_on(&costing(&limited, cost)).await, Verdict::Valid);
        assert_eq!(server.remaining(&limited).await, [("minute".to_owned(), left)]);
    }
    assert_eq!(server.verdict_on(&costing(&limited, 0)).await, Verdict::RateLimited);
}

#[tokio::test]
async fn a_permission_bomb_is_a_wrong_field() {
    let server = Server::start().await;
    let made = server.key_with(|request| request.permissions = texts(&["*"])).await;
    let key = made.key.expect("key");
    let bombs = [
        "*:".repeat(30_000),
        "*".repeat(60_000),
        format!("*{}", ":*".repeat(30_000)),
        format!("{}:read", "a".repeat(60_000)),
        "*:*:*".to_owned(),
        "**".to_owned(),
        "tasks:*read".to_owned(),
        "tasks".to_owned(),
        ":".to_owned(),
        String::new(),
        "TASKS:read".to_owned(),
        "tasks:read ".to_owned(),
        "tasks:réad".to_owned(),
        "tasks:read\0".to_owned(),
    ];
    for bomb in bombs {
        let question = pb::VerifyKeyRequest { required_permissions: vec![bomb.clone()], ..about(&made.secret) };
        server.refuses_fields(VERIFY, &question, &["required_permissions[0]"]).await;
        let bad = pb::CreateKeyRequest { permissions: vec![bomb.clone()], ..create(&server) };
        server.refuses_fields(CREATE, &bad, &["permissions[0]"]).await;
        let wish = pb::Key { permissions: vec![bomb], ..Default::default() };
        server
            .refuses_fields("KeyService/UpdateKey", &update(&key, &["permissions"], wish), &["key.permissions[0]"])
            .await;
    }
    let many = |count: usize| pb::VerifyKeyRequest {
        required_permissions: (0..count).map(|i| format!("p{i}:read")).collect(),
        ..about(&made.secret)
    };
    assert_eq!(server.verdict_on(&many(100)).await, Verdict::Valid);
    server.refuses_fields(VERIFY, &many(101), &["required_permissions"]).await;
    server.refuses_fields(VERIFY, &many(4000), &["required_permissions"]).await;
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_before_it_is_read() {
    let server = Server::start().await;
    let made = server.key().await;
    let question = pb::VerifyKeyRequest { resource: "r".repeat(64 * 1024), ..about(&made.secret) };
    let too_large = (Code::ResourceExhausted, "MESSAGE_TOO_LARGE".to_owned());
    assert_eq!(refusal(server.ask(&server.admin, &question).await), too_large);
    let (code, reason) = (too_large.0, too_large.1.as_str());
    server.refuses(&server.admin, VERIFY, &question, code, reason).await;
}

#[tokio::test]
async fn a_number_that_is_no_value_of_its_enum_is_a_wrong_field() {
    let server = Server::start().await;
    let key = server.key().await;
    for number in [-1, 99, i32::MIN, i32::MAX] {
        let question = pb::VerifyKeyRequest { environment: number, ..about(&key.secret) };
        server.refuses_fields(VERIFY, &question, &["environment"]).await;
        let dry = pb::VerifyKeyRequest { environment: number, ..about_id(&ids(key.key.as_ref().expect("key")).key_id) };
        server.refuses_fields(VERIFY, &dry, &["environment"]).await;
        let quotas = vec![pb::Quota { limit: 1, period: number }];
        let bad = pb::CreateKeyRequest { r#type: number, environment: number, quotas, ..create(&server) };
        server.refuses_fields(CREATE, &bad, &["environment", "quotas[0].period", "type"]).await;
        let application = pb::Application { name: "a".to_owned(), plan: number, ..Default::default() };
        let bad = pb::CreateApplicationRequest { application: Some(application.clone()), ..Default::default() };
        server.refuses_fields("ApplicationService/CreateApplication", &bad, &["application.plan"]).await;
        let application = pb::Application { application_id: server.app.clone(), ..application };
        let bad = pb::UpdateApplicationRequest { application: Some(application), update_mask: None };
        server.refuses_fields("ApplicationService/UpdateApplication", &bad, &["application.plan"]).await;
    }
    for revision in [-1, i64::MIN] {
        let question = pb::VerifyKeyRequest { min_revision: revision, ..about(&key.secret) };
        server.refuses_fields(VERIFY, &question, &["min_revision"]).await;
    }
}

#[tokio::test]
async fn a_limit_that_could_not_be_counted_is_a_wrong_field() {
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    let day = 24 * 3600;
    let rows: [(Vec<pb::RateLimit>, &[&str]); 8] = [
        (vec![rate_limit("zero", 1, 0)], &["[0].window"]),
        (vec![rate_limit("less", 1, -60)], &["[0].window"]),
        (vec![rate_limit("long", 1, day + 1), rate_limit("longest", 1, i64::MAX)], &["[0].window", "[1].window"]),
        (vec![pb::RateLimit { window: None, ..rate_limit("none", 1, 1) }], &["[0].window"]),
        (vec![rate_limit("none", 0, 60), rate_limit("less", -1, 30)], &["[0].limit", "[1].limit"]),
        (
            vec![rate_limit("end", i64::MAX, 60), rate_limit("above", 1_000_000_000_000_001, 30)],
            &["[0].limit", "[1].limit"],
        ),
        (vec![rate_limit("twice", 1, 60), rate_limit("twice", 2, 30)], &["[1].name"]),
        (vec![rate_limit("one", 1, 60), rate_limit("other", 2, 60)], &["[1].window"]),
    ];
    for (rate_limits, fields) in rows {
        let named = |prefix: &str| fields.iter().map(|field| format!("{prefix}{field}")).collect::<Vec<_>>();
        let bad = pb::CreateKeyRequest { rate_limits: rate_limits.clone(), ..create(&server) };
        let told = named("rate_limits");
        server.refuses_fields(CREATE, &bad, &told.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let told = named("key.rate_limits");
        let bad = update(&key, &["rate_limits"], pb::Key { rate_limits, ..Default::default() });
        server.refuses_fields("KeyService/UpdateKey", &bad, &told.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
}

/// A verdict that does not admit, or a wrong request that is told so.
fn is_refused(answer: &Result<Answer, Status>) -> bool {
    match answer {
        Ok(answer) => !matches!(answer.verdict(), Verdict::Valid | Verdict::Unspecified),
        Err(status) => {
            let told = refusal::<()>(Err(status.clone()));
            told.0 == Code::InvalidArgument || told.1 == "REVISION_NOT_REACHED"
        }
    }
}

const GOOD: [&str; 4] = ["192.0.2.77", "https://only.example:8443", "files/only", "tasks:read"];

/// As another reader of such texts sees it, whether it says the same as the good one.
fn means_the_same(field: usize, text: &str) -> bool {
    match field {
        0 => text.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical() == IpAddr::from([192, 0, 2, 77])),
        1 => url::Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == GOOD[1]),
        _ => text == GOOD[field],
    }
}

/// One to four characters of the text are put in, taken out or replaced.
fn bent(text: &str, dice: &mut Dice) -> String {
    const TRICKS: &str = "\0\n\t /\\.:@?#%*[]0129aAfx-_~,;\u{202e}\u{200b}éß。ａ١";
    let tricks: Vec<char> = TRICKS.chars().collect();
    let mut text: Vec<char> = text.chars().collect();
    for _ in 0..=dice.below(4) {
        let at = dice.below(text.len() as u64 + 1) as usize;
        let trick = tricks[dice.below(tricks.len() as u64) as usize];
        match dice.below(3) {
            0 => text.insert(at, trick),
            1 if at < text.len() => drop(text.remove(at)),
            _ if at < text.len() => text[at] = trick,
            _ => text.push(trick),
        }
    }
    text.into_iter().collect()
}

/// Each fact is bent while the others are right, so that it alone can refuse the call.
#[tokio::test]
async fn no_bent_fact_passes_and_none_is_a_defect() {
    let server = Server::start().await;
    let secret = server.key_with(|request| {
        request.ip_allowlist = texts(&GOOD[..1]);
        request.referrer_allowlist = texts(&GOOD[1..2]);
        request.resource_allowlist = texts(&GOOD[2..3]);
        request.permissions = texts(&GOOD[3..]);
    });
    let secret = secret.await.secret;
    let question = |facts: &[String; 4]| pb::VerifyKeyRequest {
        client_ip: facts[0].clone(),
        referrer: facts[1].clone(),
        resource: facts[2].clone(),
        required_permissions: vec![facts[3].clone()],
        ..about(&secret)
    };
    let good = GOOD.map(str::to_owned);
    assert_eq!(server.verdict_on(&question(&good)).await, Verdict::Valid);
    let (mut dice, mut refused) = (Dice::new(), 0);
    for round in 0..2000 {
        let field = round % 4;
        let mut facts = good.clone();
        facts[field] = bent(GOOD[field], &mut dice);
        let answer = server.ask(&server.admin, &question(&facts)).await;
        let passes = answer.as_ref().is_ok_and(|answer| answer.verdict() == Verdict::Valid);
        assert!(is_refused(&answer) || passes && means_the_same(field, &facts[field]), "{facts:?}: {answer:?}");
        refused += u32::from(!passes);
    }
    assert!(refused > 1500, "{refused}");
}

/// Bytes that are no message, or one that nobody would write.
#[tokio::test]
async fn no_random_bytes_pass_and_none_are_a_defect() {
    let server = Server::start().await;
    let secret = server.key_with(|request| request.resource_allowlist = texts(&["files/only"])).await.secret;
    let good = prost::Message::encode_to_vec(&about(&secret));
    let headers = Headers::bearer(&server.admin.token(&server));
    let (mut dice, mut read) = (Dice::new(), 0);
    for round in 0..1000 {
        // Behind a good secret, or by themselves.
        let mut message = if round % 2 == 0 { good.clone() } else { Vec::new() };
        for _ in 0..dice.below(1 + round % 40) {
            // Small bytes are tags and lengths; 0x50 is that of `min_revision`, which waits.
            let below = if dice.below(3) == 0 { 256 } else { 0x62 };
            message.extend(Some(dice.below(below) as u8).filter(|byte| *byte != 0x50));
        }
        let answer: Result<Answer, Status> = server.with_headers(VERIFY, message.clone(), &headers).await;
        assert!(is_refused(&answer), "{message:02x?}: {answer:?}");
        read += u32::from(answer.is_ok());
    }
    assert!(read > 10, "some of them are questions: {read}");
}
