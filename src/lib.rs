//! limpid: a high-throughput, fail-closed anonymizer for log and event streams on Kafka.

pub mod admin;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod document;
pub mod engine;
pub mod error;
pub mod filter;
pub mod format;
pub mod kafka;
pub mod keys;
pub mod lane;
pub mod limits;
pub mod memory;
pub mod policy;
pub mod quarantine;
pub mod record;
pub mod run;
pub mod scan;
pub mod telemetry;
pub mod transform;
