//! Why a record is withheld, and what becomes of a failure.
//!
//! Two families, kept apart on purpose. A [`Reason`] is the fate of one record: it goes to the
//! quarantine and the lane goes on. An [`Error`] is about the machine around the records and
//! carries its own [`Fate`]; loops match on the fate alone. Neither ever holds a byte of a record.

use std::fmt;

/// Why a record could not be made clean. The names are part of the quarantine format and of the
/// metrics: they are never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Reason {
    /// The value is not valid in the route's format.
    Malformed,
    /// Deeper or larger than the limits, or larger than the clean topic takes.
    Limits,
    /// No tenant, or no policy for it.
    Tenant,
    /// A rule with `mismatch: quarantine` met a value of another kind.
    Mismatch,
    /// The secret of the record's time is destroyed, or was never made.
    Key,
    /// A bug in limpid: the kernel panicked on this record.
    Internal,
}

impl Reason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Malformed, Self::Limits, Self::Tenant, Self::Mismatch, Self::Key, Self::Internal];

    /// The reason's name in headers, metrics and summaries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Limits => "limits",
            Self::Tenant => "tenant",
            Self::Mismatch => "mismatch",
            Self::Key => "key",
            Self::Internal => "internal",
        }
    }

    /// The reason of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a loop does about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It may pass: wait and try again, with back-pressure.
    Retry,
    /// It will not pass: stop, say why, exit with code 1.
    Fatal,
    /// The user's configuration or policy is at fault: exit with code 2.
    Usage,
}

/// A failure of the machine around the records: broker, file, configuration. Its text is made of
/// limpid's own words and of what operators wrote (paths, topic names, setting names); never of a
/// record.
#[derive(Debug)]
pub struct Error {
    fate: Fate,
    message: String,
}

/// Result of anything that is not about one record.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error that may pass.
    pub fn retry(message: impl Into<String>) -> Self {
        Self { fate: Fate::Retry, message: message.into() }
    }

    /// An error that will not pass.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self { fate: Fate::Fatal, message: message.into() }
    }

    /// An error in what the user asked for or wrote.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { fate: Fate::Usage, message: message.into() }
    }

    /// What a loop should do about it.
    #[must_use]
    pub const fn fate(&self) -> Fate {
        self.fate
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
