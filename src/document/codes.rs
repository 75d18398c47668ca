//! Every fault's code, in one place: its title, what it means, a wrong and a right example.
//!
//! Codes are printed, searched for and linked to, so they are never reused and never renumbered:
//! a new fault takes the next free number of its family. `C` configuration, `K` keyring, `P`
//! policy, `Y` the shape of any of these files. The reference in docs/generated is made from here,
//! and a test runs the examples.

mod configuration;
mod keyring;

/// One code.
#[derive(Debug, Clone, Copy)]
pub struct Code {
    /// The code.
    pub code: &'static str,
    /// Three to eight words.
    pub title: &'static str,
    /// Why it is refused and what to do, a sentence or three.
    pub explanation: &'static str,
    /// A file that has this fault; empty where it takes more than a file.
    pub wrong: &'static str,
    /// The same, mended.
    pub right: &'static str,
}

/// The entry of a code.
#[must_use]
pub fn find(code: &str) -> Option<&'static Code> {
    ALL.iter().copied().flatten().find(|entry| entry.code == code)
}

/// Every code, family by family.
pub static ALL: [&[Code]; 4] = [configuration::CODES, keyring::CODES, POLICY, YAML];

/// Policies.
static POLICY: &[Code] = &[];

/// The shape of any file.
static YAML: &[Code] = &[
    Code {
        code: "Y001",
        title: "not valid YAML",
        explanation: "The file cannot be read. Most often a path with `*` or `[` lacks its quotes, \
            a quote or bracket is not closed, or the indentation is uneven.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: [**.ssn], do: drop}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: [\"**.ssn\"], do: drop}\n",
    },
    Code {
        code: "Y002",
        title: "a key is given twice",
        explanation: "Readers would disagree about which one counts, so neither does.",
        wrong: "tenant: acme\nversion: 1\nversion: 2\nrules: []\n",
        right: "tenant: acme\nversion: 2\nrules: []\n",
    },
    Code {
        code: "Y003",
        title: "anchors and references are not accepted",
        explanation: "`&name` and `*name` make a line mean what another line says; a reviewer \
            should see what a file says where it says it.",
        wrong: "tenant: &t acme\nversion: 1\nrules: []\n",
        right: "tenant: acme\nversion: 1\nrules: []\n",
    },
    Code {
        code: "Y004",
        title: "tags are not accepted",
        explanation: "What kind of value is wanted follows from the key; a tag can only contradict it.",
        wrong: "tenant: !!str acme\nversion: 1\nrules: []\n",
        right: "tenant: acme\nversion: 1\nrules: []\n",
    },
    Code {
        code: "Y005",
        title: "merge keys are not accepted",
        explanation: "`<<` is no part of YAML 1.2. Write the keys out.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: a, <<: {do: drop}}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: a, do: drop}\n",
    },
    Code {
        code: "Y006",
        title: "more than one document",
        explanation: "One file holds one document: whatever follows a second `---` would be easy to miss.",
        wrong: "tenant: acme\nversion: 1\nrules: []\n---\ntenant: beta\nversion: 1\nrules: []\n",
        right: "tenant: acme\nversion: 1\nrules: []\n",
    },
    Code {
        code: "Y007",
        title: "nested too deeply",
        explanation: "Nesting is bounded so that reading a file takes bounded memory.",
        wrong: "",
        right: "",
    },
    Code {
        code: "Y008",
        title: "a key that is no text",
        explanation: "YAML allows lists as keys; limpid's files have no use for them.",
        wrong: "tenant: acme\nversion: 1\nrules: []\n[a, b]: 1\n",
        right: "tenant: acme\nversion: 1\nrules: []\n",
    },
    Code {
        code: "Y009",
        title: "an empty file",
        explanation: "A file with nothing in it is more likely a mistake than a wish.",
        wrong: "# to be written\n",
        right: "tenant: acme\nversion: 1\nrules: []\n",
    },
    Code {
        code: "Y010",
        title: "an unknown key",
        explanation: "A key that limpid does not know is refused, never passed by: a misspelt \
            setting must not look as if it were in force.",
        wrong: "tenant: acme\nversion: 1\nrules: []\nunlistd: drop\n",
        right: "tenant: acme\nversion: 1\nrules: []\nunlisted: drop\n",
    },
    Code {
        code: "Y011",
        title: "a key is missing",
        explanation: "This key has no default: it must be written.",
        wrong: "version: 1\nrules: []\n",
        right: "tenant: acme\nversion: 1\nrules: []\n",
    },
    Code {
        code: "Y012",
        title: "a value of the wrong kind",
        explanation: "Text, a number, a list or keys were wanted and something else was found. A \
            number that is meant as text needs quotes.",
        wrong: "tenant: 42\nversion: 1\nrules: []\n",
        right: "tenant: \"42\"\nversion: 1\nrules: []\n",
    },
    Code {
        code: "Y013",
        title: "a number out of bounds",
        explanation: "The message says which numbers are accepted.",
        wrong: "tenant: acme\nversion: -1\nrules: []\n",
        right: "tenant: acme\nversion: 1\nrules: []\n",
    },
    Code {
        code: "Y014",
        title: "not a duration or not a size",
        explanation: "Durations are a whole number and `ms`, `s`, `m`, `h` or `d`; sizes a whole \
            number and `B`, `KiB`, `MiB` or `GiB` (or `kB`, `MB`, `GB`). No space in between.",
        wrong: "tenant: acme\nversion: 1\nkey: acme\nepoch: 30 days\nrules: []\n",
        right: "tenant: acme\nversion: 1\nkey: acme\nepoch: 30d\nrules: []\n",
    },
    Code {
        code: "Y015",
        title: "not one of the accepted words",
        explanation: "The message lists the words that are accepted here.",
        wrong: "tenant: acme\nversion: 1\nunlisted: remove\nrules: []\n",
        right: "tenant: acme\nversion: 1\nunlisted: drop\nrules: []\n",
    },
];
