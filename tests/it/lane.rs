//! The lane and its loop without transactions: at-least-once delivery must hold whatever happens,
//! and a lane that commits too early must be caught.

use crate::schedule::{Flaw, Flawed, Schedule, Stage, seeds};
use limpid::lane::Delivery::AtLeastOnce;
use limpid::memory::Fault;

#[test]
fn whatever_happens_nothing_is_lost_or_committed_too_early() {
    seeds(10_000, |stage, seed| Schedule::stormy(seed, AtLeastOnce).run(stage, |member| member));
}

#[test]
fn a_lane_that_commits_before_delivery_is_caught() {
    let stage = Stage::new();
    let run = |seed: &u64| {
        let hasty = |member| Flawed::new(member, Flaw::DeliversEarly);
        Schedule::stormy(*seed, AtLeastOnce).run(&stage, hasty).is_err()
    };
    assert!((0..200).filter(run).count() > 0, "the judgement let every hasty lane pass");
}

/// Every fault at each call of a small workload in turn.
#[test]
fn anything_may_happen_at_any_call() {
    let stage = Stage::new();
    let mut calls = 1;
    for call in 1.. {
        for fault in Fault::ALL {
            let mut schedule = Schedule::calm(7, AtLeastOnce, 8).faults(&[(call, fault)]);
            let outcome = schedule.run(&stage, |member| member);
            outcome.unwrap_or_else(|what| panic!("{fault:?} at call {call}: {what}"));
            calls = schedule.cluster.calls();
        }
        if calls < call {
            break;
        }
    }
    assert!(calls > 30, "the workload makes only {calls} calls");
}
