//! Where a secret comes from, and how it is read without leaving copies.
//!
//! Secrets do not belong in a configuration that is reviewed, copied and committed. So the
//! configuration says where one is: a file of its owner's alone, an environment variable, or the
//! output of a command (a vault's client). What is read is zeroized when dropped; error texts name
//! the place and never the content, and a command's error output is thrown away, for it may quote
//! what it failed on.

use crate::error::{Error, Result};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Most bytes that a secret may have: a keyring of 40,000 entries.
const BYTES_MAX: usize = 4 << 20;

/// How long a command may take. A start must not hang on a vault that does not answer.
const COMMAND_DEADLINE: Duration = Duration::from_secs(30);

/// How often a command that has closed its output is asked whether it has ended.
const EXIT_POLL: Duration = Duration::from_millis(5);

/// Where a secret comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file that only its owner can read.
    File(PathBuf),
    /// An environment variable.
    Env(String),
    /// The standard output of a command: program and arguments, no shell.
    Command(Vec<String>),
}

impl SecretSource {
    /// Reads the secret, as it is.
    ///
    /// # Errors
    /// The file can be read by others, the variable is not set, the command fails or takes too
    /// long; never with anything of the content.
    pub fn read(&self) -> Result<Zeroizing<Vec<u8>>> {
        let bytes = match self {
            Self::File(path) => read_file(path),
            Self::Env(name) => read_variable(name),
            Self::Command(words) => run_command(words, COMMAND_DEADLINE),
        };
        bytes.map_err(|fault| Error::usage(format!("{self}: {fault}")))
    }

    /// Reads a secret that is one line of text (a password): one line end at its end is not part
    /// of it.
    ///
    /// # Errors
    /// As [`SecretSource::read`]; or it is empty, or not UTF-8.
    pub fn read_line(&self) -> Result<Zeroizing<String>> {
        let bytes = self.read()?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| Error::usage(format!("{self}: not valid UTF-8")))?;
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            return Err(Error::usage(format!("{self}: empty")));
        }
        Ok(Zeroizing::new(line.to_owned()))
    }
}

impl FromStr for SecretSource {
    type Err = &'static str;

    /// As an argument has it: `env:NAME`, `command:PROGRAM ARGUMENT…` (parted at spaces: there is no
    /// shell, and no quoting), or a file's path.
    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        if let Some(name) = text.strip_prefix("env:") {
            return named(name).map(Self::Env).ok_or("name a variable: `env:NAME`");
        }
        if let Some(command) = text.strip_prefix("command:") {
            let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
            return match words.is_empty() {
                true => Err("name a program: `command:PROGRAM ARGUMENT…`"),
                false => Ok(Self::Command(words)),
            };
        }
        named(text).map(|path| Self::File(path.into())).ok_or("name a file")
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            // Arguments may hold a token.
            Self::Command(words) => {
                write!(f, "command {}", words.first().map_or("", String::as_str))
            }
        }
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretSource({self})")
    }
}

fn read_file(path: &Path) -> std::result::Result<Zeroizing<Vec<u8>>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    // Asked of the open file, not of the path: nobody can exchange it in between.
    private(&file, path)?;
    read_all(file)
}

fn private(file: &File, path: &Path) -> std::result::Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    let found = file.metadata().map_err(|error| error.to_string())?;
    let me = rustix::process::geteuid().as_raw();
    refused(found.uid(), found.gid(), found.mode() & 0o7777, me)
        .map_or(Ok(()), |why| Err(why.replace("FILE", &path.display().to_string())))
}

/// The superuser, and its group.
const ROOT: u32 = 0;

/// Why a file of this owner, group and mode is no place for a secret of user `me`. A group may read
/// what is root's: so Kubernetes mounts secrets (`fsGroup`), and so /etc/shadow is kept.
fn refused(owner: u32, group: u32, mode: u32, me: u32) -> Option<String> {
    if owner != ROOT && owner != me {
        return Some(format!(
            "belongs to another user (uid {owner}), who could change it: chown it to the user that \
             runs limpid"
        ));
    }
    let for_a_group = owner == ROOT && (me != ROOT || group != ROOT);
    let others = if for_a_group { 0o037 } else { 0o077 };
    (mode & others != 0).then(|| match for_a_group {
        false => {
            format!("others than its owner can reach it (mode {mode:03o}): run `chmod 600 FILE`")
        }
        true => format!(
            "others than its owner and readers of its group can reach it (mode {mode:03o}): run \
             `chmod 440 FILE`; in Kubernetes, mount it with `defaultMode: 0440`"
        ),
    })
}

fn read_variable(name: &str) -> std::result::Result<Zeroizing<Vec<u8>>, String> {
    let value = std::env::var_os(name).ok_or("not set")?;
    Ok(Zeroizing::new(value.into_encoded_bytes()))
}

fn run_command(
    words: &[String],
    deadline: Duration,
) -> std::result::Result<Zeroizing<Vec<u8>>, String> {
    let (program, arguments) = words.split_first().ok_or("no program is named")?;
    let until = Instant::now() + deadline;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot be started: {error}"))?;
    let outcome = read_output(&mut child, until)
        .and_then(|bytes| Ok((bytes, await_exit(&mut child, until)?)));
    if outcome.is_err() {
        // It may be gone already; and there is nobody to tell.
        let _ = child.kill();
        let _ = child.wait();
    }
    let (bytes, status) = outcome?;
    if !status.success() {
        return Err(format!(
            "failed ({status}); its error output is not shown, for it may hold the secret: run it \
             by hand"
        ));
    }
    Ok(bytes)
}

/// The output, read by a thread of its own: a grandchild that keeps the pipe open must not keep
/// limpid past the deadline.
fn read_output(
    child: &mut Child,
    until: Instant,
) -> std::result::Result<Zeroizing<Vec<u8>>, String> {
    let output = child.stdout.take().ok_or("has no output")?;
    let (done, result) = mpsc::sync_channel(1);
    std::thread::spawn(move || done.send(read_all(output)));
    result
        .recv_timeout(until.saturating_duration_since(Instant::now()))
        .unwrap_or_else(|_| Err(late()))
}

fn await_exit(
    child: &mut Child,
    until: Instant,
) -> std::result::Result<std::process::ExitStatus, String> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if Instant::now() < until => std::thread::sleep(EXIT_POLL),
            Ok(None) => return Err(late()),
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn late() -> String {
    format!("did not end within {} s", COMMAND_DEADLINE.as_secs())
}

/// Reads to the end; each buffer that is outgrown is zeroized too.
fn read_all(mut from: impl Read) -> std::result::Result<Zeroizing<Vec<u8>>, String> {
    let mut all = Zeroizing::new(vec![0; 16 << 10]);
    let mut length = 0;
    loop {
        if length == all.len() {
            let mut larger = Zeroizing::new(vec![0; all.len() * 2]);
            larger[..length].copy_from_slice(&all);
            all = larger;
        }
        match from.read(&mut all[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.to_string()),
        }
        if length > BYTES_MAX {
            return Err(format!("longer than {} MiB", BYTES_MAX >> 20));
        }
    }
    all.truncate(length);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn file(mode: u32, content: &str) -> (tempfile::TempDir, SecretSource) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (folder, SecretSource::File(path))
    }

    fn shell(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[test]
    fn a_private_file_is_read() {
        let (_folder, source) = file(0o600, "canary\n");
        assert_eq!(*source.read_line().unwrap(), "canary");
        assert_eq!(**source.read().unwrap(), *b"canary\n");
    }

    #[test]
    fn a_file_that_others_can_reach_is_refused_with_the_cure() {
        for mode in [0o640, 0o604, 0o620, 0o601] {
            let (_folder, source) = file(mode, "canary");
            let error = source.read().unwrap_err().to_string();
            assert!(error.contains("chmod 600"), "{error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn what_is_root_s_a_group_may_read() {
        let (me, group, root) = (1_000, 2_000, 0);
        for mode in [0o400, 0o440, 0o600, 0o640] {
            assert_eq!(refused(root, group, mode, me), None, "{mode:o}");
            assert_eq!(refused(root, group, mode, root), None, "{mode:o}: root looks after it");
            assert_eq!(refused(root, root, mode, me), None, "{mode:o}: OpenShift's group");
        }
        for mode in [0o660, 0o650, 0o444, 0o644, 0o602, 0o601] {
            assert!(refused(root, group, mode, me).is_some(), "{mode:o}");
        }
        assert!(refused(me, group, 0o640, me).is_some(), "one's own file is one's own");
        assert!(refused(root, root, 0o640, root).is_some());
        assert!(refused(1_001, group, 0o600, me).unwrap().contains("uid 1001"));
    }

    #[test]
    fn a_long_secret_is_whole_and_an_endless_one_is_refused() {
        let long = "x".repeat(100_000);
        let (_folder, source) = file(0o600, &long);
        assert_eq!(*source.read_line().unwrap(), long);
        let endless = run_command(&shell("exec yes"), COMMAND_DEADLINE);
        assert!(endless.unwrap_err().contains("longer than"));
    }

    #[test]
    fn a_command_gives_its_output_and_nothing_else() {
        let source = SecretSource::Command(shell("echo canary; echo noise >&2"));
        assert_eq!(*source.read_line().unwrap(), "canary");
        let failing = SecretSource::Command(shell("echo canary; exit 3"));
        let error = failing.read().unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && !error.contains("canary"), "{error}");
        assert!(!format!("{failing:?}").contains("canary"));
    }

    #[test]
    fn a_command_that_hangs_is_ended() {
        let started = Instant::now();
        let short = Duration::from_millis(50);
        assert!(run_command(&shell("exec sleep 60"), short).is_err());
        // The pipe outlives the program that was started; and the program outlives the pipe.
        assert!(run_command(&shell("sleep 10 & exit 0"), short).is_err());
        assert!(run_command(&shell("exec sleep 60 >&-"), short).is_err());
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn an_argument_names_any_source() {
        let parsed = |text: &str| text.parse::<SecretSource>();
        assert_eq!(parsed("keyring.yaml"), Ok(SecretSource::File("keyring.yaml".into())));
        assert_eq!(parsed("./env:x"), Ok(SecretSource::File("./env:x".into())));
        assert_eq!(parsed("env:LIMPID_KEYRING"), Ok(SecretSource::Env("LIMPID_KEYRING".into())));
        let words = ["vault", "read", "-field=x"].map(str::to_owned).to_vec();
        assert_eq!(parsed("command:vault read  -field=x"), Ok(SecretSource::Command(words)));
        for none in ["", "env:", "command:", "command: "] {
            assert!(parsed(none).is_err(), "{none}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = SecretSource::Env("LIMPID_TEST_NOT_SET".into()).read().unwrap_err();
        assert_eq!(missing.to_string(), "environment variable LIMPID_TEST_NOT_SET: not set");
        let nothing = SecretSource::Command(Vec::new()).read().unwrap_err();
        assert!(nothing.to_string().contains("no program"), "{nothing}");
        let (_folder, empty) = file(0o600, "\n");
        assert!(empty.read_line().unwrap_err().to_string().ends_with("empty"));
    }
}
