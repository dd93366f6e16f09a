//! What JSON belongs to which kind of field.

use std::ops::RangeInclusive;

use prost_reflect::{Kind, MessageDescriptor};

const MASK: &str = r#"field names in lowerCamelCase like "name,expireTime", or {"paths": ["name", "expire_time"]}"#;

/// Whether a message's JSON is a string.
pub(super) fn is_text(message: &MessageDescriptor) -> bool {
    matches!(
        message.full_name(),
        "google.protobuf.Timestamp" | "google.protobuf.Duration" | "google.protobuf.FieldMask"
    )
}

/// Which may be an object, too: see `take_masks`.
pub(super) fn is_mask(message: &MessageDescriptor) -> bool {
    message.full_name() == "google.protobuf.FieldMask"
}

pub(super) fn fits(kind: &Kind, number: i128) -> bool {
    match kind {
        Kind::Float | Kind::Double => true,
        Kind::Enum(_) => i32::try_from(number).is_ok(),
        _ => range(kind).is_some_and(|range| range.contains(&number)),
    }
}

/// Of the kinds that hold whole numbers.
pub(super) fn range(kind: &Kind) -> Option<RangeInclusive<i128>> {
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Some(i32::MIN.into()..=i32::MAX.into()),
        Kind::Uint32 | Kind::Fixed32 => Some(0..=u32::MAX.into()),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Some(i64::MIN.into()..=i64::MAX.into()),
        Kind::Uint64 | Kind::Fixed64 => Some(0..=u64::MAX.into()),
        _ => None,
    }
}

pub(super) fn wanted(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "true or false".to_owned(),
        Kind::String => "a string".to_owned(),
        Kind::Bytes => "base64 in a string".to_owned(),
        Kind::Enum(names) => {
            let names: Vec<_> = names.values().map(|v| v.name().to_owned()).collect();
            format!("one of {}", names.join(", "))
        }
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.Timestamp" => r#"a time like "2030-01-31T12:00:00Z""#.to_owned(),
            "google.protobuf.Duration" => r#"a number of seconds like "3600s""#.to_owned(),
            "google.protobuf.FieldMask" => MASK.to_owned(),
            name => format!("a JSON object, a {name}"),
        },
        _ => range(kind).map_or("a number".to_owned(), |r| format!("a whole number from {} to {}", r.start(), r.end())),
    }
}
