//! YAML documents with places, and the faults found in them.

mod fault;

pub use fault::{Fault, Faults, Source, Span};
