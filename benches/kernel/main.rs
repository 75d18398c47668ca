//! How fast is the kernel, beside moving the bytes and beside the other ways to do it?
//!
//! ```text
//! cargo bench --bench kernel                       # all tables, about five minutes
//! cargo bench --bench kernel -- --quick            # small: for CI; fails under half of a target
//! cargo bench --bench kernel -- --only web --contender simd-json --rounds 31 --json web.json
//! cargo bench --bench kernel -- --write-corpus DIR # NDJSON for benches/peers
//! cargo bench --bench kernel -- --over FILE --policy web [--rounds N] [--out FILE]
//! cargo bench --bench kernel -- --agree OURS --with THEIRS --but user.id
//! cargo bench --bench kernel -- --summary FIGURES
//! ```
//! A harness of its own, as a shared machine changes its speed by a third from minute to minute:
//! every round runs every contender once, ratios are taken within a round, and the middle one is
//! told. The clock is the thread's CPU time, so that waiting for a core does not count. Before
//! anything is timed, every contender's answer to every record is compared with that of the twin
//! in `dom.rs`: by bytes where nothing may change, else by what the JSON means.

mod agree;
mod contender;
mod corpus;
mod dom;
mod report;
mod rules;
mod summary;
mod tape;

use contender::{Contender, Limpid, Memcpy};
use corpus::Corpus;
use dom::{SerdeJson, SimdJson, TreeEditor};
use limpid::keys::EpochKeys;
use limpid::scan::Scanner;
use report::Report;
use rules::Rules;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use tape::TapeSplice;

/// How many tenants the many-tenants contender has.
const TENANTS: usize = 10_000;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("kernel: {message}; see the head of benches/kernel/main.rs");
            return ExitCode::from(2);
        }
    };
    if other_task(&options) {
        return ExitCode::SUCCESS;
    }
    let mut report = Report::new(options.quick);
    for (name, group) in groups() {
        if options.only.as_ref().is_none_or(|only| only == name) {
            let mut group = group(&options);
            if let Some(part) = &options.contender {
                group
                    .entries
                    .retain(|entry| entry.name.starts_with("memcpy") || entry.name.contains(part));
            }
            group.check();
            group.time(&options);
            report.add(&group);
        }
    }
    let met = report.finish(options.json.as_deref());
    if options.quick && !met { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What benches/peers/run.sh asks for, one thing at a time; false if nothing.
fn other_task(options: &Options) -> bool {
    if let Some(folder) = &options.write_corpus {
        write_corpora(folder, options);
    } else if let Some(ours) = &options.agree {
        agree::check(ours, &options.with, &options.but);
    } else if let Some(figures) = &options.summary {
        summary::print(figures);
    } else if let Some(file) = &options.over {
        over(file, options);
    } else {
        return false;
    }
    true
}

struct Options {
    quick: bool,
    rounds: usize,
    corpus_bytes: usize,
    all_scanners: bool,
    only: Option<String>,
    contender: Option<String>,
    json: Option<String>,
    write_corpus: Option<String>,
    over: Option<String>,
    agree: Option<String>,
    with: String,
    but: String,
    summary: Option<String>,
    policy: String,
    out: Option<String>,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            quick: false,
            rounds: 15,
            corpus_bytes: 64 << 20,
            all_scanners: false,
            only: None,
            contender: None,
            json: None,
            write_corpus: None,
            over: None,
            agree: None,
            with: String::new(),
            but: String::new(),
            summary: None,
            policy: "web".into(),
            out: None,
        };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("{arg} needs a value"));
            match arg.as_str() {
                "--bench" => {}
                "--quick" => {
                    (options.quick, options.rounds, options.corpus_bytes) = (true, 5, 16 << 20);
                }
                "--scanners" => options.all_scanners = true,
                "--rounds" => options.rounds = number(&value()?)?.max(1),
                "--mib" => options.corpus_bytes = number(&value()?)? << 20,
                "--only" => options.only = Some(value()?),
                "--contender" => options.contender = Some(value()?),
                "--json" => options.json = Some(value()?),
                "--write-corpus" => options.write_corpus = Some(value()?),
                "--over" => options.over = Some(value()?),
                "--agree" => options.agree = Some(value()?),
                "--with" => options.with = value()?,
                "--but" => options.but = value()?,
                "--summary" => options.summary = Some(value()?),
                "--policy" => options.policy = value()?,
                "--out" => options.out = Some(value()?),
                _ => return Err(format!("unknown option {arg}")),
            }
        }
        Ok(options)
    }
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}

/// Contenders that are timed in turns.
pub struct Group {
    corpora: Vec<Corpus>,
    entries: Vec<Entry>,
}

/// A contender with the corpus it runs over, and what its answers must be.
pub struct Entry {
    name: String,
    corpus: usize,
    contender: Box<dyn Contender>,
    answers: Answers,
    seconds: Vec<f64>,
}

/// What a contender must answer.
enum Answers {
    /// The records as they are.
    Same,
    /// What the twin makes of them.
    Twin(Rules),
    /// The same, with a key for each record.
    TwinWithKeys(Rules, Vec<Arc<EpochKeys>>),
}

impl Group {
    fn new(corpora: Vec<Corpus>) -> Self {
        Self { corpora, entries: Vec::new() }
    }

    fn add(
        &mut self,
        name: impl Into<String>,
        corpus: usize,
        contender: impl Contender + 'static,
        answers: Answers,
    ) {
        let (name, contender) = (name.into(), Box::new(contender));
        self.entries.push(Entry { name, corpus, contender, answers, seconds: Vec::new() });
    }

    /// limpid with one of the known policies.
    fn limpid(&mut self, name: impl Into<String>, corpus: usize, policy: &str, scanner: Scanner) {
        let yaml = rules::text(policy);
        let answers = match policy {
            "empty" => Answers::Same,
            // Its other rules match nothing: the answers are those of the ten.
            "web-200" => Answers::Twin(rules_of("web")),
            _ => Answers::Twin(rules_of(policy)),
        };
        self.add(name, corpus, Limpid::new(yaml, scanner), answers);
    }

    /// Compares all answers with the twin's.
    ///
    /// # Panics
    /// One differs.
    fn check(&mut self) {
        for entry in &mut self.entries {
            let corpus = &self.corpora[entry.corpus];
            eprintln!("checking {} over {}", entry.name, corpus.name);
            let mut twin = entry.answers.twin();
            for batch in corpus.batches() {
                entry.contender.clean(corpus, batch.clone());
                for record in batch {
                    let output = entry.contender.output(corpus, record);
                    entry.answers.compare(&mut twin, corpus, record, output, &entry.name);
                }
            }
        }
    }

    /// Runs every contender once a round.
    fn time(&mut self, options: &Options) {
        for round in 0..=options.rounds {
            eprint!("\rround {round} of {} ", options.rounds);
            for entry in &mut self.entries {
                let corpus = &self.corpora[entry.corpus];
                let seconds = run(&mut *entry.contender, corpus);
                // The first one warms up.
                if round > 0 {
                    entry.seconds.push(seconds);
                }
            }
        }
        eprintln!();
    }
}

/// Cleans the whole corpus once.
fn run(contender: &mut dyn Contender, corpus: &Corpus) -> f64 {
    let batches = corpus.batches();
    let start = clock();
    for batch in batches {
        let first = batch.start;
        contender.clean(corpus, batch);
        black_box(contender.output(corpus, first));
    }
    clock() - start
}

/// Seconds of CPU that this thread has had.
#[cfg(unix)]
fn clock() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Seconds since the start, where there is no such clock.
#[cfg(not(unix))]
fn clock() -> f64 {
    static START: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed().as_secs_f64()
}

impl Answers {
    fn twin(&self) -> Option<TreeEditor> {
        match self {
            Self::Same => None,
            Self::Twin(rules) | Self::TwinWithKeys(rules, _) => {
                Some(TreeEditor::new(rules.clone()))
            }
        }
    }

    fn compare(
        &self,
        twin: &mut Option<TreeEditor>,
        corpus: &Corpus,
        record: usize,
        output: &[u8],
        name: &str,
    ) {
        let Some(twin) = twin else {
            assert!(output == corpus.record(record), "{name}: record {record} has changed");
            return;
        };
        if let Self::TwinWithKeys(_, keys) = self {
            twin.set_keys(&keys[record]);
        }
        let mut want: serde_json::Value =
            serde_json::from_slice(corpus.record(record)).expect("JSON");
        twin.edit(&mut want);
        let got: serde_json::Value = serde_json::from_slice(output).expect("the answer is JSON");
        assert!(got == want, "{name}: record {record}:\n got {got}\nwant {want}");
    }
}

fn rules_of(policy: &str) -> Rules {
    let yaml = rules::text(policy);
    Rules::read(yaml, &rules::plan(yaml, &rules::keyring()))
}

type MakeGroup = fn(&Options) -> Group;

/// The tables, by name.
fn groups() -> [(&'static str, MakeGroup); 3] {
    [("web", web), ("audit", audit), ("bulk", bulk)]
}

fn web(options: &Options) -> Group {
    let mut group = events(Corpus::web(options.corpus_bytes), "web", options);
    let scanner = Scanner::detect();
    group.limpid("limpid, 200 rules", 0, "web-200", scanner);
    let yaml = rules::text("web");
    // Ten thousand different policies are compiled for the long run only.
    let tenants = [(true, "alike"), (false, "different")];
    for (alike, name) in tenants.into_iter().take(if options.quick { 1 } else { 2 }) {
        let (limpid, keys) = Limpid::tenants(yaml, TENANTS, alike, group.corpora[0].len());
        let answers = Answers::TwinWithKeys(rules_of("web"), keys);
        group.add(format!("limpid, 10,000 tenants, {name}"), 0, limpid, answers);
    }
    group.limpid("limpid, every value hashed", 0, "worst", scanner);
    group
}

fn audit(options: &Options) -> Group {
    events(Corpus::audit(options.corpus_bytes), "audit", options)
}

/// Everybody over one kind of events.
fn events(corpus: Corpus, policy: &str, options: &Options) -> Group {
    let mut group = Group::new(vec![corpus]);
    let twin = || Answers::Twin(rules_of(policy));
    group.add("memcpy", 0, Memcpy::default(), Answers::Same);
    group.limpid("limpid", 0, policy, Scanner::detect());
    if options.all_scanners {
        for scanner in Scanner::all().filter(|scanner| *scanner != Scanner::detect()) {
            group.limpid(format!("limpid, {}", scanner.name()), 0, policy, scanner);
        }
    }
    group.limpid("limpid, empty policy", 0, "empty", Scanner::detect());
    group.add("simd-json tape + splice", 0, TapeSplice::new(rules_of(policy)), twin());
    group.add("simd-json tree", 0, SimdJson::new(rules_of(policy)), twin());
    group.add("serde_json tree", 0, SerdeJson::new(rules_of(policy)), twin());
    group
}

/// Records of growing size: the cost of a byte must stay.
fn bulk(options: &Options) -> Group {
    let sizes = [("1 kB", 0), ("64 kB", 64 << 10), ("1 MB", 1 << 20)];
    let corpora = sizes.map(|(name, bytes)| Corpus::bulk(name, bytes, options.corpus_bytes));
    let mut group = Group::new(corpora.into());
    for (corpus, (size, _)) in sizes.into_iter().enumerate() {
        group.add(format!("memcpy, {size}"), corpus, Memcpy::default(), Answers::Same);
        group.limpid(format!("limpid, {size}"), corpus, "bulk", Scanner::detect());
    }
    group
}

/// Writes the corpora as lines.
fn write_corpora(folder: &str, options: &Options) {
    std::fs::create_dir_all(folder).expect("the folder can be made");
    for corpus in [Corpus::web(options.corpus_bytes), Corpus::audit(options.corpus_bytes)] {
        let path = format!("{folder}/{}.ndjson", corpus.name);
        let lines: Vec<&[u8]> = corpus.records().collect();
        std::fs::write(&path, [&lines.join(&b'\n')[..], b"\n"].concat())
            .expect("it can be written");
        println!("{path}: {} records, {} bytes", corpus.len(), corpus.bytes());
    }
}

/// limpid alone over a file of lines, as the peers do it: one line of JSON on stdout.
fn over(file: &str, options: &Options) {
    let corpus = Corpus::read(&options.policy, file).expect("the file can be read");
    let mut limpid = Limpid::new(rules::text(&options.policy), Scanner::detect());
    if let Some(path) = &options.out {
        let mut lines = Vec::new();
        for batch in corpus.batches() {
            limpid.clean(&corpus, batch.clone());
            for record in batch {
                lines.extend_from_slice(limpid.output(&corpus, record));
                lines.push(b'\n');
            }
        }
        std::fs::write(path, lines).expect("it can be written");
        return;
    }
    let seconds: Vec<f64> = (0..options.rounds).map(|_| run(&mut limpid, &corpus)).collect();
    let figures = serde_json::json!({
        "peer": "limpid", "corpus": corpus.name, "bytes": corpus.bytes(),
        "records": corpus.len(), "seconds": seconds,
    });
    println!("{figures}");
}
