use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde::de::DeserializeSeed as _;

use super::check::Object;

/// The text does not describe a request of the method.
#[derive(Debug, thiserror::Error)]
#[error("the request is not a {message}: {why}")]
pub struct RequestRefused {
    message: String,
    why: String,
}

/// JSON to bytes, in two passes: the first says clearly what is wrong, the second reads.
pub(super) fn encode(input: &MessageDescriptor, json: &str) -> Result<Bytes, RequestRefused> {
    let refused = |e| RequestRefused { message: input.full_name().to_owned(), why: explain(&e) };
    let mut first = serde_json::Deserializer::from_str(json);
    Object(input).deserialize(&mut first).and_then(|()| first.end()).map_err(refused)?;
    let mut second = serde_json::Deserializer::from_str(json);
    let message = DynamicMessage::deserialize(input.clone(), &mut second).map_err(refused)?;
    Ok(message.encode_to_vec().into())
}

/// serde_json runs the place into its message's last words.
fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let (line, column) = (error.line(), error.column());
    match text.strip_suffix(&format!(" at line {line} column {column}")) {
        Some(what) => format!("{what} (line {line}, column {column})"),
        None => text,
    }
}
