use std::marker::PhantomData;

use sea_orm::prelude::Json;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Error, Map, from_value, to_value};

/// Many rows of one table as they stand in one event: what is the same in all of them stands there
/// once. Keys that are imported together are mostly alike, and a quarter of the bytes is left.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::store) struct Rows<T> {
    all: Map<String, Json>,
    each: Vec<Map<String, Json>>,
    #[serde(skip)]
    of: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> Rows<T> {
    pub(super) fn of(rows: &[T]) -> Result<Self, Error> {
        let rows = rows.iter().map(|row| from_value(to_value(row)?)).collect::<Result<Vec<Map<_, _>>, _>>()?;
        let (first, rest) = rows.split_first().map_or((Map::new(), &[][..]), |(first, rest)| (first.clone(), rest));
        let is_same = |(name, value): &(String, Json)| rest.iter().all(|row| row.get(name) == Some(value));
        let all: Map<_, _> = first.into_iter().filter(is_same).collect();
        let own = |row: Map<String, Json>| row.into_iter().filter(|(name, _)| !all.contains_key(name)).collect();
        Ok(Self { each: rows.into_iter().map(own).collect(), all, of: PhantomData })
    }

    pub(super) fn read(self) -> Result<Vec<T>, Error> {
        let Self { all, each, of: _ } = self;
        let whole = |own: Map<String, Json>| all.clone().into_iter().chain(own).collect::<Map<_, _>>();
        each.into_iter().map(|own| from_value(Json::Object(whole(own)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Row {
        id: u32,
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
    }

    fn row(id: u32, name: &str, limit: Option<u32>) -> Row {
        Row { id, name: name.to_owned(), limit }
    }

    #[test]
    fn rows_read_back_and_what_is_the_same_in_all_stands_there_once() {
        let alike = vec![row(1, "a", None), row(2, "a", None)];
        let mixed = vec![row(1, "a", None), row(2, "b", Some(3))];
        for rows in [Vec::new(), vec![row(1, "a", Some(1))], alike, mixed] {
            let text = serde_json::to_string(&Rows::of(&rows).expect("JSON")).expect("JSON");
            assert!(text.matches("name").count() <= 2, "{text}");
            let read: Rows<Row> = serde_json::from_str(&text).expect("JSON");
            assert_eq!(read.read().expect("rows"), rows, "{text}");
        }
    }

    #[test]
    fn a_field_that_nobody_knows_is_not_passed_over() {
        for text in [
            r#"{"all": {"name": "a", "more": 1}, "each": [{"id": 1}]}"#,
            r#"{"all": {"name": "a"}, "each": [{"id": 1, "more": 1}]}"#,
        ] {
            let rows: Rows<Row> = serde_json::from_str(text).expect("JSON");
            assert!(rows.read().is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Rows<Row>>(r#"{"all": {}, "each": [], "more": 1}"#).is_err());
    }
}
