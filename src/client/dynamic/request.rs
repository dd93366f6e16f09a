use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use serde::{Deserialize, de::DeserializeSeed as _};
use serde_json::{Map, Value};

use super::{check::Object, kind::is_mask};

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
    let mut text = serde_json::Deserializer::from_str(json);
    Object(input).deserialize(&mut text).and_then(|()| text.end()).map_err(refused)?;

    let mut object: Map<String, Value> = serde_json::from_str(json).map_err(refused)?;
    let masks = take_masks(input, &mut object).map_err(refused)?;
    let mut message = DynamicMessage::deserialize(input.clone(), Value::Object(object)).map_err(refused)?;
    for (field, mask) in masks {
        message.set_field(&field, mask);
    }
    Ok(message.encode_to_vec().into())
}

/// Takes out the field masks written as `{"paths": ["expire_time"]}`. The JSON mapping
/// has only `"expireTime"`, which grpcurl does not read; this is what it reads instead,
/// and one text must do for both.
fn take_masks(
    input: &MessageDescriptor,
    object: &mut Map<String, Value>,
) -> serde_json::Result<Vec<(FieldDescriptor, prost_reflect::Value)>> {
    let mut masks = Vec::new();
    for field in input.fields() {
        let Kind::Message(mask) = field.kind() else { continue };
        let name =
            [field.json_name(), field.name()].into_iter().find(|name| object.get(*name).is_some_and(Value::is_object));
        let (true, Some(name)) = (is_mask(&mask), name) else { continue };
        let paths: Paths = serde_json::from_value(object.remove(name).unwrap_or_default())?;
        let paths = paths.paths.unwrap_or_default().into_iter().map(prost_reflect::Value::String).collect();
        let mut message = DynamicMessage::new(mask);
        message.set_field_by_name("paths", prost_reflect::Value::List(paths));
        masks.push((field, prost_reflect::Value::Message(message)));
    }
    Ok(masks)
}

#[derive(Deserialize)]
struct Paths {
    paths: Option<Vec<String>>,
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
