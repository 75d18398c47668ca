//! The policies' folder, compiled and remembered, so that a reload compiles what has changed and
//! nothing else.
//!
//! The problem: 10,000 policies take a second to compile, and one that changed must be in force in
//! 50 ms, while lanes keep the cores busy. So what was compiled is kept by its file's stamp (size,
//! times, inode), and by a hash of its text for when a stamp changed and the text did not: a
//! ConfigMap's update gives every file a new inode.
//!
//! A stamp alone can lie: two writes within one tick of the file system's clock look the same. So a
//! file that changed less than two seconds before it was read is read again the next time (the
//! "racily clean" entries of git's index have the same cure).
//!
//! All or nothing: with one fault nothing is handed out. A policy's own tests run before, each
//! policy on its own; a plan that a reload finds in the library has passed them already.

use super::stamp::{Stamp, settled};
use crate::document::{Faults, Source, Span};
use crate::keys::{Keyring, SecretSource};
use crate::policy::{self, Alike, CompiledPolicy, Lookup, Plan, Policies, Shared};
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A folder of policies and the keyring that they are compiled with.
pub struct Library {
    folder: PathBuf,
    keyring: Option<SecretSource>,
    keys: Option<Arc<Keyring>>,
    /// By path. Each is looked up several times a load, and they are the operator's: the quick hash is
    /// safe.
    held: HashMap<OsString, Held, foldhash::fast::RandomState>,
    alike: Alike,
    /// What the files that policies share held at the last load.
    shared: Option<SharedTexts>,
    /// Something differs from the set that was handed out last.
    changed: bool,
    /// What the files looked like when they were loaded last, with or without a fault.
    looked: Option<Look>,
}

/// How the files look from outside: differs when one of them does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look(u64);

impl Look {
    fn from(hasher: &blake3::Hasher) -> Self {
        let mut look = [0; 8];
        look.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        Self(u64::from_le_bytes(look))
    }
}

/// What tells sets of policies apart: a hash over their texts. Equal on machines that have the same
/// policies in force.
pub type Fingerprint = [u8; 8];

/// The files that policies share: few, so they are read at every load.
#[derive(Clone, Copy, PartialEq, Eq)]
struct SharedTexts {
    hash: [u8; 32],
    count: usize,
}

/// A policy without a fault.
struct Held {
    stamp: Stamp,
    /// The stamp is old enough to be believed.
    settled: bool,
    text_hash: [u8; 32],
    /// The keyring's entry that it was compiled with.
    key: Option<String>,
    /// It depends on files that policies share.
    shares: bool,
    plan: Plan,
}

/// A set of policies without a fault.
#[derive(Debug)]
pub struct Loaded {
    /// The set; `None` if it is the one that was handed out last.
    pub policies: Option<Policies>,
    /// How many policies there are.
    pub count: usize,
    /// How many were compiled for it; the others were compiled before.
    pub compiled: usize,
    /// What tells it apart.
    pub fingerprint: Fingerprint,
}

/// A file and what it looks like.
type Stamped = (Stamp, PathBuf);

/// What became of a file.
enum Read {
    /// Its text is what it was.
    Same(Stamp, bool),
    Compiled(Box<Held>),
    Refused(Faults),
}

impl Library {
    /// A folder's, of which nothing is compiled yet.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, keyring: Option<SecretSource>) -> Self {
        Self {
            folder: folder.into(),
            keyring,
            keys: None,
            held: HashMap::default(),
            alike: Alike::default(),
            shared: None,
            changed: true,
            looked: None,
        }
    }

    /// Reads the keyring and the folder, compiles what has changed and runs its tests. Faults are
    /// added; `None` if there was one.
    pub fn load(&mut self, faults: &mut Faults) -> Option<Loaded> {
        let before = faults.len();
        let folder = Stamp::of(&self.folder);
        let (files, shared) = self.stamped(faults);
        self.looked = Some(self.look_of(&files, &shared));
        self.read_keys(faults);
        self.forget_sharing(&shared);
        let compiled = self.refresh(&files, faults);
        if Stamp::of(&self.folder) != folder {
            let here = Source::new(self.folder.display().to_string(), "");
            faults.add(&here, "P041", Span::default(), CHANGED);
        }
        if faults.len() > before {
            return None;
        }
        self.hand_out(&files, compiled).or_else(|| {
            self.find_clash(faults);
            None
        })
    }

    /// What was handed out last did not come into force: the next load hands it out again.
    pub fn not_taken(&mut self) {
        self.changed = true;
    }

    /// Looks at the files without reading them.
    #[must_use]
    pub fn look(&self) -> Look {
        let (files, shared) = self.stamped(&mut Faults::default());
        self.look_of(&files, &shared)
    }

    /// What the files looked like at the last load.
    #[must_use]
    pub const fn looked(&self) -> Option<Look> {
        self.looked
    }

    fn look_of(&self, files: &[Stamped], shared: &[Stamped]) -> Look {
        let mut hasher = blake3::Hasher::new();
        if let Some(SecretSource::File(path)) = &self.keyring {
            Stamp::of(path).write(path, &mut hasher);
        }
        files.iter().chain(shared).for_each(|(stamp, path)| stamp.write(path, &mut hasher));
        Look::from(&hasher)
    }

    /// Forgets what depends on files that policies share, if one of those has changed. If one came or
    /// went, that is everything: a base holds for policies that do not name it.
    fn forget_sharing(&mut self, shared: &[Stamped]) {
        let mut hasher = blake3::Hasher::new();
        for (_, path) in shared {
            // One that cannot be read is a fault of those that need it.
            let text = std::fs::read(path).unwrap_or_default();
            hasher.update(path.as_os_str().as_encoded_bytes());
            hasher.update(&text.len().to_le_bytes());
            hasher.update(&text);
        }
        let now = SharedTexts { hash: *hasher.finalize().as_bytes(), count: shared.len() };
        let before = self.shared.replace(now);
        if before.is_none_or(|before| before.count != now.count) {
            self.retain(|_, _| false);
        } else if before.is_none_or(|before| before.hash != now.hash) {
            self.retain(|_, held| !held.shares);
        }
    }

    /// The policies and the files that they share.
    fn stamped(&self, faults: &mut Faults) -> (Vec<Stamped>, Vec<Stamped>) {
        let files = policy::files(&self.folder, faults);
        // Ten thousand questions to the system are most of what a small reload costs.
        let stamps = in_parallel(&files.policies, |path| Stamp::of(path));
        let shared = files.shared.into_iter().map(|path| (Stamp::of(&path), path)).collect();
        (stamps.into_iter().zip(files.policies).collect(), shared)
    }

    /// Reads the keyring again, and forgets what was compiled with a secret that has changed.
    fn read_keys(&mut self, faults: &mut Faults) {
        let Some(source) = &self.keyring else { return };
        let Some(keys) = Keyring::open(source, self.keys.as_ref(), faults) else { return };
        if self.keys.as_ref().is_some_and(|old| Arc::ptr_eq(old, &keys)) {
            return;
        }
        if let Some(old) = self.keys.take() {
            let same = |held: &Held| held.key.as_ref().is_none_or(|key| keys.agrees(&old, key));
            self.retain(|_, held| same(held));
        }
        self.keys = Some(keys);
    }

    fn retain(&mut self, keep: impl Fn(&OsString, &Held) -> bool) {
        let before = self.held.len();
        self.held.retain(|path, held| keep(path, held));
        self.changed |= self.held.len() < before;
    }

    /// Brings the library up to date: how many policies were compiled.
    fn refresh(&mut self, files: &[Stamped], faults: &mut Faults) -> usize {
        self.forget_vanished(files);
        let stale = files.iter().filter(|file| !self.is_fresh(file)).map(|(_, path)| path);
        let stale: Vec<&PathBuf> = stale.collect();
        let shared = Shared::default();
        let read = in_parallel(&stale, |path| self.read(path, &shared));
        let mut compiled = 0;
        for (path, read) in stale.into_iter().zip(read) {
            match read {
                Read::Same(stamp, settled) => {
                    if let Some(held) = self.held.get_mut(path.as_os_str()) {
                        (held.stamp, held.settled) = (stamp, settled);
                    }
                }
                Read::Compiled(mut held) => {
                    self.alike.share(&mut held.plan);
                    self.held.insert(path.into(), *held);
                    compiled += 1;
                }
                Read::Refused(found) => {
                    self.held.remove(path.as_os_str());
                    faults.append(found);
                }
            }
        }
        self.alike.forget_unused();
        self.changed |= compiled > 0;
        compiled
    }

    fn forget_vanished(&mut self, files: &[Stamped]) {
        if self.held_of(files).count() < self.held.len() {
            let there: HashSet<&OsStr> = files.iter().map(|(_, path)| path.as_os_str()).collect();
            self.retain(|path, _| there.contains(path.as_os_str()));
        }
    }

    fn is_fresh(&self, (stamp, path): &Stamped) -> bool {
        self.held.get(path.as_os_str()).is_some_and(|held| held.settled && held.stamp == *stamp)
    }

    fn read(&self, path: &Path, shared: &Shared) -> Read {
        let mut faults = Faults::default();
        let name = path.display().to_string();
        let (text, stamp, settled) = match read_whole(path) {
            Ok(read) => read,
            Err(message) => {
                let here = Source::new(name, "");
                faults.add(&here, "P041", Span::default(), message);
                return Read::Refused(faults);
            }
        };
        let text_hash = *blake3::hash(text.as_bytes()).as_bytes();
        if self.held.get(path.as_os_str()).is_some_and(|held| held.text_hash == text_hash) {
            return Read::Same(stamp, settled);
        }
        let source = Source::new(name, text);
        match compile(&source, shared, self.keys.as_deref(), &mut faults) {
            Some(CompiledPolicy { plan, key, shares, .. }) => {
                Read::Compiled(Box::new(Held { stamp, settled, text_hash, key, shares, plan }))
            }
            None => Read::Refused(faults),
        }
    }

    /// Two policies for one tenant: told as `limpid check` tells it, from all files together.
    fn find_clash(&self, faults: &mut Faults) {
        let sources = policy::sources(&self.folder, faults);
        policy::compile_all(&sources, Lookup::Keyring(self.keys.as_deref()), faults);
    }

    fn held_of<'a>(&'a self, files: &'a [Stamped]) -> impl Iterator<Item = &'a Held> {
        files.iter().filter_map(|(_, path)| self.held.get(path.as_os_str()))
    }

    /// The set of all files; `None` if a tenant has two policies.
    fn hand_out(&mut self, files: &[Stamped], compiled: usize) -> Option<Loaded> {
        let held: Vec<&Held> = self.held_of(files).collect();
        let fingerprint = fingerprint(&held, self.shared);
        let policies = match self.changed {
            true => Some(Policies::of(held.iter().map(|held| held.plan.clone()).collect()).ok()?),
            false => None,
        };
        self.changed = false;
        Some(Loaded { policies, count: files.len(), compiled, fingerprint })
    }
}

const CHANGED: &str = "it was written to while it was read: load again when it is complete";

/// A file's text, and its stamp if nobody wrote to it meanwhile.
fn read_whole(path: &Path) -> Result<(String, Stamp, bool), String> {
    let cannot = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let mut file = File::open(path).map_err(cannot)?;
    let before = Stamp::of_open(&file).map_err(cannot)?;
    let settled = settled(&before);
    let mut bytes = Vec::with_capacity(before.bytes());
    file.read_to_end(&mut bytes).map_err(cannot)?;
    if Stamp::of_open(&file).map_err(cannot)? != before {
        return Err(CHANGED.to_owned());
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| format!("{} is not a text file in UTF-8", path.display()))?;
    Ok((text, before, settled))
}

/// A policy whose tests have passed.
fn compile(
    source: &Arc<Source>,
    shared: &Shared,
    keys: Option<&Keyring>,
    faults: &mut Faults,
) -> Option<CompiledPolicy> {
    let policy = policy::compile_sharing(source, shared, keys, faults)?;
    if !policy.tests.is_empty() {
        let alone = Policies::of(vec![policy.plan.clone()]).ok()?;
        if policy.tests.run(&alone, faults) > 0 {
            return None;
        }
    }
    Some(policy)
}

fn fingerprint(held: &[&Held], shared: Option<SharedTexts>) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    if let Some(SharedTexts { hash, count: 1.. }) = shared {
        hasher.update(&hash);
    }
    for held in held {
        hasher.update(&held.text_hash);
    }
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    fingerprint
}

/// Fewer than these are worked off sooner than a thread is started.
const ALONE: usize = 8;

/// `work` done on each job, on as many threads as there are cores; the answers in the jobs' order.
fn in_parallel<T: Sync, R: Send>(jobs: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if jobs.len() < ALONE {
        return jobs.iter().map(work).collect();
    }
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(index) else { return done };
            done.push((index, work(job)));
        }
    };
    let mut done = thread::scope(|scope| {
        let threads: Vec<_> = (1..cores).map(|_| scope.spawn(take)).collect();
        let mut done = take();
        for thread in threads {
            match thread.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    const ACME: &str = "tenant: acme\nversion: 1\nrules: []\n";

    fn policy(tenant: &str, version: u32) -> String {
        format!("tenant: {tenant}\nversion: {version}\nrules: []\n")
    }

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(dir.path().join(name), text).expect("a file");
        }
        dir
    }

    fn library(dir: &tempfile::TempDir) -> Library {
        Library::new(dir.path(), None)
    }

    fn codes(files: &[(&str, &str)]) -> (Option<usize>, Vec<&'static str>) {
        let dir = folder(files);
        let mut faults = Faults::default();
        let loaded = library(&dir).load(&mut faults);
        (loaded.map(|loaded| loaded.count), faults.iter().map(|fault| fault.code).collect())
    }

    /// A load that must succeed: how many were compiled, and the versions by tenant if it is a new
    /// set.
    fn load(library: &mut Library) -> (usize, Option<Vec<(String, u64)>>) {
        let mut faults = Faults::default();
        let loaded = library.load(&mut faults).unwrap_or_else(|| panic!("{faults}"));
        let version = |plan: &Plan| (plan.tenant.to_string(), plan.version);
        let versions =
            loaded.policies.map(|policies| policies.plans().iter().map(version).collect());
        (loaded.compiled, versions)
    }

    fn versions(of: &[(&str, u64)]) -> Option<Vec<(String, u64)>> {
        Some(of.iter().map(|(tenant, version)| ((*tenant).to_owned(), *version)).collect())
    }

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
        assert!(library(&dir).load(&mut faults).is_none());
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

    #[test]
    fn only_what_changed_is_compiled_and_nothing_new_is_no_new_set() {
        let dir = folder(&[("a.yaml", ACME), ("b.yaml", &policy("beta", 1))]);
        let mut library = library(&dir);
        assert_eq!(load(&mut library), (2, versions(&[("acme", 1), ("beta", 1)])));
        assert_eq!(load(&mut library), (0, None));
        // The same length within the same tick of the clock: the text decides.
        fs::write(dir.path().join("a.yaml"), policy("acme", 2)).expect("a file");
        assert_eq!(load(&mut library), (1, versions(&[("acme", 2), ("beta", 1)])));
        fs::remove_file(dir.path().join("b.yaml")).expect("removed");
        assert_eq!(load(&mut library), (0, versions(&[("acme", 2)])));
        fs::write(dir.path().join("c.yaml"), policy("gamma", 1)).expect("a file");
        assert_eq!(load(&mut library), (1, versions(&[("acme", 2), ("gamma", 1)])));
    }

    #[test]
    fn what_shares_a_file_is_compiled_anew_when_that_changes() {
        let including = format!("{}  - include: _a.yaml\n", policy("beta", 1).replace(" []", ""));
        let set = "rules: [{fields: a, do: drop}]\n";
        let dir = folder(&[("a.yaml", ACME), ("b.yaml", &including), ("_a.yaml", set)]);
        let mut library = library(&dir);
        let both = versions(&[("acme", 1), ("beta", 1)]);
        assert_eq!(load(&mut library), (2, both.clone()));
        let before = library.load(&mut Faults::default()).expect("no fault").fingerprint;
        let looked = library.look();
        fs::write(dir.path().join("_a.yaml"), "rules: [{fields: b, do: drop}]\n").expect("a file");
        assert_ne!(library.look(), looked);
        assert_eq!(load(&mut library), (1, both.clone()));
        let after = library.load(&mut Faults::default()).expect("no fault").fingerprint;
        assert_ne!(before, after);
        // A base holds for all, and so does its end.
        fs::write(dir.path().join("_base.yaml"), "rules: []\n").expect("a file");
        assert_eq!(load(&mut library), (2, both.clone()));
        fs::remove_file(dir.path().join("_base.yaml")).expect("removed");
        assert_eq!(load(&mut library), (2, both));
    }

    #[test]
    fn after_a_refusal_the_cure_alone_is_compiled() {
        let dir = folder(&[("a.yaml", ACME), ("b.yaml", &policy("beta", 1))]);
        let mut library = library(&dir);
        load(&mut library);
        fs::write(dir.path().join("a.yaml"), policy("acme", 2)).expect("a file");
        fs::write(dir.path().join("b.yaml"), "tenant: beta\n").expect("a file");
        assert!(library.load(&mut Faults::default()).is_none());
        fs::write(dir.path().join("b.yaml"), policy("beta", 1)).expect("a file");
        assert_eq!(load(&mut library), (1, versions(&[("acme", 2), ("beta", 1)])));
    }

    #[test]
    fn a_swapped_link_is_seen_and_an_equal_text_behind_it_is_not_compiled() {
        let dir = folder(&[]);
        let path = |name: &str| dir.path().join(name);
        for (version, text) in [("1", policy("acme", 1)), ("2", policy("acme", 1))] {
            fs::create_dir(path(version)).expect("a folder");
            fs::write(path(version).join("acme.yaml"), text).expect("a file");
        }
        symlink("1", path("..data")).expect("a link");
        symlink("..data/acme.yaml", path("acme.yaml")).expect("a link");
        let mut library = library(&dir);
        assert_eq!(load(&mut library), (1, versions(&[("acme", 1)])));
        let before = library.look();
        assert_eq!(library.looked(), Some(before));
        symlink("2", path("..next")).expect("a link");
        fs::rename(path("..next"), path("..data")).expect("swapped");
        assert!(library.look() != before, "a swap that nobody sees");
        assert_eq!(load(&mut library), (0, None));
        fs::write(path("2").join("acme.yaml"), policy("acme", 3)).expect("a file");
        assert_eq!(load(&mut library), (1, versions(&[("acme", 3)])));
    }

    #[test]
    fn another_secret_compiles_those_that_use_it() {
        let keyed = |name: &str| {
            let rules = "rules: [{fields: id, do: pseudonymize}]";
            format!("tenant: {name}\nversion: 1\nkey: {name}\n{rules}\n")
        };
        let dir = folder(&[("a.yaml", &keyed("acme")), ("b.yaml", &keyed("beta"))]);
        let keyring = dir.path().join("keyring");
        let write = |acme: &str, beta: &str| {
            let text = format!("acme: {{secret: {acme}}}\nbeta: {{secret: {beta}}}\n");
            fs::write(&keyring, text).expect("a keyring");
            fs::set_permissions(&keyring, fs::Permissions::from_mode(0o600)).expect("a mode");
        };
        let [one, two, three] = [
            "8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d",
            "1679091c5a880faf6fb5e6087eb1b2dc45c48cce2e2d7fbdea1afc51c7c6ad26",
            "c81e728d9d4c2f636f067f89cc14862c2a1f0c5b9d7e3846aa51b0e4f29d7731",
        ];
        write(one, two);
        let mut library = Library::new(dir.path(), Some(SecretSource::File(keyring.clone())));
        assert_eq!(load(&mut library).0, 2);
        assert_eq!(load(&mut library), (0, None));
        write(one, three);
        let (compiled, set) = load(&mut library);
        assert_eq!((compiled, set.is_some()), (1, true));
        fs::write(&keyring, "acme: {}\n").expect("a keyring");
        assert!(library.load(&mut Faults::default()).is_none());
    }

    #[test]
    fn threads_answer_in_the_order_of_the_jobs() {
        let jobs: Vec<usize> = (0..1_000).collect();
        assert_eq!(in_parallel(&jobs, |job| job * 2), (0..2_000).step_by(2).collect::<Vec<_>>());
    }
}
