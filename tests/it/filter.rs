//! `limpid filter`: the machine on made-up readers and writers.

use crate::cli::{Run, limpid, run};
use limpid::demo::events::Events;
use limpid::engine::Limits;
use limpid::error::{Reason, Result};
use limpid::filter::{Job, Source, Summary, filter};
use limpid::format::paths::{OnContainer, Paths, RulePath, Segment};
use limpid::policy::{OnKey, OnMismatch, Own, Plan, Policies, Rule, Unlisted};
use std::collections::VecDeque;
use std::fs;
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

/// Drops `secret`, keeps the rest.
fn policies() -> Arc<Policies> {
    let segments = vec![Segment::Name("secret".into())];
    let path = RulePath { rule: 0, on_container: OnContainer::Take, segments };
    let rule = Rule {
        transform: (limpid::transform::named("drop").unwrap().build)(&[]).unwrap(),
        mismatch: OnMismatch::Redact,
        label: "1 drop".into(),
    };
    let plan = Plan {
        tenant: "acme".into(),
        version: 1,
        paths: Paths::compile(&[path]).unwrap(),
        rules: [Arc::new(rule)].into(),
        key: OnKey::Nobody,
        header_rules: Vec::new(),
        conditions: None,
        subjects: None,
        unlisted: Unlisted::Keep,
        keys: None,
        own: Own::default(),
    };
    Arc::new(Policies::new(vec![plan]).unwrap())
}

fn job(threads: usize) -> Job {
    let limits = Limits::default();
    Job { policies: policies(), tenant: "acme".into(), limits, timestamp_ms: 0, threads }
}

fn source(reader: impl Read + Send + 'static) -> Source {
    Source { name: "input".into(), reader: Box::new(reader), live: false }
}

/// An output that is read afterwards.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An output whose writes do this.
struct Writes<F>(F);

impl<F: FnMut(&[u8]) -> io::Result<usize>> Write for Writes<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.0)(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Filters these inputs, one after the other.
fn filtered<const N: usize>(job: Job, inputs: [&[u8]; N]) -> (String, Summary) {
    let sources = inputs.map(|input| Ok(source(Cursor::new(input.to_vec()))));
    let output = Shared::default();
    let summary = filter(job, sources.into_iter(), output.clone()).unwrap();
    (output.text(), summary)
}

#[track_caller]
fn check(input: &[u8], output: &str, summary: &str) {
    let (found, counted) = filtered(job(2), [input]);
    assert_eq!((found.as_str(), counted.to_string().as_str()), (output, summary));
}

fn events(count: usize) -> Vec<u8> {
    let (mut events, mut lines) = (Events::new(5), Vec::new());
    for _ in 0..count {
        events.web(&mut lines);
        lines.push(b'\n');
    }
    lines
}

#[test]
fn clean_lines_in_order_the_rest_is_left_out_and_counted() {
    check(
        b"{\"a\":1,\"secret\":2}\n{\"a\":\n\n[1]\r\n{ \"b\" : [ ] }\r\n\r\n{\"c\":3}",
        "{\"a\":1}\n{ \"b\" : [ ] }\n{\"c\":3}\n",
        "5 in, 3 clean, 2 withheld (malformed 2)",
    );
    check(b"", "", "0 in, 0 clean, 0 withheld");
    check(b"\n\r\n\n", "", "0 in, 0 clean, 0 withheld");
}

#[test]
fn the_end_of_a_file_ends_its_last_line() {
    let (output, summary) = filtered(job(3), [b"{\"a\":1}\n{\"a\":2}", b"", b"{\"a\":3}"]);
    assert_eq!(output, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
    assert_eq!(summary.clean, 3);
}

#[test]
fn gzip_and_zstd_are_known_by_their_first_bytes_in_several_members_too() {
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    let plain = events(3_000);
    let (first, second) = plain.split_at(1_000_001);
    let wanted = filtered(job(2), [&plain]);
    assert_eq!(wanted.1.clean, 3_000);
    assert_eq!(filtered(job(2), [&[gzip(first), gzip(second)].concat()]), wanted);
    assert_eq!(filtered(job(2), [&[zstd(first), zstd(second)].concat()]), wanted);
}

#[test]
fn a_damaged_archive_is_an_error_that_names_the_input() {
    let mut archive = zstd::encode_all(&events(3_000)[..], 1).unwrap();
    archive.truncate(archive.len() / 2);
    let sources = [Ok(source(Cursor::new(archive)))];
    let error = filter(job(2), sources.into_iter(), io::sink()).unwrap_err();
    assert!(error.to_string().starts_with("cannot read input: "), "{error}");
}

#[test]
fn one_thread_or_many_give_the_same_bytes() {
    let input = events(6_000);
    let wanted = filtered(job(1), [&input]);
    assert_eq!(wanted.0.as_bytes(), input, "nothing in it is called secret");
    for threads in [2, 4, 7] {
        assert!(filtered(job(threads), [&input]) == wanted, "{threads} threads");
    }
}

#[test]
fn lines_of_several_blocks_pass_up_to_the_limit_and_not_beyond() {
    let line = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    let limit = 3 << 20;
    let input =
        [line(40), line(limit), line(41), line(limit + 1), line(42), line(9 << 20), line(43)];
    for end in ["\n", "\r\n"] {
        let mut job = job(3);
        job.limits.value_bytes = limit;
        let (output, summary) = filtered(job, [input.join(end).as_bytes()]);
        let lengths: Vec<usize> = output.lines().map(str::len).collect();
        assert_eq!(lengths, [40, limit, 41, 42, 43]);
        assert_eq!(summary.to_string(), "7 in, 5 clean, 2 withheld (limits 2)");
    }
    let last = line(2 << 20);
    let (output, _) = filtered(job(2), [last.as_bytes(), b"{}"]);
    assert!(output == format!("{last}\n{{}}\n"), "the end of the input ends it");
}

#[test]
fn giants_keep_their_places_among_blocks_that_take_longer() {
    let giant = format!("{{\"a\":\"{}\"}}\n", "x".repeat(300 << 10));
    let input = [events(650), giant.into_bytes()].concat().repeat(40);
    let (output, _) = filtered(job(3), [&input]);
    assert!(output.as_bytes() == input, "nothing in it is called secret");
}

#[test]
fn an_input_that_ends_within_a_line_beyond_the_limit_counts_it() {
    let mut job = job(2);
    job.limits.value_bytes = 1 << 20;
    let (output, summary) = filtered(job, [&[b'x'; 5 << 20], b"{}"]);
    assert_eq!(output, "{}\n");
    assert_eq!(summary.to_string(), "2 in, 1 clean, 1 withheld (limits 1)");
}

#[test]
fn a_live_input_is_handed_on_as_it_comes() {
    let (tell, heard) = channel();
    let lines = ["{\"a\":1}\n", "{\"a\":2}\n", "{\"a\":3}\n"].map(str::as_bytes).into();
    let live = Source { live: true, ..source(Patient { at: b"", lines, heard }) };
    let sources = [Ok(live)].into_iter();
    // If a line were held back until the next one comes, this would never end.
    let output = Writes(move |bytes: &[u8]| {
        tell.send(()).unwrap();
        Ok(bytes.len())
    });
    let summary = filter(job(4), sources, output).unwrap();
    assert_eq!(summary.clean, 3);
}

/// Gives a line only after it has heard that the one before was written.
struct Patient {
    at: &'static [u8],
    lines: VecDeque<&'static [u8]>,
    heard: Receiver<()>,
}

impl Read for Patient {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at.is_empty() {
            if self.lines.len() < 3 {
                self.heard.recv().unwrap();
            }
            self.at = self.lines.pop_front().unwrap_or_default();
        }
        self.at.read(into)
    }
}

/// An endless-looking input: the same block of events again and again.
struct Repeated {
    block: Vec<u8>,
    left: usize,
    at: usize,
    read: Arc<AtomicUsize>,
}

impl Read for Repeated {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            self.at = 0;
            self.left -= 1;
        }
        let rest = if self.left == 0 { &[][..] } else { &self.block[self.at..] };
        let read = rest.len().min(into.len());
        into[..read].copy_from_slice(&rest[..read]);
        self.at += read;
        self.read.fetch_add(read, Ordering::SeqCst);
        Ok(read)
    }
}

#[test]
fn memory_is_bounded_however_long_the_input_is() {
    let block = events(12_000);
    let (times, bytes) = (200_000_000 / block.len() + 1, block.len());
    let read = Arc::new(AtomicUsize::new(0));
    let input = Repeated { block, left: times, at: 0, read: read.clone() };
    // Of what was written: all of it, and the most that was read and not yet written.
    let told = Arc::new(Mutex::new((0, 0)));
    let tell = told.clone();
    let output = Writes(move |bytes: &[u8]| {
        let (written, most) = &mut *tell.lock().unwrap();
        // Nothing is dropped from these events: what was read and not yet written is in memory.
        *most = read.load(Ordering::SeqCst).saturating_sub(*written).max(*most);
        *written += bytes.len();
        Ok(bytes.len())
    });
    let counted = filter(job(4), [Ok(source(input))].into_iter(), output);
    assert_eq!(counted.unwrap().clean, 12_000 * times as u64);
    let (written, most) = *told.lock().unwrap();
    assert_eq!(written, times * bytes);
    assert!((256 << 10..4 << 20).contains(&most), "{most} bytes in flight");
}

#[test]
fn whoever_reads_the_output_may_leave() {
    let closed = Writes(|_: &[u8]| Err(io::ErrorKind::BrokenPipe.into()));
    let block = events(2_000);
    let input = Repeated { block, left: usize::MAX, at: 0, read: Arc::default() };
    let summary = filter(job(2), [Ok(source(input))].into_iter(), closed).unwrap();
    assert!(summary.broken_pipe);
    assert_eq!(summary.withheld[Reason::Malformed as usize], 0);
}

#[test]
fn what_came_before_a_failing_input_is_written() {
    let missing: Result<Source> = Err(limpid::error::Error::usage("b: no such file"));
    let sources = [Ok(source(Cursor::new(b"{\"a\":1}\n".to_vec()))), missing];
    let output = Shared::default();
    let error = filter(job(2), sources.into_iter(), output.clone()).unwrap_err();
    assert_eq!(error.to_string(), "b: no such file");
    assert_eq!(output.text(), "{\"a\":1}\n");
}

#[test]
fn an_output_that_cannot_be_written_ends_it() {
    let full = Writes(|_: &[u8]| Err(io::ErrorKind::StorageFull.into()));
    let input = Repeated { block: events(2_000), left: usize::MAX, at: 0, read: Arc::default() };
    let error = filter(job(3), [Ok(source(input))].into_iter(), full).unwrap_err();
    assert!(error.to_string().starts_with("cannot write the output: "), "{error}");
}

#[test]
fn a_bug_in_a_worker_is_told_and_not_waited_for() {
    struct Panics;
    impl Read for Panics {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("a bug")
        }
    }
    let lost = "a worker thread stopped; the output ends before the input does";
    let error = filter(job(3), [Ok(source(Panics))].into_iter(), io::sink()).unwrap_err();
    assert_eq!(error.to_string(), lost);
    let bug = Writes(|_: &[u8]| panic!("a bug"));
    let input = Repeated { block: events(2_000), left: usize::MAX, at: 0, read: Arc::default() };
    let error = filter(job(3), [Ok(source(input))].into_iter(), bug).unwrap_err();
    assert_eq!(error.to_string(), lost);
}

#[test]
fn many_short_lines_share_a_block() {
    let lines: String = (0..200_000).map(|number| format!("{{\"n\":{number}}}\n{{\n")).collect();
    let (output, summary) = filtered(job(3), [lines.as_bytes()]);
    assert!(output == lines.replace("{\n", ""), "all that are JSON, in order");
    assert_eq!(summary.to_string(), "400000 in, 200000 clean, 200000 withheld (malformed 200000)");
}

// From here on through the binary.

/// A folder with a policy and what else a run needs.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(policy: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("policy.yaml", policy.as_bytes());
        folder
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().into()
    }

    fn run(&self, args: &[&str], input: &[u8]) -> Run {
        let policy = self.0.path().join("policy.yaml");
        let args = [&["filter", "--policy", policy.to_str().unwrap()], args].concat();
        run(&args, input)
    }
}

const DROPS_MAIL: &str = "
tenant: acme
version: 1
rules:
  - fields: [mail]
    do: drop
";

const PSEUDONYMS: &str = "
tenant: acme
version: 1
key: acme
epoch: 1d
rules:
  - fields: [id]
    do: pseudonymize
";

#[test]
fn a_policy_whose_tests_fail_is_not_used() {
    let test = "tests: [{name: it stays, in: {mail: a}, out: {mail: a}}]\n";
    let refused = Folder::new(&format!("{DROPS_MAIL}{test}")).run(&[], b"{}\n");
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""));
    assert!(
        refused.stderr.contains("error[P032]: the test `it stays` fails"),
        "{}",
        refused.stderr
    );
}

#[test]
fn the_program_writes_clean_lines_and_one_summary() {
    let folder = Folder::new(DROPS_MAIL);
    let all_clean = folder.run(&[], b"{\"a\":1,\"mail\":\"canary@x.example\"}\n");
    assert_eq!(all_clean.stdout, "{\"a\":1}\n");
    assert_eq!(all_clean.stderr, "limpid: 1 in, 1 clean, 0 withheld\n");
    assert_eq!(all_clean.code, Some(0));
    let withheld = folder.run(&["-"], b"{\"a\":1}\n{\"mail\":\"canary\n");
    assert_eq!(withheld.stdout, "{\"a\":1}\n");
    assert_eq!(withheld.stderr, "limpid: 2 in, 1 clean, 1 withheld (malformed 1)\n");
    assert_eq!(withheld.code, Some(1));
}

#[test]
fn files_are_read_in_the_order_given_standard_input_among_them() {
    let folder = Folder::new(DROPS_MAIL);
    let one = folder.write("one.ndjson", b"{\"n\":1}");
    let three = folder.write("three.zst", &zstd::encode_all(&b"{\"n\":3}\n"[..], 1).unwrap());
    let run = folder.run(&["--threads", "2", &one, "-", &three], b"{\"n\":2}\n");
    assert_eq!(run.stdout, "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
}

#[test]
fn missing_inputs_are_all_reported_before_anything_is_read() {
    let folder = Folder::new(DROPS_MAIL);
    let there = folder.write("there", b"{}\n");
    let here = folder.0.path().to_str().unwrap();
    let run = folder.run(&[&there, "/no/such/a", here, "/no/such/b"], b"");
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{}", run.stderr);
    for (line, path) in lines.iter().zip(["/no/such/a", here, "/no/such/b"]) {
        assert!(line.starts_with(&format!("limpid: cannot read {path}: ")), "{line}");
    }
    assert_eq!(folder.run(&["-", "-"], b"").code, Some(2));
}

#[test]
fn a_policy_that_needs_a_key_is_refused_without_one() {
    let folder = Folder::new(PSEUDONYMS);
    let run = folder.run(&[], b"{\"id\":1}\n");
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    assert!(run.stderr.contains("policy.yaml:4:"), "{}", run.stderr);
}

#[test]
fn the_timestamp_decides_the_epoch_and_with_it_the_pseudonyms() {
    let folder = Folder::new(PSEUDONYMS);
    let made = run(&["keys", "new", "acme"], b"");
    let keys = folder.write("keys.yaml", made.stdout.as_bytes());
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).unwrap();
    let at = |time| {
        let run = folder.run(&["--keys", &keys, "--timestamp", time], b"{\"id\":1}\n");
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        run.stdout
    };
    let morning = at("2026-03-01T07:00:00Z");
    assert_ne!(morning, "{\"id\":1}\n");
    assert_eq!(morning, at("2026-03-01T23:00:00Z"));
    assert_ne!(morning, at("2026-03-02T07:00:00Z"));
    let wrong = folder.run(&["--keys", &keys, "--timestamp", "yesterday"], b"");
    assert_eq!(wrong.code, Some(2));
}

#[test]
fn a_broken_pipe_is_no_error() {
    let folder = Folder::new(DROPS_MAIL);
    let input = folder.write("input", &events(20_000));
    let policy = folder.0.path().join("policy.yaml");
    let mut command = limpid(&["filter", "--policy", policy.to_str().unwrap(), &input]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 100]).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

/// The limit on a record is 16 MiB: lines just below it, one after the other, on eight threads.
#[cfg(target_os = "linux")]
#[test]
fn the_process_stays_small_on_lines_as_large_as_they_may_be() {
    let folder = Folder::new(DROPS_MAIL);
    let policy = folder.0.path().join("policy.yaml");
    let mut command =
        limpid(&["filter", "--threads", "8", "--policy", policy.to_str().unwrap(), "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let line = format!("{{\"a\":\"{}\"}}\n", "x".repeat(15 << 20)).into_bytes();
    let bytes = line.len() as u64 * 8;
    let writer = std::thread::spawn(move || {
        (0..8).for_each(|_| stdin.write_all(&line).unwrap());
        stdin
    });
    let read = io::copy(&mut stdout.by_ref().take(bytes), &mut io::sink()).unwrap();
    // All is out, and the input is still open: the process can be looked at.
    let stdin = writer.join().unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success());
    assert_eq!(read, bytes);
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kb: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak_kb < 160_000, "{peak_kb} kB");
}
