//! Transforms: what a rule does to a scalar. One file each: its name, parameters, documentation,
//! executed examples, the hot function and its tests. [`TABLE`] is the source of the reference
//! docs, the hints and the example tests. Knows keys; never policies, never the walk.

mod address;
mod bucket;
mod canonical;
mod date;
mod decimal;
mod drop;
mod email;
mod encrypt_digits;
mod encrypt_ip;
mod geo;
mod keep;
mod mask;
mod pseudonymize;
mod recent;
mod redact;
mod rename;
mod round;
mod set;
mod strip_query;
mod tokenize;
mod truncate_ip;
mod url;
mod user_agent;

pub use date::Subject;
pub use pseudonymize::{HASH_CHARS, spell_hash};
pub use recent::Recent;
pub use redact::{REDACTED, Redact};

use crate::format::paths::{Keeps, OnContainer};
use crate::format::{Container, Out, Scalar};
use crate::hash::Waiting;
use crate::keys::{EpochKeys, Purpose};

/// What a transform did to a value. On anything but `Replaced`, what it wrote is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The value may stay, byte for byte.
    Unchanged,
    /// The replacement stands in the output.
    Replaced,
    /// The member, element, key or header goes.
    Dropped,
    /// The value is of another kind: the rule's `mismatch` decides.
    Mismatch,
}

/// What one transform needs beside the value.
#[derive(Default)]
pub struct Context<'a> {
    /// Where values may wait to be hashed together; `None`: each is hashed at once.
    pub waiting: Option<&'a mut Waiting>,
    /// The keys of the record's epoch, where the policy has a `key`.
    pub keys: Option<&'a EpochKeys>,
    /// Whose values they are.
    pub place: Place<'a>,
    /// By the number of a field: whom it names.
    pub subjects: &'a [Subject],
    /// Addresses encrypted before; `None`: each is encrypted anew.
    pub recent: Option<&'a mut Recent>,
    /// How many values of this record were drawn from its place.
    pub drawn: u32,
}

impl Context<'_> {
    /// Gives `draw` the keys, and bytes that no other value has: topic with its length, partition,
    /// offset, and how many in this record were drawn before.
    fn drawing<T>(&mut self, draw: impl FnOnce(&EpochKeys, &[&[u8]]) -> Option<T>) -> Option<T> {
        let Place { topic, partition, offset, .. } = self.place;
        let length = u32::try_from(topic.len()).unwrap_or(u32::MAX).to_le_bytes();
        let (partition, offset) = (partition.to_le_bytes(), offset.to_le_bytes());
        let drawn = self.drawn.to_le_bytes();
        self.drawn += 1;
        draw(self.keys?, &[&length, topic.as_bytes(), &partition, &offset, &drawn])
    }
}

/// Which record it is. What is made of it is the same when the record is read again.
#[derive(Clone, Copy, Default)]
pub struct Place<'a> {
    /// Source topic.
    pub topic: &'a str,
    /// Source partition.
    pub partition: i32,
    /// Offset in the source partition.
    pub offset: i64,
    /// The record's key.
    pub key: Option<&'a [u8]>,
}

/// What kind of value a parameter takes in a policy.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A whole number between the bounds, with its default; `None`: required.
    Int {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
        /// What it is where the rule does not say; `None`: the rule must.
        default: Option<i64>,
    },
    /// Text of at most so many bytes.
    Text {
        /// Longest, in bytes of UTF-8.
        bytes_max: usize,
        /// What it is where the rule does not say.
        default: &'static str,
    },
    /// A list of names; empty by default.
    Names,
    /// One of some words.
    Word {
        /// The words.
        of: &'static [&'static str],
        /// What it is where the rule does not say.
        default: &'static str,
    },
    /// `true` or `false`; `false` by default.
    Flag,
    /// A list of whole numbers between the bounds; empty by default.
    Ints {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// Text, a number, `true`, `false` or `null`; required.
    Constant,
    /// A path to one field of the record, which is read before anything is edited; by default its key.
    Field,
}

/// One parameter of a transform.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its key in the rule.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// One line for the docs and the hints.
    pub doc: &'static str,
}

/// A parameter's checked value: always one for each of the transform's [`Param`]s, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arg {
    /// For [`Kind::Int`].
    Int(i64),
    /// For [`Kind::Text`].
    Text(String),
    /// For [`Kind::Names`].
    Names(Vec<String>),
    /// For [`Kind::Word`].
    Word(&'static str),
    /// For [`Kind::Flag`].
    Flag(bool),
    /// For [`Kind::Ints`].
    Ints(Vec<i64>),
    /// For [`Kind::Constant`].
    Constant(Constant),
    /// For [`Kind::Field`]: its number among those that are read; `None`: the record's key.
    Field(Option<u16>),
}

/// A JSON scalar that a policy writes out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Constant {
    /// A string's characters.
    Text(Box<str>),
    /// A number's spelling, `true`, `false` or `null`.
    Bare(Box<str>),
}

/// An executed example: a rule's parameters (YAML flow style, may be empty), the value before and
/// after (JSON; an `after` of "" means dropped, one that is a member has another name than `x`, `…` stands
/// for any text).
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// Parameters beside `fields` and `do`, such as `v4: 16`.
    pub params: &'static str,
    /// The value of the field `x` before.
    pub before: &'static str,
    /// And after.
    pub after: &'static str,
}

/// How much of a value its replacement still tells, least first. The reference docs say it of each
/// transform, and `limpid diff` orders policies by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shows {
    /// Nothing: the value goes, or a constant stands there.
    Nothing,
    /// Whether two values are the same; not which.
    Sameness,
    /// As [`Shows::Sameness`] or less to those without the key, and the value to those with it.
    AllWithKey,
    /// A part of it: its beginning, its range, its rough place.
    Part,
    /// All of it.
    All,
}

impl Shows {
    /// Is a key needed for what the replacement is?
    #[must_use]
    pub const fn needs_key(self) -> bool {
        matches!(self, Self::Sameness | Self::AllWithKey)
    }

    /// What is said of it in the docs.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Sameness => "sameness only",
            Self::AllWithKey => "all, to who has the key",
            Self::Part => "a part",
            Self::All => "all",
        }
    }
}

/// A transform's entry in the table.
pub struct Spec {
    /// The word after `do:`.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// What it does to every kind of value, Markdown.
    pub doc: &'static str,
    /// Its parameters.
    pub params: &'static [Param],
    /// Executed examples.
    pub examples: &'static [Example],
    /// Does it need the policy's `key`?
    pub needs_key: bool,
    /// Does it take an array or object whole?
    pub whole: bool,
    /// What it lets the replacement still tell of a value that it works on.
    pub shows: Shows,
    /// Makes the transform from checked arguments; the error says what is wrong with them
    /// together (each alone has been checked).
    pub build: fn(&[Arg]) -> Result<Transform, String>,
}

impl Spec {
    /// What a rule with this transform does with an array or object. Whatever has a container whole
    /// and is not `keep` leaves nothing of what is in it.
    #[must_use]
    pub fn on_container(&self) -> OnContainer {
        match self.whole {
            _ if self.name == rename::SPEC.name => OnContainer::Rename,
            true if self.name == keep::SPEC.name => OnContainer::Leave,
            true => OnContainer::Take,
            false => OnContainer::EachScalar,
        }
    }

    /// Can it be done to the names of members (`rename_keys`)? Not what takes its values whole: of an
    /// object whose members all have one name, readers keep one.
    #[must_use]
    pub fn on_names(&self) -> bool {
        matches!(self.on_container(), OnContainer::EachScalar | OnContainer::Leave)
    }
}

/// A transform with its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Transform {
    /// See `keep.rs`.
    Keep,
    /// See `drop.rs`.
    Drop,
    /// See `redact.rs`.
    Redact(Redact),
    /// See `set.rs`.
    Set(set::Set),
    /// See `rename.rs`.
    Rename(Box<str>),
    /// See `mask.rs`.
    Mask(mask::Mask),
    /// See `truncate_ip.rs`.
    TruncateIp(truncate_ip::TruncateIp),
    /// See `pseudonymize.rs`.
    Pseudonymize(pseudonymize::Pseudonymize),
    /// See `encrypt_ip.rs`.
    EncryptIp(encrypt_ip::EncryptIp),
    /// See `encrypt_digits.rs`.
    EncryptDigits(encrypt_digits::EncryptDigits),
    /// See `tokenize.rs`.
    Tokenize,
    /// See `strip_query.rs`.
    StripQuery(strip_query::StripQuery),
    /// See `email.rs`.
    Email(email::Local),
    /// See `url.rs`.
    Url(url::Url),
    /// See `user_agent.rs`.
    UserAgent,
    /// See `round.rs`.
    Round(round::Round),
    /// See `date.rs`.
    Date(date::Date),
    /// See `geo.rs`.
    Geo(geo::Geo),
    /// See `bucket.rs`.
    Bucket(bucket::Bucket),
}

/// Plans are walked rule by rule, thousands of them in turn: what is large is boxed.
const _: () = assert!(size_of::<Transform>() <= 24);

impl Transform {
    /// Does the work on a scalar: writes the replacement to `out`, or says that there is none.
    #[inline(always)]
    pub fn apply(
        &self,
        value: Scalar<'_>,
        context: &mut Context<'_>,
        out: &mut Out<'_>,
    ) -> Outcome {
        match self {
            Self::Keep => Outcome::Unchanged,
            Self::Drop => Outcome::Dropped,
            Self::Redact(redact) => redact.apply(value, out),
            Self::Set(set) => set.write(out),
            Self::Rename(to) => rename::apply(to, value, out),
            Self::Mask(mask) => mask.apply(value, out),
            Self::TruncateIp(truncate_ip) => on_text(value, |text| truncate_ip.apply(text, out)),
            Self::Pseudonymize(pseudonymize) => pseudonymize.apply(value, context, out),
            Self::EncryptIp(encrypt_ip) => {
                on_text(value, |text| encrypt_ip.apply(text, context, out))
            }
            Self::EncryptDigits(encrypt_digits) => encrypt_digits.apply(value, context, out),
            Self::Tokenize => tokenize::apply(value, context, out),
            Self::StripQuery(strip_query) => on_text(value, |text| strip_query.apply(text, out)),
            Self::Email(local) => on_text(value, |text| local.apply(text, context, out)),
            Self::Url(url) => on_text(value, |text| url.apply(text, out)),
            Self::UserAgent => on_text(value, |text| user_agent::apply(text, out)),
            Self::Round(round) => on_number(value, |text, quoted| round.apply(text, quoted, out)),
            Self::Date(date) => date.apply(value, context, out),
            Self::Geo(geo) => geo.apply(value, out),
            Self::Bucket(bucket) => {
                on_number(value, |text, quoted| bucket.apply(text, quoted, out))
            }
        }
    }

    /// What it needs a key for; `None`: it needs none.
    #[must_use]
    pub fn purpose(&self) -> Option<Purpose> {
        match self {
            Self::Pseudonymize(_) => Some(Purpose::Pseudonym),
            Self::Date(date) => date.purpose(),
            Self::Email(email::Local::Hash) => Some(Purpose::Pseudonym),
            Self::EncryptIp(encrypt_ip) => Some(encrypt_ip.purpose()),
            Self::EncryptDigits(_) => Some(Purpose::Digits),
            Self::Tokenize => Some(Purpose::Token),
            _ => None,
        }
    }

    /// Must it know of a value whose it is?
    #[must_use]
    pub const fn asks_for_subject(&self) -> bool {
        matches!(self, Self::Date(date) if date.shifts())
    }

    /// Can those with the key read back what it wrote, by [`Self::undo`]?
    #[must_use]
    pub const fn undoes(&self) -> bool {
        matches!(self, Self::EncryptIp(_) | Self::EncryptDigits(_))
    }

    /// Writes the value that became this one, by these keys; wrong ones make another value of it,
    /// for nothing in it tells. Not for the way of the records: it allocates.
    pub fn undo(&self, value: Scalar<'_>, keys: &EpochKeys, out: &mut Out<'_>) -> Outcome {
        match (self, value) {
            (Self::EncryptIp(encrypt_ip), Scalar::Text(text)) => encrypt_ip.undo(text, keys, out),
            (Self::EncryptDigits(digits), value) => digits.undo(value, keys, out),
            _ => Outcome::Mismatch,
        }
    }

    /// How much it keeps of a value, where that can be compared with others of its kind.
    #[must_use]
    pub fn keeps(&self) -> Option<Keeps> {
        let (of, amounts) = match self {
            Self::TruncateIp(truncate_ip) => (0, truncate_ip.keeps()),
            Self::Mask(mask) => (1, mask.keeps()),
            Self::Round(round) => (2, round.keeps()),
            Self::Date(date) => (3 + date.kind(), date.keeps()),
            _ => return None,
        };
        Some(Keeps { of, amounts })
    }

    /// Does it leave nothing of any value?
    #[must_use]
    pub const fn takes(&self) -> bool {
        matches!(self, Self::Drop | Self::Redact(_) | Self::Set(_))
    }

    /// Does the work on an array or object that it takes whole ([`Spec::whole`]).
    pub fn apply_whole(&self, container: Container, out: &mut Out<'_>) -> Outcome {
        match self {
            Self::Keep => Outcome::Unchanged,
            Self::Drop => Outcome::Dropped,
            Self::Redact(redact) => redact.apply_whole(container, out),
            Self::Set(set) => set.write(out),
            // The others don't take containers; redacting is safe for any.
            _ => redact::write(out),
        }
    }

    /// Does the work on the bytes of a key or a header that are no text.
    pub fn apply_bytes(&self, out: &mut Out<'_>) -> Outcome {
        match self {
            Self::Keep => Outcome::Unchanged,
            Self::Drop => Outcome::Dropped,
            Self::Redact(redact) => redact.apply(Scalar::Text(""), out),
            Self::Set(set) => set.write(out),
            _ => Outcome::Mismatch,
        }
    }
}

/// The work of a transform that knows texts alone: `null` stays, anything else is a mismatch.
#[inline(always)]
fn on_text(value: Scalar<'_>, work: impl FnOnce(&str) -> Outcome) -> Outcome {
    match value {
        Scalar::Text(text) => work(text),
        Scalar::Null => Outcome::Unchanged,
        Scalar::Number(_) | Scalar::Bool(_) => Outcome::Mismatch,
    }
}

/// The work of a transform that knows numbers, and texts that are one; is it in quotes?
#[inline(always)]
fn on_number(value: Scalar<'_>, work: impl FnOnce(&str, bool) -> Outcome) -> Outcome {
    match value {
        Scalar::Number(text) => work(text, false),
        Scalar::Text(text) if decimal::is_number(text) => work(text, true),
        Scalar::Null => Outcome::Unchanged,
        Scalar::Text(_) | Scalar::Bool(_) => Outcome::Mismatch,
    }
}

/// The canonical spelling of a number: the same for the same value.
#[must_use]
pub fn canonical(number: &str) -> Vec<u8> {
    let mut spelling = Vec::new();
    decimal::canonical(number, |byte| spelling.push(byte));
    spelling
}

/// Is this the canonical spelling of the number? Without writing it down.
#[must_use]
pub fn is_canonical(number: &str, spelling: &[u8]) -> bool {
    let (mut at, mut same) = (0, true);
    decimal::canonical(number, |byte| {
        same &= spelling.get(at) == Some(&byte);
        at += 1;
    });
    same && at == spelling.len()
}

/// Puts the fixed word in a value's place: what `mismatch: redact` does.
pub fn redact(out: &mut Out<'_>) {
    redact::write(out);
}

/// Every transform, in the order of the docs.
pub static TABLE: &[&Spec] = &[
    &keep::SPEC,
    &drop::SPEC,
    &redact::SPEC,
    &set::SPEC,
    &rename::SPEC,
    &mask::SPEC,
    &truncate_ip::SPEC,
    &pseudonymize::SPEC,
    &encrypt_ip::SPEC,
    &encrypt_digits::SPEC,
    &tokenize::SPEC,
    &email::SPEC,
    &strip_query::SPEC,
    &url::SPEC,
    &user_agent::SPEC,
    &round::SPEC,
    &bucket::SPEC,
    &date::SPEC,
    &geo::SPEC,
];

/// The transform of that name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Spec> {
    TABLE.iter().copied().find(|spec| spec.name == name)
}

/// Takes a transform's checked arguments one by one, in the order of its [`Param`]s. The check has
/// matched each with its [`Kind`]; what does not fit is the value that shows least.
struct Args<'a>(std::slice::Iter<'a, Arg>);

impl<'a> Args<'a> {
    fn new(args: &'a [Arg]) -> Self {
        Self(args.iter())
    }

    fn int(&mut self) -> i64 {
        match self.0.next() {
            Some(Arg::Int(int)) => *int,
            _ => 0,
        }
    }

    fn size(&mut self) -> usize {
        usize::try_from(self.int()).unwrap_or(0)
    }

    fn bits(&mut self) -> u8 {
        u8::try_from(self.int()).unwrap_or(0)
    }

    fn text(&mut self) -> &'a str {
        match self.0.next() {
            Some(Arg::Text(text)) => text,
            _ => "",
        }
    }

    fn word(&mut self) -> &'static str {
        match self.0.next() {
            Some(Arg::Word(word)) => word,
            _ => "",
        }
    }

    fn flag(&mut self) -> bool {
        matches!(self.0.next(), Some(Arg::Flag(true)))
    }

    fn ints(&mut self) -> Vec<i64> {
        match self.0.next() {
            Some(Arg::Ints(ints)) => ints.clone(),
            _ => Vec::new(),
        }
    }

    fn constant(&mut self) -> Constant {
        match self.0.next() {
            Some(Arg::Constant(constant)) => constant.clone(),
            _ => Constant::Bare("null".into()),
        }
    }

    fn field(&mut self) -> Option<u16> {
        match self.0.next() {
            Some(Arg::Field(field)) => *field,
            _ => None,
        }
    }

    fn names(&mut self) -> Vec<String> {
        match self.0.next() {
            Some(Arg::Names(names)) => names.clone(),
            _ => Vec::new(),
        }
    }
}
