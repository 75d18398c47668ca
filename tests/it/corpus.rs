//! The fuzz targets' kept inputs, replayed on stable: what once was found stays found.

use crate::naive::target;
use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).expect("the corpus is part of the sources");
    let mut count = 0;
    for file in files {
        let path = file.expect("readable").path();
        let input = std::fs::read(&path).expect("readable");
        let done = std::panic::catch_unwind(|| run(&input));
        assert!(done.is_ok(), "{} fails", path.display());
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}

#[test]
fn kernel_corpus() {
    replay("kernel", |input| {
        target::kernel(input);
        target::tight(input);
    });
}

#[test]
fn policy_corpus() {
    replay("policy", target::policy);
}

#[test]
fn transforms_corpus() {
    replay("transforms", target::transform);
}

#[test]
fn shapes_corpus() {
    replay("shapes", target::shapes);
}
