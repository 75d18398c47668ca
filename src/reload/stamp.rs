//! What a file looks like from outside: enough to see that it has changed without reading it.

use crate::clock::now_ms;
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Size, times and identity of a file; all zero for one that is not there. Links are followed, so
/// that a swapped link (a Kubernetes ConfigMap's `..data`) shows as another file.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Last write, seconds and nanoseconds. Tools can set it back, so it is not all there is.
    modified: (i64, i64),
    /// Last change of anything, the times included. Nobody can set it.
    changed: (i64, i64),
}

/// How old a change must be before a stamp is believed: the coarsest clock of a file system that
/// is in use ticks every two seconds (FAT).
const SETTLED_MS: i64 = 2_000;

impl Stamp {
    /// The stamp of what this path leads to.
    pub(super) fn of(path: &Path) -> Self {
        path.metadata().map(|found| Self::from(&found)).unwrap_or_default()
    }

    /// The stamp of an open file.
    pub(super) fn of_open(file: &File) -> std::io::Result<Self> {
        file.metadata().map(|found| Self::from(&found))
    }

    /// The file's length.
    pub(super) fn bytes(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(0)
    }

    /// Adds path and stamp to a hash.
    pub(super) fn write(&self, path: &Path, hasher: &mut blake3::Hasher) {
        let path = path.as_os_str().as_encoded_bytes();
        hasher.update(&(path.len() as u64).to_le_bytes()).update(path);
        let ((modified, modified_ns), (changed, changed_ns)) = (self.modified, self.changed);
        let identity = [self.device, self.inode, self.bytes].map(u64::to_le_bytes);
        let times = [modified, modified_ns, changed, changed_ns].map(i64::to_le_bytes);
        hasher.update(identity.as_flattened()).update(times.as_flattened());
    }
}

impl From<&Metadata> for Stamp {
    fn from(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

/// May this stamp, taken now, be believed later? Not if a second write could still give the same.
pub(super) fn settled(stamp: &Stamp) -> bool {
    let latest = stamp.modified.0.max(stamp.changed.0);
    latest.saturating_mul(1_000).saturating_add(SETTLED_MS) < now_ms()
}
