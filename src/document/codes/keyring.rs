//! The codes of the keyring.

use super::Code;

/// Faults of a keyring.
pub(super) static CODES: &[Code] = &[
    Code {
        code: "K001",
        title: "a name that no secret can have",
        explanation: "Policies name the secret under `key:`. Letters, digits, `.`, `-` and `_` \
            read the same everywhere.",
        wrong: "acme secret: {secret: 8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d}\n",
        right: "acme: {secret: 8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d}\n",
    },
    Code {
        code: "K002",
        title: "not 32 bytes in hex or base64",
        explanation: "A secret is 32 bytes, as 64 hex digits or in base64. `limpid keys new NAME` \
            makes one.",
        wrong: "acme: {secret: 8f14e45fceea167a}\n",
        right: "acme: {secret: 8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d}\n",
    },
    Code {
        code: "K003",
        title: "a weak secret",
        explanation: "Whoever guesses the secret can try all mail addresses until the pseudonym \
            fits. Repeated bytes, counting bytes and typed text do not come from a random source.",
        wrong: "acme: {secret: \"0000000000000000000000000000000000000000000000000000000000000000\"}\n",
        right: "acme: {secret: 8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d}\n",
    },
    Code {
        code: "K004",
        title: "a secret that two names share",
        explanation: "Two names promise two secrets: when one leaks, the other must hold.",
        wrong: "acme: {secret: 8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d}\n\
            beta: {secret: 8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d}\n",
        right: "acme: {secret: 8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d}\n\
            beta: {secret: 1679091c5a880faf6fb5e6087eb1b2dc45c48cce2e2d7fbdea1afc51c7c6ad26}\n",
    },
    Code {
        code: "K005",
        title: "`created` is no date",
        explanation: "It says when the secret was made, for people: year, month, day.",
        wrong: "acme: {secret: 8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d, created: today}\n",
        right: "acme: {secret: 8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d, created: 2026-11-24}\n",
    },
    Code {
        code: "K006",
        title: "a keyring that cannot be read",
        explanation: "It is not where the configuration says, others than its owner can reach it, \
            or the command that gives it failed.",
        wrong: "",
        right: "",
    },
    Code {
        code: "K007",
        title: "a name without a secret",
        explanation: "A policy that names it could make no pseudonym. `limpid keys new NAME` makes a \
            secret.",
        wrong: "acme: []\n",
        right: "acme: [{secret: 8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d}]\n",
    },
    Code {
        code: "K008",
        title: "secrets whose times leave a doubt",
        explanation: "Each secret of a name is used for records from its `from` on, up to the next \
            one's: a date (midnight UTC) or a time with its zone. Only the first may leave it out, \
            and each is later than the one before.",
        wrong: "acme:\n  - {secret: 8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d}\n  - {secret: 1679091c5a880faf6fb5e6087eb1b2dc45c48cce2e2d7fbdea1afc51c7c6ad26}\n",
        right: "acme:\n  - {secret: 8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d}\n  - {secret: 1679091c5a880faf6fb5e6087eb1b2dc45c48cce2e2d7fbdea1afc51c7c6ad26, from: 2026-12-01}\n",
    },
    Code {
        code: "K009",
        title: "a destroyed secret that is still there",
        explanation: "`destroyed` says that the secret is gone for ever. `limpid keys destroy` takes \
            it out and writes the date.",
        wrong: "acme: {secret: 8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d, destroyed: 2027-01-01}\n",
        right: "acme: {destroyed: 2027-01-01}\n",
    },
];
