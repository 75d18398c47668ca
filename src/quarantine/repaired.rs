//! Records that somebody has repaired: the lines that `limpid quarantine open` prints, edited.
//!
//! A withheld record stays sealed as it was, in its place. What is repaired is a copy of key, value and
//! headers for one replay; topic, partition, offset and time are those that were sealed, so nothing can be
//! replayed to elsewhere. Whatever a line says that is not understood is refused: a misspelt member
//! must not mean "as it was". Messages name lines, never what stands in them.

use super::{Opened, Replayed};
use crate::record::{Raw, Record};
use data_encoding::BASE64;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Repaired records, by their place in the quarantine topic. No `Debug`: they are records.
#[derive(Default)]
pub struct Repaired(HashMap<Replayed, Repair>);

/// What a record is to be in a replay; `None`: as it was.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Repair {
    /// The raw record that the line is about: topic, partition, offset.
    raw: (String, i64, i64),
    key: Option<Option<Vec<u8>>>,
    value: Option<Option<Vec<u8>>>,
    headers: Option<Vec<Header>>,
}

/// A header's name and value.
type Header = (Vec<u8>, Option<Vec<u8>>);

/// Why a line is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairFault {
    line: usize,
    why: &'static str,
}

impl fmt::Display for RepairFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

/// Members that say where a record is, or what became of it: read, or passed by.
const ABOUT: [&str; 5] = ["withheld", "reason", "route", "tenant", "record_time"];

impl Repaired {
    /// Reads lines of JSON; empty ones are passed by.
    ///
    /// # Errors
    /// The first line that is not as `open` prints it, or that is about a record for the second time.
    pub fn read(text: &str) -> Result<Self, RepairFault> {
        let mut repaired = HashMap::new();
        let lines = text.lines().zip(1..).filter(|(text, _)| !text.trim().is_empty());
        for (text, line) in lines {
            let fault = |why| RepairFault { line, why };
            let (place, repair) = read(text).map_err(fault)?;
            match repaired.entry(place) {
                Entry::Vacant(free) => free.insert(repair),
                Entry::Occupied(_) => return Err(fault("this record has a line already")),
            };
        }
        Ok(Self(repaired))
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// What is to be replayed in the place of this message's record.
    #[must_use]
    pub fn get(&self, place: Replayed) -> Option<&Repair> {
        self.0.get(&place)
    }
}

impl Repair {
    /// The opened record with what was repaired; `None` if the line is about another one.
    #[must_use]
    pub fn applied<'r>(&'r self, opened: &'r Opened) -> Option<Record<'r>> {
        let mut record = opened.record();
        let (topic, partition, offset) = &self.raw;
        let same = record.topic == topic
            && i64::from(record.partition) == *partition
            && record.offset == *offset;
        if let Some(key) = &self.key {
            record.key = key.as_deref().map(Raw::new);
        }
        if let Some(value) = &self.value {
            record.value = value.as_deref().map(Raw::new);
        }
        if let Some(headers) = &self.headers {
            record.headers = headers;
        }
        same.then_some(record)
    }
}

type Read<T> = Result<T, &'static str>;

fn read(line: &str) -> Read<(Replayed, Repair)> {
    let object = serde_json::from_str::<Map<String, Value>>(line);
    let mut line = object.map_err(|_| "no JSON object, as `open` prints one a line")?;
    let mut int = |name: &str| line.remove(name).and_then(|number| number.as_i64());
    let place = int("quarantine_partition").zip(int("quarantine_offset"));
    let raw = int("partition").zip(int("offset"));
    let place = place.and_then(|(partition, offset)| {
        Some(Replayed { partition: partition.try_into().ok()?, offset })
    });
    let topic = match line.remove("topic") {
        Some(Value::String(topic)) => Some(topic),
        _ => None,
    };
    let (Some(place), Some(topic), Some((partition, offset))) = (place, topic, raw) else {
        return Err("it does not say where the record is: leave those members as they were");
    };
    let repair = Repair {
        raw: (topic, partition, offset),
        key: bytes(&mut line, "key")?,
        value: bytes(&mut line, "value")?,
        headers: headers(&mut line)?,
    };
    ABOUT.iter().for_each(|name| drop(line.remove(*name)));
    match line.is_empty() {
        true => Ok((place, repair)),
        false => Err("it has a member that `open` does not print"),
    }
}

/// What a member says, as text or in base64; `None` if it is not there.
fn bytes(line: &mut Map<String, Value>, name: &str) -> Read<Option<Option<Vec<u8>>>> {
    match (line.remove(name), line.remove(&format!("{name}_base64"))) {
        (None, None) => Ok(None),
        (Some(Value::Null), None) => Ok(Some(None)),
        (Some(Value::String(text)), None) => Ok(Some(Some(text.into_bytes()))),
        (None, Some(Value::String(code))) => {
            let bytes = BASE64.decode(code.as_bytes()).map_err(|_| "base64 that is none")?;
            Ok(Some(Some(bytes)))
        }
        (Some(_), Some(_)) => Err("something stands there both as text and in base64"),
        _ => Err("keys, values and headers are text, or `null`: the record's JSON in a string"),
    }
}

fn headers(line: &mut Map<String, Value>) -> Read<Option<Vec<Header>>> {
    let list = match line.remove("headers") {
        None => return Ok(None),
        Some(Value::Array(list)) => list,
        Some(_) => return Err("`headers` must be a list"),
    };
    let header = |header| {
        let Value::Object(mut header) = header else { return Err("a header must be an object") };
        let name = bytes(&mut header, "name")?.flatten().ok_or("a header without a name")?;
        let value = bytes(&mut header, "value")?.ok_or("a header without a value")?;
        header.is_empty().then_some((name, value)).ok_or("a header has `name` and `value`")
    };
    list.into_iter().map(header).collect::<Read<_>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: &str =
        r#""quarantine_partition":1,"quarantine_offset":7,"topic":"raw","partition":0,"offset":3"#;

    fn fault(rest: &str) -> String {
        Repaired::read(&format!("\n{{{PLACE}{rest}}}\n")).err().unwrap().to_string()
    }

    #[test]
    fn what_is_not_understood_is_refused_without_being_told() {
        for rest in [
            r#","vlaue":"canary""#,
            r#","value":{"a":"canary"}"#,
            r#","value":"canary","value_base64":"YQ==""#,
            r#","value_base64":"canary!""#,
            r#","headers":{"a":"canary"}"#,
            r#","headers":[{"name":"canary"}]"#,
            r#","headers":[{"name":"a","value":"b","canary":1}]"#,
            r#","value":"canary"#,
        ] {
            let fault = fault(rest);
            assert!(fault.starts_with("line 2: ") && !fault.contains("canary"), "{fault}");
        }
        let nowhere = Repaired::read(r#"{"value":"canary"}"#).err().unwrap().to_string();
        assert!(nowhere.contains("where the record is"), "{nowhere}");
        let twice = Repaired::read(&format!("{{{PLACE}}}\n{{{PLACE}}}")).err().unwrap();
        assert_eq!(twice.to_string(), "line 2: this record has a line already");
    }

    #[test]
    fn what_a_line_leaves_out_stays() {
        let text = format!(r#"{{{PLACE},"value_base64":"/w==","headers":[],"reason":"limits"}}"#);
        let repaired = Repaired::read(&text).ok().unwrap();
        let repair = repaired.get(Replayed { partition: 1, offset: 7 }).unwrap();
        assert_eq!((&repair.key, &repair.value), (&None, &Some(Some(vec![0xff]))));
        assert_eq!(repair.headers, Some(vec![]));
        assert_eq!(repaired.count(), 1);
        assert!(repaired.get(Replayed { partition: 0, offset: 7 }).is_none());
    }
}
