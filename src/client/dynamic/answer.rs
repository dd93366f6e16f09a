use std::fmt::Write as _;

use bytes::Bytes;
use prost_reflect::{DynamicMessage, MessageDescriptor, SerializeOptions};

/// The server sent what its own descriptors, as this build knows them, do not allow.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the answer as a {message}: is the server of another version? ({why})")]
pub struct AnswerUnreadable {
    message: String,
    why: String,
}

impl AnswerUnreadable {
    pub(super) fn unknown(message: String) -> Self {
        Self { message, why: "there is no such message".to_owned() }
    }
}

/// Bytes as JSON, with the names of the proto files.
pub(super) fn json(of: MessageDescriptor, bytes: Bytes, pretty: bool) -> Result<String, AnswerUnreadable> {
    let name = of.full_name().to_owned();
    let unreadable = |why: String| AnswerUnreadable { message: name.clone(), why };
    let message = DynamicMessage::decode(of, bytes).map_err(|e| unreadable(e.to_string()))?;
    let mut text = Vec::new();
    let options = SerializeOptions::new().use_proto_field_name(true);
    let written = if pretty {
        message.serialize_with_options(&mut serde_json::Serializer::pretty(&mut text), &options)
    } else {
        message.serialize_with_options(&mut serde_json::Serializer::new(&mut text), &options)
    };
    written.map_err(|e| unreadable(e.to_string()))?;
    String::from_utf8(text).map(escaped).map_err(|e| unreadable(e.to_string()))
}

/// serde_json escapes what JSON must: the control characters up to U+001F. A terminal obeys those
/// up to U+009F, and turns text around for others. In JSON they stand in strings alone, where an
/// escape is the same character.
fn escaped(json: String) -> String {
    let is_obeyed = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !json.contains(is_obeyed) {
        return json;
    }
    let mut text = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_obeyed(c) {
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_string_in_json_is_obeyed_by_a_terminal_and_each_is_read_as_it_was(text in any::<String>(), pretty: bool) {
            let value = serde_json::json!({ "name": text });
            let json = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let shown = escaped(json.expect("json"));
            prop_assert!(!shown.contains(|c: char| c.is_control() && c != '\n'));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("json"), value);
        }
    }

    #[test]
    fn what_turns_text_around_is_escaped() {
        assert_eq!(escaped("\"\u{9b}2J\u{202e}\u{7f}é\"".to_owned()), "\"\\u009b2J\\u202e\\u007fé\"");
    }
}
