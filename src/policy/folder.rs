//! The policies of a folder, as one set: one a tenant.
//!
//! All or nothing: one bad policy refuses the folder, so that a reload either brings every policy
//! or leaves the running ones alone.

use super::CompiledPolicy;
use super::check::Lookup;
use crate::document::{Faults, Show, Source, Span};
use std::collections::HashMap;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The policy files of a folder, read. What cannot be read is a fault.
pub fn sources(dir: &Path, faults: &mut Faults) -> Vec<Arc<Source>> {
    let mut sources = Vec::new();
    for file in files(dir, faults) {
        match Source::read(&file, Show::Lines) {
            Ok(source) => sources.push(source),
            Err(error) => {
                let here = Source::new(file.display().to_string(), "");
                faults.add(&here, "P041", Span::default(), error.to_string());
            }
        }
    }
    sources
}

/// The policy files of a folder, by name: every `*.yaml` and `*.yml`; no other file, no folder below.
/// An unreadable or empty folder is a fault.
pub fn files(dir: &Path, faults: &mut Faults) -> Vec<PathBuf> {
    let here = Source::new(dir.display().to_string(), "");
    match list(dir) {
        Ok(files) if !files.is_empty() => return files,
        Ok(_) => {
            faults
                .add(&here, "P040", Span::default(), "the folder holds no policy")
                .hint("policies are files that end in .yaml or .yml");
        }
        Err(error) => {
            let message = format!("the folder of policies cannot be read: {error}");
            faults.add(&here, "P041", Span::default(), message);
        }
    }
    Vec::new()
}

fn list(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        // The folder knows of most files what they are; of a link only the system does.
        let file = |entry: &DirEntry| entry.file_type().is_ok_and(|kind| kind.is_file());
        if has_policy_name(&path) && (file(&entry) || path.is_file()) {
            files.push(path);
        }
    }
    // By their bytes: paths compare by their parts, ten times as slowly.
    files.sort_unstable_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    Ok(files)
}

fn has_policy_name(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    !hidden && path.extension().is_some_and(|end| end == "yaml" || end == "yml")
}

/// Compiles policies that are to serve together: two for one tenant are refused.
pub fn compile_all(
    sources: &[Arc<Source>],
    lookup: Lookup<'_>,
    faults: &mut Faults,
) -> Vec<CompiledPolicy> {
    let mut first: HashMap<String, (Arc<Source>, Span)> = HashMap::new();
    let mut compiled = Vec::new();
    for source in sources {
        let (tenant, policy) = super::compile_with(source, lookup, faults);
        if let Some(tenant) = tenant {
            match first.get(&tenant.value) {
                Some((other, at)) => {
                    let (line, _) = other.place(at.start);
                    let message = format!(
                        "a second policy for tenant `{}`; the first is in {}, line {line}",
                        tenant.value, other.name
                    );
                    faults
                        .add(source, "P002", tenant.span, message)
                        .hint("a tenant has one policy: join them, or take one out of the folder");
                    continue;
                }
                None => {
                    first.insert(tenant.value, (source.clone(), tenant.span));
                }
            }
        }
        compiled.extend(policy);
    }
    compiled
}
