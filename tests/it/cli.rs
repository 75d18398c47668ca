//! The command line, through the binary.

use std::fs;
use std::path::Path;

/// A generated page of the documentation says what the program says; `UPDATE=1` renews it.
#[track_caller]
pub fn assert_fresh(path: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "{} is stale: run UPDATE=1 cargo test generated", path.display());
}
