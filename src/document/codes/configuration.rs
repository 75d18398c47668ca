//! The codes of the configuration.

use super::Code;

/// Faults of a configuration.
pub(super) static CODES: &[Code] = &[];
