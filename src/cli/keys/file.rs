//! A keyring's file under change: read, replaced whole, and the old content wiped.
//!
//! The new text is written beside the old file and takes its place by a rename: whoever reads
//! meanwhile reads the one or the other. Its name is a lock, too: two that change the same keyring do
//! not lose each other's secrets. Then the old file's bytes are overwritten. What a file system, a
//! snapshot or a backup has kept of them elsewhere is beyond its reach, and docs/KEYS.md says so.

use crate::error::{Error, Result};
use crate::keys::{Draft, SecretSource};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What a keyring holds that is only looked at, wherever it is; the file `-` is standard input.
pub fn draft(source: &SecretSource) -> Result<Draft> {
    match source {
        SecretSource::File(path) => Ok(KeyringFile::read(path)?.draft),
        other => drafted(other),
    }
}

/// What a source's text says.
fn drafted(source: &SecretSource) -> Result<Draft> {
    let bytes = source.read()?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Error::usage(format!("{source}: not a text in UTF-8")))?;
    Draft::new(&source.to_string(), text)
}

/// A keyring that is being changed.
pub struct KeyringFile {
    /// `None`: standard input, and the new one goes to standard output.
    path: Option<PathBuf>,
    /// What it holds.
    pub draft: Draft,
}

impl KeyringFile {
    /// Reads it; `-` is standard input.
    pub fn read(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            let mut text = Zeroizing::new(String::with_capacity(1 << 20));
            io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| told(&"standard input", &error))?;
            return Ok(Self { path: None, draft: Draft::new("standard input", &text)? });
        }
        // A link stays a link: what it leads to is changed.
        let path = fs::canonicalize(path).map_err(|error| told(&path.display(), &error))?;
        let draft = drafted(&SecretSource::File(path.clone()))?;
        Ok(Self { draft, path: Some(path) })
    }

    /// Puts a new text in its place.
    pub fn replace(&self, text: &str) -> Result<()> {
        match &self.path {
            None => super::print(text),
            Some(path) => replace(path, text).map_err(|error| told(&path.display(), &error)),
        }
    }
}

fn told(what: &dyn std::fmt::Display, error: &io::Error) -> Error {
    Error::usage(format!("{what}: {error}"))
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let beside = PathBuf::from(name);
    let mut new = create(&beside)?;
    let done = fill(&mut new, path, text).and_then(|mut old| {
        fs::rename(&beside, path)?;
        sync_folder(path)?;
        wipe(&mut old)
    });
    if done.is_err() && beside.exists() {
        fs::remove_file(&beside)?;
    }
    done
}

fn create(beside: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside).map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::AlreadyExists => format!(
                "somebody is changing it, or was cut off: look at {} and remove it",
                beside.display()
            ),
            _ => format!("cannot write beside it: {error}"),
        };
        io::Error::new(error.kind(), why)
    })
}

/// Writes the new text, with the old file's owner, group and mode; gives the old file.
fn fill(new: &mut File, path: &Path, text: &str) -> io::Result<File> {
    let old = OpenOptions::new().write(true).open(path)?;
    let about = old.metadata()?;
    let mine = new.metadata()?;
    if (mine.uid(), mine.gid()) != (about.uid(), about.gid()) {
        fchown(&*new, Some(about.uid()), Some(about.gid()))?;
    }
    new.set_permissions(fs::Permissions::from_mode(about.mode() & 0o777))?;
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    Ok(old)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Overwrites the file that no name leads to any more.
fn wipe(old: &mut File) -> io::Result<()> {
    let bytes = usize::try_from(old.metadata()?.len()).unwrap_or(0);
    old.rewind()?;
    old.write_all(&vec![0; bytes])?;
    old.sync_all()
}
