//! Walks JSON beside a message's descriptor and refuses, in words a person can act on,
//! what prost-reflect would accept (a name given twice) or name badly. Says field names
//! and what belongs there, never the value: it may be a secret.

use std::{collections::HashSet, fmt};

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use serde::de::{
    DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor, value::StrDeserializer,
};

use super::kind::{fits, is_mask, is_text, range, wanted};

/// An object with the fields of a message.
pub(super) struct Object<'a>(pub(super) &'a MessageDescriptor);

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(Seen { field: None, element: false, message: Some(self.0) })
    }
}

/// What is looked at: the whole request (no field), a field's value, or a list's element.
struct Seen<'a> {
    field: Option<&'a FieldDescriptor>,
    element: bool,
    message: Option<&'a MessageDescriptor>,
}

impl<'de> DeserializeSeed<'de> for Seen<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl Seen<'_> {
    fn wrong<E: Error>(&self) -> E {
        match self.field {
            Some(field) if field.is_list() && !self.element => {
                E::custom(format_args!("`{}` must be a list, each {}", field.name(), wanted(&field.kind())))
            }
            Some(field) => E::custom(format_args!("`{}` must be {}", field.name(), wanted(&field.kind()))),
            None => E::custom("it must be a JSON object"),
        }
    }

    /// Passes when one value of this kind belongs here.
    fn scalar<E: Error>(&self, fits: impl Fn(&Kind) -> bool) -> Result<(), E> {
        match self.field {
            Some(field) if (!field.is_list() || self.element) && !field.is_map() && fits(&field.kind()) => Ok(()),
            _ => Err(self.wrong()),
        }
    }
}

impl<'de> Visitor<'de> for Seen<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of the request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if self.field.is_some_and(|f| f.is_map()) {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        let Some(message) = self.message.filter(|m| !is_text(m) || is_mask(m)) else {
            return Err(self.wrong());
        };
        if self.field.is_some_and(|f| f.is_list()) && !self.element {
            return Err(self.wrong());
        }
        let mut given = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let Some(field) = message.get_field_by_json_name(&name).or_else(|| message.get_field_by_name(&name)) else {
                return Err(unknown_field(message, &name));
            };
            if !given.insert(field.number()) {
                return Err(A::Error::custom(format_args!("`{}` is given twice", field.name())));
            }
            let kind = field.kind();
            map.next_value_seed(Seen { field: Some(&field), element: false, message: kind.as_message() })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if self.element || !self.field.is_some_and(|f| f.is_list()) {
            return Err(self.wrong());
        }
        while list.next_element_seed(Seen { element: true, ..self })?.is_some() {}
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.scalar(|kind| match kind {
            Kind::Bool => false,
            Kind::Message(message) => is_text(message),
            // The JSON mapping writes 64 bits as a string, and reads any number from one.
            _ => range(kind).is_none_or(|range| text.parse().is_ok_and(|n| range.contains(&n))),
        })?;
        match self.field.map(FieldDescriptor::kind) {
            Some(Kind::Enum(names)) if names.get_value_by_name(text).is_none() => Err(self.wrong()),
            // Times, durations and masks are strings of their own grammar.
            Some(Kind::Message(message)) => {
                DynamicMessage::deserialize(message, StrDeserializer::<E>::new(text)).map_err(|_| self.wrong::<E>())?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.scalar(|kind| *kind == Kind::Bool)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.scalar(|kind| fits(kind, number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.scalar(|kind| fits(kind, number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.scalar(|kind| match kind {
            Kind::Float | Kind::Double => true,
            // `1e3` is a whole number; beyond 2^53 one could not tell.
            _ => number.fract() == 0.0 && number.abs() < 9e15 && fits(kind, number as i128),
        })
    }

    /// `null` is the default, for any field.
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if self.field.is_some() && !self.element { Ok(()) } else { Err(self.wrong()) }
    }
}

fn unknown_field<E: Error>(message: &MessageDescriptor, name: &str) -> E {
    let known: Vec<_> = message.fields().map(|f| f.name().to_owned()).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    E::custom(format_args!("there is no field `{}` in {}, only {known}", name.escape_debug(), message.full_name()))
}

#[cfg(test)]
mod tests {
    use crate::client::Schema;

    fn refused(method: &str, json: &str) -> String {
        let method = Schema::new().method(method).expect("method");
        method.request(json).expect_err(json).to_string()
    }

    #[test]
    fn what_is_wrong_and_what_belongs_there_is_said() {
        for (method, json, part) in [
            (
                "CreateKey",
                r#"{"nam": "x"}"#,
                "no field `nam` in portcullis.v1.CreateKeyRequest, only application_id, name,",
            ),
            ("CreateKey", r#"{"labels": [{"kye": "x"}]}"#, "no field `kye` in portcullis.v1.Label, only key, value"),
            ("CreateKey", r#"{"name": "x", "name": "y"}"#, "`name` is given twice"),
            ("CreateKey", r#"{"applicationId": "x", "application_id": "x"}"#, "`application_id` is given twice"),
            ("CreateKey", r#"{"name": 1}"#, "`name` must be a string"),
            ("CreateKey", r#"{"permissions": "a:b"}"#, "`permissions` must be a list, each a string"),
            ("CreateKey", r#"{"permissions": [["a:b"]]}"#, "`permissions` must be a string"),
            ("CreateKey", r#"{"permissions": [null]}"#, "`permissions` must be a string"),
            ("CreateKey", r#"{"labels": {"key": "x"}}"#, "`labels` must be a list, each a JSON object"),
            ("CreateKey", r#"{"environment": "LIVE"}"#, "one of KEY_ENVIRONMENT_UNSPECIFIED, KEY_ENVIRONMENT_LIVE"),
            ("CreateKey", r#"{"ttl": "1h"}"#, "`ttl` must be a number of seconds like \"3600s\""),
            ("CreateKey", r#"{"ttl": {"seconds": 1}}"#, "`ttl` must be a number of seconds"),
            ("CreateKey", r#"{"expire_time": "tomorrow"}"#, "`expire_time` must be a time like"),
            ("CreateKey", r#"{"ttl": "1s", "expire_time": "2030-01-31T12:00:00Z"}"#, "oneof 'expiration'"),
            ("UpdateKey", r#"{"update_mask": "expire_time"}"#, "in lowerCamelCase"),
            (
                "UpdateKey",
                r#"{"update_mask": {"path": ["name"]}}"#,
                "no field `path` in google.protobuf.FieldMask, only paths",
            ),
            ("UpdateKey", r#"{"update_mask": {"paths": "name"}}"#, "`paths` must be a list"),
            ("UpdateKey", r#"{"key": "x"}"#, "`key` must be a JSON object, a portcullis.v1.Key"),
            ("UpdateKey", r#"{"key": {"disabled": 1}}"#, "`disabled` must be true or false"),
            (
                "ListKeys",
                r#"{"page_size": 2147483648}"#,
                "`page_size` must be a whole number from -2147483648 to 2147483647",
            ),
            ("ListKeys", r#"{"page_size": 1.5}"#, "`page_size` must be a whole number"),
            ("ListKeys", r#"{"page_size": "x"}"#, "`page_size` must be a whole number"),
            ("ListKeys", r#"{"show_revoked": "true"}"#, "`show_revoked` must be true or false"),
            ("ListKeys", "{} {}", "trailing characters (line 1, column 4)"),
            ("ListKeys", "[]", "it must be a JSON object"),
            ("ListKeys", "null", "it must be a JSON object"),
            ("ListKeys", "", "EOF"),
        ] {
            let text = refused(&format!("KeyService/{method}"), json);
            assert!(text.contains(part), "{json}: {text}");
        }
    }

    #[test]
    fn no_refusal_shows_a_value() {
        let secret = "sk_live_canary";
        for json in [
            format!(r#""{secret}""#),
            format!(r#"["{secret}"]"#),
            format!(r#"{{"secret": ["{secret}"]}}"#),
            format!(r#"{{"environment": "{secret}"}}"#),
            format!(r#"{{"required_permissions": "{secret}"}}"#),
        ] {
            let text = refused("KeyService/VerifyKey", &json);
            assert!(!text.contains(secret), "{text}");
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let deep = format!("{}1{}", r#"{"key":"#.repeat(200), "}".repeat(200));
        refused("KeyService/UpdateKey", &deep);
        refused("KeyService/CreateKey", &format!(r#"{{"labels": {}{}}}"#, "[".repeat(5000), "]".repeat(5000)));
    }
}
