//! limpid reads raw log and event topics on Kafka, anonymizes every record as its tenant's policy
//! says, and republishes it to clean topics. What cannot be made clean is never published: it is
//! sealed and quarantined.
//!
//! It is a service and a command, not a framework: this library exists so that `main.rs`, the
//! tests, the benchmarks and the fuzz targets can reach the parts. Its API is promised to nobody;
//! the file formats, metrics and pseudonyms are (see docs/).
//!
//! # The way of a record
//!
//! ```text
//! fetch batch → tenant → plan → kernel (scan, walk, transform, splice) → produce → commit
//! ```
//!
//! [`kafka`] fetches a batch and lends it out as [`record::Record`]s. The [`engine`] finds each
//! record's tenant and its plan (a [`policy`], compiled), walks the value ([`mod@format`], on the
//! offsets that [`scan`] found) and applies a [`transform`] where a rule says so; pseudonyms come
//! from [`keys`]. Out comes an [`engine::Clean`], or a reason to withhold, and then [`quarantine`]
//! makes it a [`quarantine::Sealed`]. A broker takes nothing else: a leak should not compile. The
//! [`lane`] decides what is fetched, delivered and committed when; [`run`] does what it says.
//!
//! # The modules
//!
//! They stand in the order of imports: a module knows those above it and none below. A test
//! (tests/it/tidy.rs) reads the order from here and holds them to it. ARCHITECTURE.md says more.

// The words of everything below.
pub mod record;
pub mod error;
pub mod limits;
pub mod clock;
pub mod document;

// The pure middle: bytes and policies in, clean bytes out. No I/O, no clock.
pub mod scan;
pub mod hash;
pub mod format;
pub mod keys;
pub mod transform;
pub mod policy;
pub mod engine;
pub mod quarantine;

// Records from and to Kafka.
pub mod lane;
pub mod config;
pub mod kafka;
pub mod memory;

// The service and what it tells.
pub mod telemetry;
pub mod reload;
pub mod admin;
pub mod run;

// The commands.
pub mod operations;
pub mod filter;
pub mod replay;
pub mod explain;
pub mod compare;
pub mod cases;
pub mod demo;
pub mod cli;
