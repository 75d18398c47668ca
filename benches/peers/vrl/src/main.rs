//! Vector's remap language over a file of JSON lines: parse, run the program, encode. One thread.
//!
//! ```text
//! peer-vrl web|audit FILE ROUNDS        one line of figures on stdout
//! peer-vrl web|audit FILE out OUTPUT    the clean lines
//! peer-vrl corners FILE each            what becomes of each line, or the error
//! ```
//! As in Vector, an event is parsed by `serde_json` to VRL's value, the program edits it, and
//! `serde_json` writes it; runtime, program and output buffer are reused, the allocator is Vector's.

use std::hint::black_box;
use vrl::compiler::runtime::Runtime;
use vrl::compiler::{Program, TargetValue, TimeZone, compile};
use vrl::value::{Secrets, Value};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [corpus, file, what, rest @ ..] = &args[..] else {
        panic!("peer-vrl web|audit FILE ROUNDS | out OUTPUT");
    };
    let program = format!("{}/{corpus}.vrl", env!("CARGO_MANIFEST_DIR"));
    let program = std::fs::read_to_string(program).expect("a program for web or audit");
    let mut peer = Peer::new(&program);
    let text = std::fs::read(file).expect("the corpus can be read");
    let lines: Vec<&[u8]> =
        text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    if let ("out", [path]) = (what.as_str(), rest) {
        let mut out = Vec::new();
        for line in &lines {
            peer.clean(line, &mut out);
            out.push(b'\n');
        }
        return std::fs::write(path, out).expect("it can be written");
    }
    if what == "each" {
        for (line, number) in lines.iter().zip(1..) {
            let mut out = Vec::new();
            let said = match peer.tried(line, &mut out) {
                Ok(()) => String::from_utf8_lossy(&out).into_owned(),
                Err(error) => format!("error: {error}"),
            };
            println!("{number}: {}", said.replace('\n', " "));
        }
        return;
    }
    let bytes: usize = lines.iter().map(|line| line.len()).sum();
    let rounds: usize = what.parse().expect("a number of rounds");
    let seconds: Vec<String> = (0..rounds).map(|_| peer.time(&lines).to_string()).collect();
    let (records, seconds) = (lines.len(), seconds.join(","));
    println!(
        r#"{{"peer":"vrl","corpus":"{corpus}","bytes":{bytes},"records":{records},"seconds":[{seconds}]}}"#
    );
}

struct Peer {
    program: Program,
    runtime: Runtime,
    timezone: TimeZone,
}

impl Peer {
    fn new(source: &str) -> Self {
        let compiled = compile(source, &vrl::stdlib::all()).unwrap_or_else(|faults| {
            panic!("{}", vrl::diagnostic::Formatter::new(source, faults))
        });
        let runtime = Runtime::default();
        Self { program: compiled.program, runtime, timezone: TimeZone::default() }
    }

    fn clean(&mut self, line: &[u8], out: &mut Vec<u8>) {
        self.tried(line, out).expect("the program runs through");
    }

    fn tried(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
        let value: Value = serde_json::from_slice(line)?;
        let metadata = Value::Object(Default::default());
        let mut target = TargetValue { value, metadata, secrets: Secrets::default() };
        self.runtime.clear();
        self.runtime.resolve(&mut target, &self.program, &self.timezone)?;
        Ok(serde_json::to_writer(out, &target.value)?)
    }

    /// Seconds of CPU for all lines; the output is emptied every 512, as limpid's is.
    fn time(&mut self, lines: &[&[u8]]) -> f64 {
        let mut out = Vec::new();
        let start = clock();
        for batch in lines.chunks(512) {
            out.clear();
            batch.iter().for_each(|line| self.clean(line, &mut out));
            black_box(&out);
        }
        clock() - start
    }
}

/// Seconds of CPU that this process has had.
fn clock() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}
