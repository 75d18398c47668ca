//! Case folders: a policy, records that go in, what must come out.
//!
//! `policy.yaml`; `in.ndjson`, one record a line; `out.ndjson`, the clean ones in their order, byte
//! for byte (`…` stands for any text); and `withheld.txt`, a line number and a reason for each of
//! the others. For tests that are too long for the policy itself, and for events that were written
//! down somewhere else. limpid's own tests are such folders, and run through here too.
//!
//! Nothing here writes an expected file: what must come out is said by a person.

use crate::error::{Error, Result};
use crate::policy::text_fits;
use crate::policy::trial::{Bench, Tried};
use crate::record::NO_HEADERS;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The policy of a case.
pub const POLICY: &str = "policy.yaml";
const INPUT: &str = "in.ndjson";

/// The case folders at and below a folder, by name. A folder is one if it holds records or a file
/// named `policy.yaml`.
///
/// # Errors
/// A folder that cannot be read.
pub fn find(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        let entries =
            std::fs::read_dir(&dir).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
        for entry in entries.map_err(|error| cannot(&dir, &error))? {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            }
        }
        if dir.join(INPUT).is_file() || dir.join(POLICY).is_file() {
            found.push(dir);
        }
    }
    found.sort();
    Ok(found)
}

/// The records of a case, and what must become of them.
#[derive(Debug)]
pub struct Case {
    records: Vec<Vec<u8>>,
    clean: Vec<Vec<u8>>,
    withheld: Vec<Vec<u8>>,
}

impl Case {
    /// Reads a case's files; one that is not there is empty.
    ///
    /// # Errors
    /// A file that cannot be read, or whose last line has no end.
    pub fn read(dir: &Path) -> Result<Self> {
        Ok(Self {
            records: lines(&dir.join(INPUT))?,
            clean: lines(&dir.join("out.ndjson"))?,
            withheld: lines(&dir.join("withheld.txt"))?,
        })
    }

    /// How many records go in.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True for none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// What is wrong, line by line; nothing if all comes out as it must.
    pub fn run(&self, bench: &mut Bench<'_>) -> Vec<String> {
        let mut notes = Vec::new();
        let (mut clean, mut withheld) = (self.clean.iter(), self.withheld.iter());
        for (record, number) in self.records.iter().zip(1..) {
            let (wanted, got) = match bench.clean(Some(record), None, NO_HEADERS) {
                Tried::Clean { value, .. } => (clean.next(), shown(&value.unwrap_or_default())),
                Tried::Withheld(reason) => (withheld.next(), format!("{number} {reason}")),
            };
            let wanted = wanted.map_or("nothing".into(), |wanted| shown(wanted));
            if !text_fits(&wanted, &got) {
                notes.push(format!("record {number}: {}", shown(record)));
                notes.push(format!("- wanted {wanted}"));
                notes.push(format!("+ got    {got}"));
            }
        }
        let left = clean.chain(withheld);
        notes.extend(left.map(|left| format!("- wanted, never got: {}", shown(left))));
        notes
    }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn lines(file: &Path) -> Result<Vec<Vec<u8>>> {
    let bytes = match std::fs::read(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(|error| cannot(file, &error))?,
    };
    let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    match lines.pop() {
        Some(last) if last.is_empty() => Ok(lines),
        _ => Err(Error::usage(format!("{}: the last line lacks its end", file.display()))),
    }
}

fn cannot(path: &Path, error: &std::io::Error) -> Error {
    Error::usage(format!("{} cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Faults, Source};
    use crate::engine::Limits;
    use crate::policy::{Policies, rehearse};

    fn case(files: &[(&str, &str)]) -> Result<Case> {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).expect("a file");
        }
        Case::read(dir.path())
    }

    #[test]
    fn what_differs_is_told_and_what_is_missing_too() {
        let text = "tenant: a\nversion: 1\nrules: [{fields: x, do: drop}]\n";
        let policy = rehearse(&Source::new("a.yaml", text), &mut Faults::default()).unwrap();
        let policies = Policies::new(vec![policy.plan]).unwrap();
        let notes = |files: &[(&str, &str)]| {
            let mut bench = Bench::new(&policies, "a".into(), Limits::default());
            case(files).unwrap().run(&mut bench)
        };
        let input = ("in.ndjson", "{\"x\":1}\n{\n{\"y\":2}\n");
        let clean = ("out.ndjson", "{}\n{\"y\":…}\n");
        assert!(notes(&[input, clean, ("withheld.txt", "2 malformed\n")]).is_empty());
        assert_eq!(
            notes(&[input, ("out.ndjson", "{}\n"), ("withheld.txt", "2 malformed\n3 limits\n")]),
            [
                "record 3: {\"y\":2}",
                "- wanted nothing",
                "+ got    {\"y\":2}",
                "- wanted, never got: 3 limits"
            ]
        );
        let error = case(&[("in.ndjson", "{}")]).unwrap_err().to_string();
        assert!(error.ends_with("in.ndjson: the last line lacks its end"), "{error}");
    }
}
