//! Policies and keyrings, as the commands that try a policy take them.

use crate::document::{Faults, Show, Source};
use crate::error::{Error, Result};
use crate::keys::{Keyring, SecretSource};
use crate::policy::{self, CompiledPolicy};
use std::path::Path;
use std::sync::Arc;

/// A keyring, if one is given.
pub(super) fn keyring(keys: Option<&SecretSource>) -> Result<Option<Keyring>> {
    keys.map(Keyring::load).transpose()
}

/// A policy with the keys that it names.
pub(super) fn compiled(policy: &Path, keyring: Option<&Keyring>) -> Result<CompiledPolicy> {
    with(policy, |source, faults| policy::compile(source, keyring, faults))
}

/// A policy to be looked at: without a keyring, its pseudonyms are made with a key that is thrown
/// away.
pub(super) fn rehearsed(policy: &Path, keyring: Option<&Keyring>) -> Result<CompiledPolicy> {
    match keyring {
        Some(_) => compiled(policy, keyring),
        None => with(policy, policy::rehearse),
    }
}

fn with(
    policy: &Path,
    compile: impl FnOnce(&Arc<Source>, &mut Faults) -> Option<CompiledPolicy>,
) -> Result<CompiledPolicy> {
    let source = Source::read(policy, Show::Lines)?;
    let mut faults = Faults::default();
    compile(&source, &mut faults).ok_or_else(|| refused(&mut faults))
}

/// That a policy is refused, and why.
pub(super) fn refused(faults: &mut Faults) -> Error {
    faults.sort();
    Error::usage(format!("the policy is refused\n{faults:#}"))
}

/// A configuration has routes; a policy never does. Told from the text, so that a file which is no
/// YAML is reported as what it was meant to be.
pub(super) fn is_config(source: &Source) -> bool {
    has_key(source, "routes:")
}

fn has_key(source: &Source, key: &str) -> bool {
    source.text.lines().any(|line| line.starts_with(key))
}

/// A file that looks like no policy may be a keyring that was named by mistake: then none of its
/// lines is shown.
pub(super) fn guarded(source: &Arc<Source>) -> Arc<Source> {
    let known = ["tenant:", "rules:", "routes:"].iter().any(|key| has_key(source, key));
    if known { source.clone() } else { Source::with(&source.name, &source.text, Show::Nothing) }
}
