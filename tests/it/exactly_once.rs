//! Exactly once: every fault at every call of a workload, and at every pair of calls; random
//! schedules of several lanes that join, leave, stand still and die; and lanes that are wrong on
//! purpose, each of which must be caught. What is judged, always by [`Schedule`]: every record that
//! was produced is seen once by a reader of committed records, in order, in the clear or sealed as
//! it should be.

use crate::schedule::{Flaw, Flawed, Schedule, Stage, seeds};
use limpid::lane::Delivery::ExactlyOnce;
use limpid::memory::Fault;
use std::sync::atomic::{AtomicU64, Ordering};

/// Random schedules: many where a change is judged, few where someone waits for them; as many as
/// `LIMPID_SCHEDULES` says.
fn schedules() -> u64 {
    let asked = std::env::var("LIMPID_SCHEDULES").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(if in_ci() { 100_000 } else { 5_000 })
}

fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|ci| ci == "true")
}

#[test]
fn whatever_happens_every_record_arrives_exactly_once() {
    seeds(schedules(), |stage, seed| {
        Schedule::stormy(seed, ExactlyOnce).run(stage, |member| member)
    });
}

/// Calls that the sweep's workload makes when nothing goes wrong.
fn calls() -> u64 {
    let mut schedule = Schedule::calm(SWEPT, ExactlyOnce, RECORDS);
    schedule.run(&Stage::new(), |member| member).unwrap();
    schedule.cluster.calls()
}

const SWEPT: u64 = 7;
const RECORDS: usize = 3;

fn sweep(stage: &Stage, faults: &[(u64, Fault)]) -> Result<(), String> {
    let mut schedule = Schedule::calm(SWEPT, ExactlyOnce, RECORDS).faults(faults);
    schedule.run(stage, |member| member).map_err(|what| format!("{faults:?}: {what}"))
}

#[test]
fn any_fault_may_happen_at_any_call() {
    let (stage, calls) = (Stage::new(), calls());
    assert!(calls > 50, "the workload makes only {calls} calls");
    // A fault makes for more calls: those that mend it.
    for call in 1..calls * 2 {
        for fault in Fault::ALL {
            sweep(&stage, &[(call, fault)]).unwrap_or_else(|what| panic!("{what}"));
        }
    }
}

#[test]
fn any_two_faults_may_happen_at_any_two_calls() {
    let (calls, runs) = (calls(), AtomicU64::new(0));
    // Every pair where a change is judged.
    let stride = if in_ci() { 1 } else { 7 };
    seeds(calls * Fault::ALL.len() as u64, |stage, seed| {
        let first = (1 + seed / 4, Fault::ALL[(seed % 4) as usize]);
        for second in (first.0 + 1..=calls + calls / 2).step_by(stride) {
            for fault in Fault::ALL {
                sweep(stage, &[first, (second, fault)])?;
                runs.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    });
    println!("{} pairs of faults over {calls} calls", runs.into_inner());
}

/// That the judgement can fail, for each way to be wrong.
#[test]
fn every_wrong_order_is_caught() {
    let stage = Stage::new();
    for flaw in [
        Flaw::CommitsAhead,
        Flaw::CommitsLate,
        Flaw::ForgetsToGoBack,
        Flaw::TrustsItself,
        Flaw::KeepsItsEpoch,
        Flaw::StaysPaused,
        Flaw::YieldsOpen,
        Flaw::CommitsWithout,
        Flaw::HidesItsFalls,
    ] {
        let run = |seed: &u64| {
            let flawed = |member| Flawed::new(member, flaw);
            Schedule::stormy(*seed, ExactlyOnce).run(&stage, flawed).is_err()
        };
        let caught = (0..2_000).filter(run).take(1).count();
        assert!(caught > 0, "{flaw:?} is not caught");
    }
}
