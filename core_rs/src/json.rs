//! Flat JSON objects, with their names in order and repeated ones kept: a name that stands twice must
//! be seen, and a map would hide it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Name and value of each member.
pub type Members = Vec<(String, String)>;

/// One object whose values are strings.
pub fn flat_strings(json: &[u8]) -> Result<Members, serde_json::Error> {
    let mut de = serde_json::Deserializer::from_slice(json);
    let members = de.deserialize_map(Object { numbers: false })?;
    de.end().map(|()| members)
}

/// One object or an array of objects, whose values are strings, numbers or booleans; at most `most`
/// of them are read before `None` says that there are more.
pub fn flat_objects(json: &[u8], most: usize) -> Result<Option<Vec<Members>>, serde_json::Error> {
    let mut de = serde_json::Deserializer::from_slice(json);
    let objects = de.deserialize_any(Objects { most })?;
    match objects {
        Some(objects) => de.end().map(|()| Some(objects)),
        None => Ok(None),
    }
}

struct Object {
    numbers: bool,
}

impl<'de> Visitor<'de> for Object {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a flat object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Members::new();
        while let Some(name) = map.next_key::<String>()? {
            members.push((name, map.next_value_seed(Scalar { numbers: self.numbers })?));
        }
        Ok(members)
    }
}

impl<'de> DeserializeSeed<'de> for Object {
    type Value = Members;

    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<Members, D::Error> {
        de.deserialize_map(self)
    }
}

struct Objects {
    most: usize,
}

impl<'de> Visitor<'de> for Objects {
    type Value = Option<Vec<Members>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Object { numbers: true }.visit_map(map).map(|members| Some(vec![members]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut objects = Vec::new();
        while let Some(members) = seq.next_element_seed(Object { numbers: true })? {
            if objects.len() == self.most {
                return Ok(None);
            }
            objects.push(members);
        }
        Ok(Some(objects))
    }
}

struct Scalar {
    numbers: bool,
}

impl<'de> DeserializeSeed<'de> for Scalar {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<String, D::Error> {
        de.deserialize_any(self)
    }
}

impl Scalar {
    fn number<E: Error>(&self, text: String) -> Result<String, E> {
        if self.numbers { Ok(text) } else { Err(E::custom("a string is expected")) }
    }
}

impl Visitor<'_> for Scalar {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.numbers { "a string, number or boolean" } else { "a string" })
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<String, E> {
        Ok(v.to_owned())
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<String, E> {
        self.number(v.to_string())
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<String, E> {
        self.number(v.to_string())
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<String, E> {
        self.number(v.to_string())
    }

    fn visit_bool<E: Error>(self, v: bool) -> Result<String, E> {
        self.number(v.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_order_and_their_repeats() {
        let members = flat_strings(br#"{"b":"1","a":"2","b":"3"}"#).unwrap();
        assert_eq!(members.iter().map(|(n, v)| format!("{n}{v}")).collect::<String>(), "b1a2b3");
    }

    #[test]
    fn what_is_not_flat_is_refused() {
        for bad in ["[]", "1", r#"{"a":1}"#, r#"{"a":null}"#, r#"{"a":{}}"#, r#"{"a":"b"} x"#, "{"] {
            assert!(flat_strings(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_object_or_an_array_up_to_a_limit() {
        assert_eq!(flat_objects(br#"{"a":1.50,"b":true}"#, 2).unwrap().unwrap().len(), 1);
        assert_eq!(flat_objects(br#"[{},{}]"#, 2).unwrap().unwrap().len(), 2);
        assert_eq!(flat_objects(br#"[{},{},{}]"#, 2).unwrap(), None);
        assert!(flat_objects(br#"[{"a":[]}]"#, 2).is_err());
    }
}
