//! Faults: what is wrong in a file that a person wrote, where, and what to write instead.

use std::sync::Arc;

/// A file's name and text.
#[derive(Debug)]
pub struct Source {
    /// The path as the user gave it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Byte offsets into a source's text, end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Stable code such as `P014`; codes are never reused.
    pub code: &'static str,
    /// The file.
    pub source: Arc<Source>,
    /// The place.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// All that is wrong, collected.
#[derive(Debug, Default)]
pub struct Faults(pub Vec<Fault>);
