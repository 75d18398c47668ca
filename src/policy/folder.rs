//! The policies of a folder, as one set: one a tenant.
//!
//! All or nothing: one bad policy refuses the folder, so that a reload either brings every policy
//! or leaves the running ones alone.

use super::check::Lookup;
use super::{CompiledPolicy, Shared};
use crate::document::{Faults, Show, Source, Span};
use std::collections::HashMap;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The policy files of a folder, read. What cannot be read is a fault.
pub fn sources(dir: &Path, faults: &mut Faults) -> Vec<Arc<Source>> {
    let mut sources = Vec::new();
    for file in files(dir, faults).policies {
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

/// The files of a folder, each list by name.
#[derive(Debug, Default)]
pub struct Files {
    /// Policies: every `*.yaml` and `*.yml` that is not hidden or shared; none of a folder below.
    pub policies: Vec<PathBuf>,
    /// What they share: those whose names begin with `_`.
    pub shared: Vec<PathBuf>,
}

/// The files of a folder. An unreadable folder, or one without policies, is a fault.
pub fn files(dir: &Path, faults: &mut Faults) -> Files {
    let here = Source::new(dir.display().to_string(), "");
    match list(dir) {
        Ok(files) if !files.policies.is_empty() => return files,
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
    Files::default()
}

fn list(dir: &Path) -> std::io::Result<Files> {
    let mut files = Files::default();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        let first = path.file_name().and_then(|name| name.to_string_lossy().chars().next());
        let list = match first {
            Some('.') => continue,
            Some('_') => &mut files.shared,
            _ => &mut files.policies,
        };
        // The folder knows of most files what they are; of a link only the system does.
        let file = |entry: &DirEntry| entry.file_type().is_ok_and(|kind| kind.is_file());
        let yaml = path.extension().is_some_and(|end| end == "yaml" || end == "yml");
        if yaml && (file(&entry) || path.is_file()) {
            list.push(path);
        }
    }
    // By their bytes, for paths compare by their parts, ten times as slowly; and by those behind the
    // folder's name, which is all of theirs.
    let folder = dir.as_os_str().len();
    for list in [&mut files.policies, &mut files.shared] {
        list.sort_unstable_by(|a, b| behind(folder, a).cmp(behind(folder, b)));
    }
    Ok(files)
}

/// A path's bytes behind so many.
fn behind(count: usize, path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes().get(count..).unwrap_or_default()
}

/// The folder in which a file stands.
pub(super) fn of(file: &Source) -> PathBuf {
    Path::new(&file.name).parent().unwrap_or(Path::new("")).to_owned()
}

/// A file beside another, read; `None` if there is none.
pub(super) fn beside(file: &Source, name: &str) -> Option<Result<Arc<Source>, String>> {
    let path = of(file).join(name);
    let there = path.try_exists().unwrap_or(true);
    there.then(|| Source::read(&path, Show::Lines).map_err(|error| error.to_string()))
}

/// Compiles policies that are to serve together: two for one tenant are refused.
pub fn compile_all(
    sources: &[Arc<Source>],
    lookup: Lookup<'_>,
    faults: &mut Faults,
) -> Vec<CompiledPolicy> {
    let mut first: HashMap<String, (Arc<Source>, Span)> = HashMap::new();
    let mut compiled = Vec::new();
    let shared = Shared::default();
    for source in sources {
        let (tenant, policy) = super::compile_with(source, &shared, lookup, faults);
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
