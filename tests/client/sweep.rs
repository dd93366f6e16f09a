//! What the descriptors must keep, so that every encoder makes the same bytes of the
//! same request: a signature is over bytes.

use std::collections::BTreeSet;

use portcullis::client::Schema;
use prost_reflect::{Kind, MessageDescriptor};

/// A message and those inside it, by full name.
fn reachable(message: &MessageDescriptor, seen: &mut BTreeSet<String>, all: &mut Vec<MessageDescriptor>) {
    if !seen.insert(message.full_name().to_owned()) {
        return;
    }
    all.push(message.clone());
    for field in message.fields() {
        if let Kind::Message(inner) = field.kind() {
            reachable(&inner, seen, all);
        }
    }
}

fn signed_messages() -> Vec<MessageDescriptor> {
    let (mut seen, mut all) = (BTreeSet::new(), Vec::new());
    for method in Schema::new().methods().filter(|m| m.credential().is_some() && !m.streams_requests()) {
        reachable(&method.input(), &mut seen, &mut all);
    }
    assert!(seen.contains("portcullis.v1.CreateKeyRequest") && seen.contains("portcullis.v1.Label"), "{seen:?}");
    all
}

#[test]
fn signed_requests_hold_no_maps_and_no_floats() {
    for message in signed_messages() {
        for field in message.fields() {
            assert!(!field.is_map(), "{}: a map has no order", field.full_name());
            let float = matches!(field.kind(), Kind::Float | Kind::Double);
            assert!(!float, "{}: encoders differ on -0 and NaN", field.full_name());
            assert!(!field.is_group(), "{}", field.full_name());
        }
    }
}

#[test]
fn signed_requests_hold_contiguous_oneofs() {
    for message in signed_messages() {
        for oneof in message.oneofs() {
            let members: BTreeSet<u32> = oneof.fields().map(|f| f.number()).collect();
            let (Some(first), Some(last)) = (members.first(), members.last()) else {
                continue;
            };
            let mut between = message.fields().map(|f| f.number()).filter(|n| (first..=last).contains(&n));
            assert!(
                between.all(|n| members.contains(&n)),
                "{}: prost writes a oneof at its lowest number, others at the member's own",
                oneof.full_name()
            );
        }
    }
}

#[test]
fn mutations_want_a_signed_request() {
    for method in Schema::new().methods() {
        let path = method.path();
        let name = path.as_str().rsplit('/').next().unwrap_or_default();
        let reads = ["Get", "List", "Verify", "Watch", "Check"].iter().any(|verb| name.starts_with(verb));
        // What it hands out it hands out for good: it begins the end of the old key.
        let reads = reads && name != "GetSealedSecret";
        let signed = method.credential() == Some(portcullis::pb::Credential::SignedRequest);
        assert_eq!(signed, !reads, "{path}");
    }
}
