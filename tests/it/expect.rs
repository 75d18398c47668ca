//! Files that tests compare with, and rewrite when `UPDATE` is set.

use std::path::{Path, PathBuf};

/// The files of a folder with that ending, by name.
pub fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect();
    files.sort();
    files
}

/// What differs between a file and what it should hold; with `UPDATE` set, the file is written.
pub fn differs(file: &Path, wanted: &str) -> Option<String> {
    let found = std::fs::read_to_string(file).unwrap_or_default();
    if found == wanted {
        return None;
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(file, wanted).expect("the file is written");
        return None;
    }
    let diff = similar::TextDiff::from_lines(&found, wanted);
    Some(format!(
        "{} is out of date (UPDATE=1 rewrites it):\n{}",
        file.display(),
        diff.unified_diff().context_radius(3)
    ))
}
