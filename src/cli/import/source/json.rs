use std::{
    fmt,
    io::{BufRead, Read},
};

use serde::de::{Deserializer as _, Error as _, SeqAccess, Visitor};
use serde_json::Value;

use super::{
    super::row::{Fields, Names},
    Each,
    metered::Meter,
};

/// An array of objects, or an object a line.
pub(super) fn rows(mut from: impl BufRead, meter: &Meter, names: &Names, each: Each<'_>) -> Result<(), String> {
    let mut line = 1;
    loop {
        let begin = from.fill_buf().map_err(|error| error.to_string())?;
        match begin.first() {
            None => return Ok(()),
            Some(b'[') => return array(from, meter, names, each),
            Some(b' ' | b'\t' | b'\r') => from.consume(1),
            Some(b'\n') => {
                line += 1;
                from.consume(1);
            }
            Some(_) => return lines(from, line, meter, names, each),
        }
    }
}

fn lines(mut from: impl BufRead, first: u64, meter: &Meter, names: &Names, each: Each<'_>) -> Result<(), String> {
    let mut text = Vec::new();
    for line in first.. {
        meter.begin_row();
        text.clear();
        if from.read_until(b'\n', &mut text).map_err(|error| error.to_string())? == 0 {
            break;
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        let value = serde_json::from_slice(&text).map_err(|error| no_json(&error));
        if !each((line, value.and_then(|value| fields(value, names)))) {
            break;
        }
    }
    Ok(())
}

/// Element by element: the array is never in memory. An element's place stands for its line.
fn array(from: impl Read, meter: &Meter, names: &Names, each: Each<'_>) -> Result<(), String> {
    let mut items = Items { meter, names, each, enough: false };
    let mut reader = serde_json::Deserializer::from_reader(from);
    match reader.deserialize_seq(&mut items).and_then(|()| reader.end()) {
        Err(_) if items.enough => Ok(()),
        Err(error) if error.is_io() => Err(std::io::Error::from(error).to_string()),
        Err(error) => Err(format!("line {}: {}", error.line(), no_json(&error))),
        Ok(()) => Ok(()),
    }
}

struct Items<'a, 'e> {
    meter: &'a Meter,
    names: &'a Names,
    each: Each<'e>,
    enough: bool,
}

impl<'de> Visitor<'de> for &mut Items<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        for place in 1.. {
            self.meter.begin_row();
            let Some(value) = items.next_element::<Value>()? else { break };
            if !(self.each)((place, fields(value, self.names))) {
                self.enough = true;
                return Err(A::Error::custom("enough"));
            }
        }
        Ok(())
    }
}

fn fields(value: Value, names: &Names) -> Result<Fields, String> {
    let Value::Object(found) = value else { return Err("is no JSON object".to_owned()) };
    let mut fields = Fields::new();
    for (name, value) in found {
        if names.takes(&name)? {
            fields.insert(names.of(&name), value);
        }
    }
    Ok(fields)
}

/// Without what stands there, which may be a secret.
fn no_json(error: &serde_json::Error) -> String {
    let what = if error.is_eof() { "ends too early" } else { "is no JSON" };
    format!("{what} (column {})", error.column())
}
