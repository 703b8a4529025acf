//! JSON as far as the door reads it.
//!
//! What passes unchanged must pass byte for byte, so an object is read one level deep and its values stay the text
//! they were. And what is judged must be what the provider sees: parsers differ in which of two equal names they
//! believe, so what an agent sends may hold no name twice.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

/// An object's members in the order in which they stand, each value as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

#[derive(PartialEq, Eq, Hash, Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
            members.push((name, Cow::Borrowed(value.get())));
        }
        Ok(Members(members))
    }
}

impl<'a> Members<'a> {
    /// Reads an object; nothing if the text is something else.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// A member's value, as JSON.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| &**value)
    }

    /// A member's value, if it is text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?).ok()
    }

    /// A member that is an object.
    pub(super) fn object(&self, name: &str) -> Option<Members<'_>> {
        Members::read(self.get(name)?)
    }

    /// Gives a member this value, where it stands or at the end.
    pub(super) fn set(&mut self, name: &'static str, value: String) {
        match self.0.iter_mut().find(|(own, _)| own == name) {
            Some((_, place)) => *place = Cow::Owned(value),
            None => self.0.push((Cow::Borrowed(name), Cow::Owned(value))),
        }
    }

    /// Takes a member out.
    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(own, _)| own != name);
    }

    /// Whether there is no member.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object as JSON.
    pub(super) fn write(&self) -> String {
        let mut text = String::from("{");
        for (at, (name, value)) in self.0.iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            text.push_str(&quoted(name));
            text.push(':');
            text.push_str(value);
        }
        text.push('}');
        text
    }
}

/// The elements of a list, each as it was written; nothing if the text is something else.
pub(super) fn elements(text: &str) -> Option<Vec<&str>> {
    let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(elements.into_iter().map(RawValue::get).collect())
}

/// A list as JSON.
pub(super) fn list<'a>(elements: impl IntoIterator<Item = &'a str>) -> String {
    let elements: Vec<&str> = elements.into_iter().collect();
    format!("[{}]", elements.join(","))
}

/// Text as JSON.
pub(super) fn quoted(text: &str) -> String {
    written(text)
}

/// A value as JSON. Text, numbers and lists of them cannot fail to be written.
pub(super) fn written<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Reads JSON in which no object holds a name twice.
pub(super) fn strict(body: &[u8]) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = Strict.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(Self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(Self)?;
            if values.insert(name, value).is_some() {
                return Err(de::Error::custom("a name stands twice in one object"));
            }
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_changed_is_written_as_it_was_read() {
        let text =
            r#"{"b":1.0,"a":{"x" : [1,  2]},"c":"\u00e9","big":123456789012345678901234567890}"#;
        let mut members = Members::read(text).unwrap();
        assert_eq!(members.write(), text);
        members.set("a", "2".to_owned());
        members.set("new", "null".to_owned());
        members.remove("c");
        assert_eq!(
            members.write(),
            r#"{"b":1.0,"a":2,"big":123456789012345678901234567890,"new":null}"#
        );
    }

    #[test]
    fn a_name_that_stands_twice_at_any_depth_is_refused() {
        assert!(strict(br#"{"a":{"b":[{"c":1}]}}"#).is_ok());
        for twice in [
            r#"{"a":1,"a":2}"#,
            r#"[{"x":{"a":1,"\u0061":1}}]"#,
            r#"{"a":[[{"b":null,"b":null}]]}"#,
        ] {
            assert!(strict(twice.as_bytes()).is_err(), "{twice}");
        }
        assert!(
            strict(b"{} {}").is_err(),
            "one document, and nothing after it"
        );
    }
}
