//! The table of benches/peers/run.sh, from its raw figures: one JSON object a line, one line a turn.

use crate::report::median;
use serde_json::Value;
use std::collections::BTreeMap;

/// limpid is to be so many times as fast as VRL.
const BESIDE_VRL: f64 = 25.0;

/// Prints each peer's middle speed, and how often limpid's it goes into limpid's of the same turn.
pub fn print(path: &str) {
    let text = std::fs::read_to_string(path).expect("the file can be read");
    let mut corpora: BTreeMap<String, BTreeMap<String, Vec<f64>>> = BTreeMap::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).expect("a line of figures");
        let word = |name: &str| line[name].as_str().expect("a word").to_owned();
        let seconds: Vec<f64> =
            line["seconds"].as_array().expect("a list").iter().filter_map(Value::as_f64).collect();
        let speed = line["bytes"].as_f64().expect("a number") / median(&seconds) / 1e6;
        corpora.entry(word("corpus")).or_default().entry(word("peer")).or_default().push(speed);
    }
    for (corpus, peers) in &corpora {
        println!(
            "\n{corpus:12} {:>9} {:>19} {:>17}",
            "MB/s", "(least – most)", "limpid is x times"
        );
        let limpid = &peers["limpid"];
        for (peer, speeds) in peers {
            let times: Vec<f64> = limpid.iter().zip(speeds).map(|(ours, it)| ours / it).collect();
            let (least, most) =
                speeds.iter().fold((f64::MAX, 0.0f64), |(a, b), it| (a.min(*it), b.max(*it)));
            let target =
                if peer == "vrl" { format!("  (target {BESIDE_VRL})") } else { String::new() };
            println!(
                "{peer:12} {:>9.1} {:>19} {:>17.1}{target}",
                median(speeds),
                format!("({least:.1} – {most:.1})"),
                median(&times),
            );
        }
    }
}
