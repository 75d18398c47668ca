//! The log of operations: what somebody did with the secrets by hand, for whoever must answer for it.
//!
//! Revealing a token undoes a protection for one person. That must leave a trace that cannot be
//! changed unseen afterwards, so entries stand in a file one a line, each with the hash of the one
//! before, and an entry is on the disk before the operation gives anything away. An entry tells time,
//! user, reason and what was asked for; never a value.
//!
//! ```text
//! {"number":2,"time":"…","by":"…",…,"before":"9f…","hash":"3c…"}
//! hash = BLAKE3-derive-key("limpid operations log v1", all of the line before `,"hash":`)
//! ```
//!
//! The chain shows what was changed, taken out or put in between. That its end was cut off it cannot
//! show: keep the last hash elsewhere, or the file where those who reveal can only append.

use crate::error::{Error, Result};
use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

const CONTEXT: &str = "limpid operations log v1";
const HASH_BYTES: usize = 32;

/// Where an empty log ends.
const BEGINNING: End = End { entries: 0, hash: [0; HASH_BYTES] };

/// A log that was found whole, open for entries. Nobody else can write to it meanwhile.
pub struct Operations {
    path: PathBuf,
    file: File,
    end: End,
}

/// Where a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// How many entries it has.
    pub entries: u64,
    /// The hash of the last one.
    pub hash: [u8; HASH_BYTES],
}

impl Operations {
    /// Opens a log, or begins one that only its owner can read.
    ///
    /// # Errors
    /// It cannot be written, somebody else is writing, or its chain is broken.
    pub fn open(path: &Path) -> Result<Self> {
        let cannot = |error| Error::usage(format!("{}: {error}", path.display()));
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let mut file = options.open(path).map_err(cannot)?;
        file.lock().map_err(cannot)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(cannot)?;
        let end =
            verify(&text).map_err(|why| Error::usage(format!("{}: {why}", path.display())))?;
        Ok(Self { path: path.to_owned(), file, end })
    }

    /// Appends an entry; it is on the disk when this returns. `about` must hold no value of a record.
    ///
    /// # Errors
    /// It cannot be written: then the operation must not be done.
    pub fn append(&mut self, time: &str, about: Map<String, Value>) -> Result<()> {
        let (line, end) = entry(self.end, time, about);
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_all());
        written.map_err(|error| Error::fatal(format!("{}: {error}", self.path.display())))?;
        self.end = end;
        Ok(())
    }

    /// Where it ends by now.
    #[must_use]
    pub const fn end(&self) -> End {
        self.end
    }
}

/// A log's text, read while nobody writes.
///
/// # Errors
/// It cannot be read.
pub fn read(path: &Path) -> Result<String> {
    let cannot = |error| Error::usage(format!("{}: {error}", path.display()));
    let mut file = File::open(path).map_err(cannot)?;
    file.lock_shared().map_err(cannot)?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(cannot)?;
    Ok(text)
}

/// Where a log's text ended after each of its entries, as far as they follow from one another.
pub fn ends(text: &str) -> impl Iterator<Item = End> {
    text.lines().scan(BEGINNING, |end, line| {
        *end = next(line, *end)?;
        Some(*end)
    })
}

/// Follows the chain of a log's text to its end.
///
/// # Errors
/// The line where it breaks.
pub fn verify(text: &str) -> std::result::Result<End, String> {
    let end = ends(text).last().unwrap_or(BEGINNING);
    let number = end.entries + 1;
    if text.lines().count() as u64 >= number {
        return Err(format!(
            "entry {number} does not follow from those before: the log was changed"
        ));
    }
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(format!("entry {} was cut off", end.entries));
    }
    Ok(end)
}

fn next(line: &str, before: End) -> Option<End> {
    let (body, hash) = line.rsplit_once(",\"hash\":")?;
    let entry: Value = serde_json::from_str(line).ok()?;
    let number = before.entries + 1;
    let follows = entry["number"] == number && entry["before"] == HEXLOWER.encode(&before.hash);
    let wanted = blake3::derive_key(CONTEXT, body.as_bytes());
    let told = hash == format!("\"{}\"}}", HEXLOWER.encode(&wanted));
    (follows && told).then_some(End { entries: number, hash: wanted })
}

fn entry(before: End, time: &str, about: Map<String, Value>) -> (String, End) {
    let number = before.entries + 1;
    let mut entry = Map::new();
    entry.insert("number".into(), number.into());
    entry.insert("time".into(), time.into());
    entry.extend(about);
    entry.insert("before".into(), json!(HEXLOWER.encode(&before.hash)));
    let mut line = Value::Object(entry).to_string();
    line.pop(); // the closing brace
    let hash = blake3::derive_key(CONTEXT, line.as_bytes());
    line.push_str(&format!(",\"hash\":\"{}\"}}\n", HEXLOWER.encode(&hash)));
    (line, End { entries: number, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(what: &str) -> Map<String, Value> {
        Map::from_iter([("operation".to_owned(), json!(what))])
    }

    fn three(path: &Path) -> String {
        let mut log = Operations::open(path).unwrap();
        log.append("2026-11-24T22:00:00Z", about("one")).unwrap();
        drop(log);
        let mut log = Operations::open(path).unwrap();
        log.append("2026-11-24T22:00:01Z", about("two \",\"hash\":\"x")).unwrap();
        log.append("2026-11-24T22:00:02Z", about("three")).unwrap();
        assert_eq!(log.end().entries, 3);
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn entries_hang_together_over_several_openings() {
        let dir = tempfile::tempdir().unwrap();
        let text = three(&dir.path().join("log"));
        assert_eq!(verify(&text).unwrap().entries, 3);
        assert!(text.starts_with("{\"number\":1,\"time\":\"2026-11-24T22:00:00Z\","), "{text}");
    }

    #[test]
    fn whatever_is_changed_taken_out_or_put_in_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let text = three(&path);
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(verify(&changed).is_err(), "byte {at}: {changed}");
        }
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        for broken in [[lines[0], lines[2]].concat(), [lines[1], lines[2]].concat()] {
            assert!(verify(&broken).is_err());
        }
        assert!(verify(&[lines[0], lines[0], lines[1], lines[2]].concat()).is_err());
        assert!(verify(&text[..text.len() - 1]).unwrap_err().contains("cut off"));
        std::fs::write(&path, &text[1..]).unwrap();
        let refused = Operations::open(&path).err().unwrap().to_string();
        assert!(refused.contains("entry 1 does not follow"), "{refused}");
    }
}
