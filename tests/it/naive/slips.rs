//! Ways to take a form for another: what a twin would do that had not read its documentation. If a test
//! does not notice, then no made case reaches what tells the two apart.

use super::Action;
use super::forms::{Form, Local, Mode, Path, What};

/// What is not minded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slip {
    /// `redact`: the kind that is to stay.
    Kind,
    /// `redact`: the text that is to stand there.
    Text,
    /// `set`: that a constant may be something else than text.
    Constant,
    /// `mask`: that separators stay.
    Separators,
    /// `mask`: how much stays at the end.
    MaskEnd,
    /// `pseudonymize`: the canonical spelling.
    Canonical,
    /// `pseudonymize`: a telephone number's country.
    Country,
    /// `encrypt_ip`: which prefix-preserving way.
    PrefixWay,
    /// `encrypt_ip`: that prefixes stay.
    Prefixes,
    /// `encrypt_ip`: which tweak.
    Tweak,
    /// `encrypt_ip`: that each place has its own result.
    Places,
    /// `encrypt_digits`: digits that stay.
    KeptDigits,
    /// `encrypt_digits`: the check digit.
    Luhn,
    /// `tokenize`: that there is more than one token.
    Token,
    /// `email`: that a domain alone is left.
    EmailDrop,
    /// `email`: that persons are told apart.
    EmailHash,
    /// `url`: that the host goes.
    UrlHost,
    /// `url`: that the path goes.
    UrlPath,
    /// `url`: that the path's rest goes.
    UrlFirst,
    /// `url`: the query's names.
    UrlNames,
    /// `url`: parameters that stay.
    UrlKeep,
    /// `user_agent`: anything.
    Agent,
    /// `date`: the unit.
    Unit,
    /// `date`: the shift.
    Shift,
    /// `date`: that a field tells whose times they are.
    ShiftBy,
    /// `date`: what numbers count.
    Epoch,
    /// `geo`: the grid.
    Grid,
    /// `geo`: which of the two.
    Coordinate,
    /// `bucket`: the size.
    Size,
    /// `bucket`: the edges.
    Edges,
    /// `bucket`: range or its lower end.
    Low,
}

impl Slip {
    /// All of them.
    pub const ALL: [Self; 31] = [
        Self::Kind,
        Self::Text,
        Self::Constant,
        Self::Separators,
        Self::MaskEnd,
        Self::Canonical,
        Self::Country,
        Self::PrefixWay,
        Self::Prefixes,
        Self::Tweak,
        Self::Places,
        Self::KeptDigits,
        Self::Luhn,
        Self::Token,
        Self::EmailDrop,
        Self::EmailHash,
        Self::UrlHost,
        Self::UrlPath,
        Self::UrlFirst,
        Self::UrlNames,
        Self::UrlKeep,
        Self::Agent,
        Self::Unit,
        Self::Shift,
        Self::ShiftBy,
        Self::Epoch,
        Self::Grid,
        Self::Coordinate,
        Self::Size,
        Self::Edges,
        Self::Low,
    ];

    /// What it takes a form for.
    pub fn misread(self, form: &Form) -> Action {
        let mut form = form.clone();
        match (self, &mut form) {
            (Self::Separators, Form::MaskBetween { first, last }) => {
                return Action::Mask { first: *first, last: *last };
            }
            (Self::Canonical, Form::PseudonymOf { prefix, .. }) => {
                return Action::Pseudonymize { prefix: prefix.clone() };
            }
            (Self::Constant, Form::Set(constant)) if !constant.starts_with('"') => {
                *constant = format!("\"{constant}\"");
            }
            (Self::Token, Form::Tokenize) => return Action::Redact,
            (Self::Agent, Form::UserAgent) => form = Form::Set("\"Other\"".to_owned()),
            (_, form) => self.misread_parameter(form),
        }
        Action::Form(form)
    }

    fn misread_parameter(self, form: &mut Form) {
        match (self, form) {
            (Self::Kind, Form::RedactAs { keep_kind, .. }) => *keep_kind = false,
            (Self::Text, Form::RedactAs { text, .. }) => {
                super::REDACTED.clone_into(text);
            }
            (Self::MaskEnd, Form::MaskBetween { last, .. }) => *last = 0,
            (Self::Country, Form::PseudonymOf { what: What::Phone(country), .. }) => {
                country.clear();
            }
            (Self::PrefixWay, Form::EncryptIp(mode)) if *mode == Mode::CryptoPan => {
                *mode = Mode::Prefix;
            }
            (Self::Prefixes, Form::EncryptIp(mode)) if *mode == Mode::Prefix => {
                *mode = Mode::Deterministic;
            }
            (Self::Tweak, Form::EncryptIp(mode)) if *mode == Mode::Ndx => *mode = Mode::Nd,
            (Self::Places, Form::EncryptIp(mode)) if *mode == Mode::Nd => {
                *mode = Mode::Deterministic;
            }
            (Self::KeptDigits, Form::EncryptDigits { keep_first, .. }) => *keep_first = 0,
            (Self::Luhn, Form::EncryptDigits { luhn, .. }) => *luhn = false,
            (Self::EmailDrop, Form::Email(local)) if *local == Local::Drop => *local = Local::Mask,
            (Self::EmailHash, Form::Email(local)) if *local == Local::Hash => *local = Local::Mask,
            (Self::UrlHost, Form::Url { host, .. }) => *host = true,
            (Self::UrlPath, Form::Url { path, .. }) if *path == Path::Drop => *path = Path::First,
            (Self::UrlFirst, Form::Url { path, .. }) if *path == Path::First => *path = Path::Keep,
            (Self::UrlNames, Form::Url { names, .. }) => *names = false,
            (Self::UrlKeep, Form::Url { keep, .. }) => keep.clear(),
            (Self::Unit, Form::Date { to, .. }) if *to == "minute" => *to = "hour",
            (Self::Shift, Form::Date { shift_days, .. }) => *shift_days = 0,
            (Self::ShiftBy, Form::Date { shift_by, .. }) => *shift_by = None,
            (Self::Epoch, Form::Date { epoch, .. }) if *epoch == "ms" => *epoch = "s",
            (Self::Grid, Form::Geo { grid_metres, .. }) => *grid_metres += 1,
            (Self::Coordinate, Form::Geo { of, .. }) if *of == "lon" => *of = "lat",
            (Self::Size, Form::BucketBySize { size, .. }) => *size += 1,
            (Self::Edges, Form::BucketByEdges { edges, .. }) => edges.push(i64::MAX / 1024),
            (Self::Low, Form::BucketBySize { low, .. } | Form::BucketByEdges { low, .. }) => {
                *low = !*low;
            }
            _ => {}
        }
    }
}
