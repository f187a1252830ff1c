//! Erasure in JSON as the books write it: without spaces, one order in each text. Values change in place.

use std::borrow::Cow;
use std::ops::Range;

use super::{Erasure, Subject};
use crate::event::{hex, unhex};

/// A string, with the name it stands under and the name of the object around it; empty: in an array.
struct Value<'a> {
    around: &'a str,
    name: &'a str,
    at: Range<usize>,
}

/// A text as it stands between quotes.
pub fn escaped(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("a string");
    quoted[1..quoted.len() - 1].to_owned()
}

/// The number of a booked record.
pub fn number(record: &str) -> Option<u64> {
    let digits = record.strip_prefix("{\"number\":")?;
    digits[..digits.find(|c: char| !c.is_ascii_digit())?].parse().ok()
}

/// The merchant of a booked record's order; empty: it is about none.
pub fn merchant(record: &str) -> Cow<'_, str> {
    let found = values(record).into_iter().find(|value| value.name == "merchant");
    found.map_or(Cow::Borrowed(""), |value| unescaped(&record[value.at]))
}

/// The text with the first of these persons that it names erased, of the same length; none where it names none.
pub fn rewrite(erasures: &[&Erasure], merchant: &str, json: &str) -> Option<String> {
    if !erasures.iter().any(|erasure| erasure.mentioned(json.as_bytes())) {
        return None;
    }
    let values = values(json);
    let named =
        |erasure: &&&Erasure| values.iter().any(|value| names(erasure, value, merchant, &json[value.at.clone()]));
    let erasure = *erasures.iter().find(named)?;
    // whose the order is; others who have claimed it stay who they are
    let mut own: Vec<&str> = Vec::new();
    for value in values.iter().filter(|value| value.name == "visitor") {
        let text = &json[value.at.clone()];
        if value.around != "claims" || names(erasure, value, merchant, text) {
            own.push(text);
        }
    }
    let mut out = json.as_bytes().to_vec();
    let fresh = hex(erasure.fresh());
    for value in &values {
        let text = &json[value.at.clone()];
        match value.name {
            "visitor" | "" if own.contains(&text) && text.len() == fresh.len() => {
                out[value.at.clone()].copy_from_slice(&fresh);
            }
            "fingerprint" | "fingerprint_before" if text.len() == fresh.len() => {
                out[value.at.clone()].copy_from_slice(&fresh);
            }
            // the last two: what a flag shows
            "cust" | "did" | "prefix" | "referrer" => {
                out[value.at.clone()].copy_from_slice(erasure.fresh_text(text.len()).as_bytes());
            }
            _ => {}
        }
    }
    Some(String::from_utf8(out).expect("whole strings took the place of whole strings"))
}

fn names(erasure: &Erasure, value: &Value<'_>, merchant: &str, text: &str) -> bool {
    match &erasure.subject {
        Subject::Visitor(id) => matches!(value.name, "visitor" | "") && unhex(text.as_bytes()) == Some(*id),
        Subject::Customer { merchant: whose, cust } => {
            value.name == "cust" && whose == merchant && unescaped(text) == *cust
        }
    }
}

fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    serde_json::from_str(&format!("\"{text}\"")).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// All strings that are values.
fn values(json: &str) -> Vec<Value<'_>> {
    let bytes = json.as_bytes();
    // what is open around a place: whether it is an array, and its name, an array's elements having the array's
    let mut open = vec![(false, "")];
    let (mut found, mut name, mut at) = (Vec::new(), "", 0);
    while at < bytes.len() {
        let &(in_array, around) = open.last().unwrap_or(&(false, ""));
        match bytes[at] {
            opens @ (b'{' | b'[') => open.push((opens == b'[', if in_array { around } else { name })),
            b'}' | b']' => {
                open.pop();
            }
            b'"' => {
                let end = end_of_string(bytes, at + 1);
                let text = at + 1..end;
                at = end;
                if bytes.get(end + 1) == Some(&b':') {
                    name = &json[text];
                } else {
                    found.push(Value { around, name: if in_array { "" } else { name }, at: text });
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Where the quote stands that ends the string which begins at `at`.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && bytes[at] != b'"' {
        at += 1 + usize::from(bytes[at] == b'\\');
    }
    at.min(bytes.len())
}
