//! All policies of a folder, as one set: each compiled, each tried on its own tests, one a tenant.
//!
//! All or nothing: one bad policy refuses the folder, so that a reload either brings every policy
//! or leaves the running ones alone.

use super::check::Lookup;
use super::{CompiledPolicy, Plan, Policies};
use crate::document::{Faults, Show, Source, Span};
use crate::keys::Keyring;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Loads every `*.yaml` and `*.yml` of a folder, by name; no other file, no folder below. Policies
/// that name a key need a keyring that has it. Faults are added; `None` if there was one.
pub fn load_folder(dir: &Path, keyring: Option<&Keyring>, faults: &mut Faults) -> Option<Policies> {
    let before = faults.len();
    let sources = sources(dir, faults);
    let compiled = compile_all(&sources, Lookup::Keyring(keyring), faults);
    if faults.len() > before {
        return None;
    }
    let (plans, tests): (Vec<Plan>, Vec<_>) =
        compiled.into_iter().map(|policy| (policy.plan, policy.tests)).unzip();
    // Distinct tenants: `compile_all` has seen to it.
    let policies = Policies::new(plans).ok()?;
    let failed: usize = tests.iter().map(|tests| tests.run(&policies, faults)).sum();
    (failed == 0).then_some(policies)
}

/// The policy files of a folder, read. An unreadable or empty folder is a fault.
pub fn sources(dir: &Path, faults: &mut Faults) -> Vec<Arc<Source>> {
    let here = Source::new(dir.display().to_string(), "");
    let files = match files(dir) {
        Ok(files) => files,
        Err(error) => {
            let message = format!("the folder of policies cannot be read: {error}");
            faults.add(&here, "P041", Span::default(), message);
            return Vec::new();
        }
    };
    if files.is_empty() {
        faults
            .add(&here, "P040", Span::default(), "the folder holds no policy")
            .hint("policies are files that end in .yaml or .yml");
    }
    let mut sources = Vec::new();
    for file in files {
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

fn files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let wanted = |path: &PathBuf| {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let yaml = path.extension().is_some_and(|end| end == "yaml" || end == "yml");
        yaml && !hidden && path.is_file()
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        files.push(entry?.path());
    }
    files.retain(wanted);
    files.sort();
    Ok(files)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).expect("a file");
        }
        dir
    }

    fn codes(files: &[(&str, &str)]) -> (Option<usize>, Vec<&'static str>) {
        let mut faults = Faults::default();
        let policies = load_folder(folder(files).path(), None, &mut faults);
        (
            policies.map(|policies| policies.plans().len()),
            faults.iter().map(|fault| fault.code).collect(),
        )
    }

    const ACME: &str = "tenant: acme\nversion: 1\nrules: []\n";

    #[test]
    fn only_yaml_files_are_policies() {
        let beta = ACME.replace("acme", "beta");
        let files = [("b.yml", beta.as_str()), ("a.yaml", ACME), ("x.txt", "?"), (".h.yaml", "?")];
        assert_eq!(codes(&files), (Some(2), vec![]));
        assert_eq!(codes(&[]), (None, vec!["P040"]));
    }

    #[test]
    fn two_policies_for_a_tenant_name_both_files() {
        let dir = folder(&[("a.yaml", ACME), ("b.yaml", ACME)]);
        let mut faults = Faults::default();
        assert!(load_folder(dir.path(), None, &mut faults).is_none());
        let text = faults.to_string();
        assert!(text.contains("P002") && text.contains("a.yaml, line 1"), "{text}");
        assert!(text.contains("b.yaml:1:9"), "{text}");
    }

    #[test]
    fn without_a_keyring_a_policy_with_a_key_is_refused() {
        let keyed = "tenant: a\nversion: 1\nkey: a\nrules: []\n";
        assert_eq!(codes(&[("a.yaml", keyed)]), (None, vec!["P024"]));
    }

    #[test]
    fn one_bad_policy_refuses_the_folder() {
        assert_eq!(
            codes(&[("a.yaml", ACME), ("b.yaml", "tenant: b\nversion: 1\n")]),
            (None, vec!["Y011"])
        );
    }

    #[test]
    fn a_policy_whose_test_fails_is_refused() {
        let failing = format!("{ACME}tests: [{{name: n, in: {{a: 1}}, out: {{a: 2}}}}]\n");
        assert_eq!(codes(&[("a.yaml", &failing)]), (None, vec!["P032"]));
    }
}
