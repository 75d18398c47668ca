//! Records and policies made of arbitrary bytes: every byte is one choice.
//!
//! That way one generator serves both the property tests (which shrink the bytes) and the fuzzer
//! (which mutates them). Alphabets are small, so that rules and records collide: a dozen names, a
//! few addresses and URLs in all their spellings. What is there by choice 0 is the simplest, so
//! that a source which has run dry ends quickly.

use super::forms::{Form, Local, Mode, Path, What};
use super::{Action, Bounds, Parts, Policy, Rule, subjects};
use limpid::format::paths::Segment;
use limpid::policy::{Decides, OnMismatch, Unlisted};

/// Bytes as a row of choices.
pub struct Choices<'a> {
    bytes: &'a [u8],
}

impl<'a> Choices<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((first, rest)) => {
                self.bytes = rest;
                *first
            }
            None => 0,
        }
    }

    /// One of `0..count`.
    pub fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    fn of<'t, T: ?Sized>(&mut self, things: &[&'t T]) -> &'t T {
        things[self.below(things.len())]
    }

    /// True once in `times`; never when the source has run dry.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }
}

/// A fixed row of bytes that looks arbitrary (splitmix64), for tests that need many.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend((word ^ (word >> 31)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Names that meet in records and policies. Some share a length, a first eight bytes, or all but
/// the last byte; some need escapes.
const NAMES: [&str; 18] = [
    "a",
    "b",
    "c",
    "ip",
    "user",
    "email",
    "user_name_first",
    "user_name_fifth",
    "user_nam",
    "",
    "a.b",
    "*",
    "é",
    "😀",
    "q\"q",
    "\\",
    "\u{1}\n\u{7f}",
    "a name as long as nobody would give to a member, but who knows what",
];

const PLAIN: [&str; 12] = [
    "",
    "x",
    "hello",
    "n/a",
    "***",
    "[redacted]",
    "Jürgen Ünal",
    "日本語 😀",
    "tab\there \"quoted\" back\\slash",
    "\u{0}\u{8}\u{c}\u{1f}\u{7f}\u{2028}",
    "a@b.example",
    "a string that is longer than sixty-four bytes, to cross a block of the scan twice over.",
];

const EMAILS: [&str; 10] = [
    "jane@x.example",
    "Jane.Doe+shop@X.Example",
    " +a@x ",
    "ÉVA@bücher.example",
    "a+@x",
    "jane@@x",
    "@x",
    "jane@x.",
    "Jane <jane@x.example>",
    "\"j d\"@x.example",
];

const PHONES: [&str; 12] = [
    "+49 170 1234567",
    "0049 (170) 123-4567",
    "+49 (0)170/1234567",
    "0170 1234567",
    "491701234567",
    "4917",
    "(212) 555-1234",
    "+1 (0)(0) 23456",
    "1234567890123456",
    "++491234",
    "123",
    "+49 170 x12",
];

const CARDS: [&str; 8] = [
    "4111111111111111",
    "5500 0000 0000 0004",
    "3400-0000-0000-009",
    "4111111111111112",
    "123456",
    "12345",
    "DE89 3704 0044 0532 0130 00",
    "123456789012345678901234567890123456789012345",
];

const TIMES: [&str; 14] = [
    "2026-11-24T22:05:23.517+01:00",
    "2026-11-24",
    "2024-02-29 23:59:60Z",
    "0001-01-01t00:00:00,5-0330",
    "9999-12-31T12:00:00",
    "1796000000517",
    "-1",
    "1.5e9",
    "2023-02-29",
    "2026-13-01",
    "2026-11-24T24:00:00Z",
    "2026-11-24T22:05Z",
    "2026-11-24T22:05:23+1",
    "2026-11-24T22:05:23 Jane",
];

const POSITIONS: [&str; 10] = [
    "52.52437,13.41053",
    "-33.8688 , 151.2093",
    "90,180",
    "-90,-180",
    "89.99999,0",
    "0,0",
    "1e-7,-1e-7",
    "90.000001,0",
    "52.5",
    "52.5,13.4,0",
];

const AGENTS: [&str; 8] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
    "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML) Chrome/126.0 Safari/537.36 Edg/127.0",
    "Mozilla/5.0 (Macintosh) AppleWebKit/605.1 Version/17.4 Safari/605.1",
    "curl/8.5.0",
    "curl/49170123",
    "xcurl/8 -Chrome/1",
    "Jane's phone",
    "/",
];

const NUMBERS: [&str; 41] = [
    "52.52437",
    "1796000000517",
    "-1796000000.5",
    "4111111111111111",
    "1234567",
    "0",
    "-0",
    "-0.0",
    "1",
    "42",
    "-7",
    "1.0",
    "0.5",
    "1.5",
    "2.5",
    "-0.05",
    "9.99",
    "99.95",
    "0.049999999999999999999999999",
    "52.52437",
    "-13.4050",
    "100",
    "1e2",
    "1E+2",
    "-1.5e-3",
    "0e0",
    "0.0e-7",
    "12.34e1",
    "1e400",
    "1e-400",
    "-1e-400",
    "1e399",
    "1.25e401",
    "12345678901234567890123",
    "0.1234567890123456789012345678901234567890",
    "0.12345678901234567890123456789012345678901",
    "1e39",
    "1e40",
    "1234567890123456789012345678901234567890",
    "12345678901234567890123456789012345678901",
    "1.7976931348623157e308",
];

const ADDRESSES: [&str; 26] = [
    "1.2.3.4",
    "10.0.0.0",
    "255.255.255.255",
    "2001:db8::1",
    "2001:DB8:0:0:1:0:0:1",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "::ffff:1.2.3.4",
    "::FFFF:0102:0304",
    "::1.2.3.4",
    "1:2:3:4:5:6:7:8",
    "1:2:3:4:5:6:1.2.3.4",
    "64:ff9b::1.2.3.4",
    "1:0:0:4:0:0:7:8",
    "1:0:3:4:5:6:7:8",
    "1.2.3",
    "01.2.3.4",
    "1.2.3.256",
    "1::2::3",
    "12345::",
    "unknown",
    "",
    "1.2.3.4.5",
    ":::",
];

const SCHEMES: [&str; 18] = [
    "https://",
    "",
    "http://",
    "HTTP://",
    "ftp://",
    "wss://",
    "https:/",
    "https:\\\\",
    "https:",
    "//",
    "custom+x://",
    "mailto:",
    "javascript:",
    "file:///",
    "localhost:8080",
    "tel:4917012345",
    "foo:",
    "/",
];

const AUTHORITIES: [&str; 9] = [
    "x.example",
    "",
    "u:p@x.example",
    "u@v@x.example:80",
    "@x",
    "[::1]:80",
    "jane%40x@y",
    "x:80",
    "u@",
];

const URL_PATHS: [&str; 8] = ["", "/", "/a/b", "/a;b", "/mail@x", "\\a", "/a:b", "/日本"];

const QUERIES: [&str; 14] = [
    "",
    "?",
    "?a=1",
    "?b=2&a=1",
    "?a",
    "?a=1;b=2;c=3",
    "?&&a=1&;",
    "?a=1?b=2",
    "?%61=1",
    "?a==",
    "?A=1",
    "?a=1&a=2",
    "?c=x@y/z",
    "?=1",
];

const FRAGMENTS: [&str; 6] = ["", "#", "#jane", "#a?a=1", "#a#b", "#a=1&b=2"];

/// A text that is mostly a valid record.
pub fn record(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut out = String::new();
    space(choices, &mut out);
    match choices.below(12) {
        0..9 => object(choices, 1, &mut out),
        9 => value(choices, 0, &mut out),
        _ => elements(choices, &mut out, |choices, out| object(choices, 1, out)),
    }
    space(choices, &mut out);
    out.into_bytes()
}

/// Damages a text: cut, flipped, inserted, deleted, replaced.
pub fn damaged(choices: &mut Choices<'_>, mut bytes: Vec<u8>) -> Vec<u8> {
    const SNIPPETS: [&[u8]; 24] = [
        b",",
        b"\"",
        b"\\",
        b"}",
        b"]",
        b"[",
        b"{",
        b":",
        b"\\u",
        b"\\ud800",
        b"\\udc00x",
        b"\0",
        b"\n",
        b"\x1f",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\xc0\x80",
        b"0",
        b"-",
        b".",
        b"e",
        b" ",
        b"nul",
    ];
    for _ in 0..=choices.below(2) {
        let at = (choices.below(256) * 256 + choices.below(256)) % (bytes.len() + 1);
        match choices.below(4) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] ^= 1 << choices.below(8),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            _ => drop(bytes.splice(at..at, choices.of(&SNIPPETS).iter().copied())),
        }
    }
    bytes
}

/// Other letters and digits here and there: values of the same shape, names now and then.
fn other_letters(choices: &mut Choices<'_>, mut value: Vec<u8>) -> Vec<u8> {
    for _ in 0..choices.below(12) {
        let at = choices.below(value.len().max(1));
        let with = match value.get(at) {
            Some(b'0'..=b'9') => b'1' + choices.below(9) as u8,
            Some(b'a'..=b'z') => b'a' + choices.below(26) as u8,
            _ => continue,
        };
        value[at] = with;
    }
    value
}

/// Records, most of which are like one before.
pub fn alike(choices: &mut Choices<'_>) -> Vec<Vec<u8>> {
    let mut all = vec![record(choices)];
    for _ in 0..choices.below(24) {
        let before = all[choices.below(all.len())].clone();
        all.push(match choices.below(8) {
            0 => record(choices),
            1 => damaged(choices, before),
            2 => before,
            3 => [before, b" ".to_vec()].concat(),
            _ => other_letters(choices, before),
        });
    }
    all
}

/// Bounds: the usual ones, or tight ones.
pub fn bounds(choices: &mut Choices<'_>) -> Bounds {
    let tight = |choices: &mut Choices<'_>, usual: usize| {
        if choices.once_in(8) { choices.below(8) * choices.below(64) } else { usual }
    };
    Bounds {
        depth: if choices.once_in(8) { 1 + choices.below(6) } else { 128 },
        value_bytes: tight(choices, 1 << 20),
        clean_bytes: tight(choices, 1 << 20),
    }
}

fn space(choices: &mut Choices<'_>, out: &mut String) {
    match choices.below(16) {
        12 => out.push(' '),
        13 => out.push_str("\r\n\t"),
        14 => out.push_str("    "),
        15 => out.extend(std::iter::repeat_n(' ', choices.below(80))),
        _ => {}
    }
}

fn value(choices: &mut Choices<'_>, depth: usize, out: &mut String) {
    const DEPTH_MAX: usize = 7;
    let kinds = if depth < DEPTH_MAX { 16 } else { 12 };
    match choices.below(kinds) {
        0 => out.push_str(choices.of(&["null", "true", "false"])),
        1 | 2 => number(choices, out),
        3 | 4 => spelled(choices, choices_text(&PLAIN), out),
        5 if depth < DEPTH_MAX && choices.below(4) > 1 => {
            let text = json_text(choices, depth);
            spelled(choices, |_| text, out);
        }
        5 => spelled(choices, repeated, out),
        6 | 7 => {
            let list = address_list(choices);
            spelled(choices, |_| list, out);
        }
        8 | 9 => {
            let url = url(choices);
            spelled(choices, |_| url, out);
        }
        10 => {
            let texts = [&NUMBERS[..], &EMAILS, &PHONES, &CARDS, &TIMES, &POSITIONS, &AGENTS]
                [choices.below(7)];
            spelled(choices, choices_text(texts), out);
        }
        11 => deep(choices, out),
        12 | 13 => object(choices, depth + 1, out),
        _ => elements(choices, out, |choices, out| value(choices, depth + 1, out)),
    }
}

/// A text that is JSON, or nearly.
fn json_text(choices: &mut Choices<'_>, depth: usize) -> String {
    let mut text = String::new();
    space(choices, &mut text);
    match choices.below(6) {
        4 => elements(choices, &mut text, |choices, out| value(choices, depth + 2, out)),
        5 => value(choices, depth + 2, &mut text),
        _ => object(choices, depth + 2, &mut text),
    }
    space(choices, &mut text);
    if choices.once_in(8) {
        text.pop();
    }
    text
}

fn choices_text(texts: &'static [&'static str]) -> impl FnOnce(&mut Choices<'_>) -> String {
    |choices| choices.of(texts).to_owned()
}

/// Runs of what a scan must tell apart, around the ends of its blocks.
fn repeated(choices: &mut Choices<'_>) -> String {
    let piece = choices.of(&["x", "\\", "\"", "\\\"", "é", "😀", "{}[],:"]);
    piece.repeat(choices.below(140))
}

fn number(choices: &mut Choices<'_>, out: &mut String) {
    if choices.below(4) > 0 {
        return out.push_str(choices.of(&NUMBERS));
    }
    out.push_str(choices.of(&["", "-"]));
    digits(choices, 6, out);
    if choices.below(2) == 1 {
        out.push('.');
        let count = 1 + choices.below(18);
        for _ in 0..count {
            out.push(char::from(b'0' + u8::try_from(choices.below(10)).expect("a digit")));
        }
    }
    if choices.once_in(4) {
        out.push_str(choices.of(&["e", "E", "e-", "E+", "e-0"]));
        digits(choices, 3, out);
    }
}

/// A number of up to `length` digits that does not begin with a zero, or zero.
fn digits(choices: &mut Choices<'_>, length: usize, out: &mut String) {
    let count = choices.below(length);
    let mut value = choices.below(10);
    for _ in 0..count {
        value = value * 10 + choices.below(10);
    }
    out.push_str(&value.to_string());
}

fn object(choices: &mut Choices<'_>, depth: usize, out: &mut String) {
    let count = choices.below(if depth == 1 { 7 } else { 4 });
    list(choices, ('{', '}'), count, out, |choices, out| {
        spelled(choices, |choices| name(choices).to_owned(), out);
        space(choices, out);
        out.push(':');
        space(choices, out);
        value(choices, depth, out);
    });
}

/// Mostly one of the first few, so that duplicates are common.
fn name(choices: &mut Choices<'_>) -> &'static str {
    if choices.below(4) > 0 { choices.of(&NAMES[..4]) } else { choices.of(&NAMES) }
}

fn elements(
    choices: &mut Choices<'_>,
    out: &mut String,
    element: impl FnMut(&mut Choices<'_>, &mut String),
) {
    let count = choices.below(5);
    list(choices, ('[', ']'), count, out, element);
}

fn list(
    choices: &mut Choices<'_>,
    (open, close): (char, char),
    count: usize,
    out: &mut String,
    mut item: impl FnMut(&mut Choices<'_>, &mut String),
) {
    out.push(open);
    space(choices, out);
    for index in 0..count {
        if index > 0 {
            out.push(',');
            space(choices, out);
        }
        item(choices, out);
        space(choices, out);
    }
    out.push(close);
}

/// Nested arrays and objects, up to around the usual bound on depth.
fn deep(choices: &mut Choices<'_>, out: &mut String) {
    let near = choices.once_in(4);
    let levels = if near { 118 + choices.below(14) } else { choices.below(10) };
    let mut closing = String::new();
    for _ in 0..levels {
        let (open, close) = choices.of(&[&("[", "]"), &("{\"a\":", "}"), &("[ ", " ]")]);
        out.push_str(open);
        closing.insert_str(0, close);
    }
    out.push_str(choices.of(&["1", "\"x\"", "[]", "{}"]));
    out.push_str(&closing);
}

/// A string, each of its characters in one of the spellings that JSON has for it.
fn spelled(
    choices: &mut Choices<'_>,
    text: impl FnOnce(&mut Choices<'_>) -> String,
    out: &mut String,
) {
    let text = text(choices);
    let escapes = choices.below(4) == 3;
    out.push('"');
    for c in text.chars() {
        let needs = matches!(c, '"' | '\\' | '\0'..'\u{20}');
        if needs || (escapes && choices.below(3) == 0) {
            escaped(choices, c, out);
        } else {
            out.push(c);
        }
    }
    out.push('"');
}

fn escaped(choices: &mut Choices<'_>, c: char, out: &mut String) {
    let short = match c {
        '"' => "\\\"",
        '\\' => "\\\\",
        '/' => "\\/",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        _ => "",
    };
    let way = choices.below(3);
    if way == 0 && !short.is_empty() {
        return out.push_str(short);
    }
    for unit in c.encode_utf16(&mut [0; 2]) {
        let hex = if way == 1 { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") };
        out.push_str(&hex);
    }
}

fn address_list(choices: &mut Choices<'_>) -> String {
    let count = if choices.below(2) == 0 { 1 } else { 1 + choices.below(3) };
    let parts: Vec<String> = (0..count).map(|_| address(choices)).collect();
    parts.join(choices.of(&[",", ", ", " , "]))
}

fn address(choices: &mut Choices<'_>) -> String {
    // Mostly one that is an address.
    let bare = if choices.below(8) > 0 {
        choices.of(&ADDRESSES[..17]).to_owned()
    } else {
        choices.of(&ADDRESSES).to_owned()
    };
    match choices.below(16) {
        10 => format!("[{bare}]"),
        11 => format!("[{bare}]:8080"),
        12 => format!("{bare}:443"),
        13 => format!("{bare}:"),
        14 => format!(" {bare}\t"),
        15 => format!("[{bare}"),
        _ => bare,
    }
}

fn url(choices: &mut Choices<'_>) -> String {
    let mut url = choices.of(&SCHEMES).to_owned();
    url.push_str(choices.of(&AUTHORITIES));
    url.push_str(choices.of(&URL_PATHS));
    url.push_str(choices.of(&QUERIES));
    url.push_str(choices.of(&FRAGMENTS));
    url
}

/// A policy of a few rules.
pub fn policy(choices: &mut Choices<'_>) -> Policy {
    let unlisted = match choices.below(6) {
        4 => Unlisted::Redact,
        5 => Unlisted::Drop,
        _ => Unlisted::Keep,
    };
    let rules: Vec<Rule> = (0..choices.below(6)).map(|_| rule(choices)).collect();
    let mut policy = Policy::new(rules, unlisted);
    if choices.once_in(4) {
        policy.base = choices.below(policy.rules.len() + 1);
    }
    policy
}

/// A policy with rules for key and headers too.
pub fn whole_policy(choices: &mut Choices<'_>) -> Policy {
    let mut policy = policy(choices);
    let count = policy.rules.len();
    if count > 0 {
        let of_values = |rule: &usize| policy.rules[*rule].decides == Decides::Value;
        policy.key_rule = choices.once_in(2).then(|| choices.below(count)).filter(of_values);
        let mut numbers: Vec<usize> = (0..choices.below(3)).map(|_| choices.below(count)).collect();
        numbers.retain(of_values);
        numbers.sort_unstable();
        let any = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        policy.header_rules =
            numbers.into_iter().map(|rule| (any(choices.of(&HEADERS)), rule)).collect();
    }
    policy
}

/// A policy that may take the key for JSON.
pub fn policy_with_key(choices: &mut Choices<'_>) -> Policy {
    let mut whole = whole_policy(choices);
    if choices.once_in(2) {
        whole.key_rule = None;
        whole.in_key = Some(Policy { unlisted: whole.unlisted, ..policy(choices) }.into());
    }
    whole
}

/// Names of headers; no name is a rule for any header.
const HEADERS: [&str; 4] = ["", "mail", "Mail", "ip"];

/// A record with key and headers; some are tombstones, some not UTF-8.
pub fn parts(choices: &mut Choices<'_>) -> Parts {
    let bare = |choices: &mut Choices<'_>| match choices.below(8) {
        0 => None,
        1 => Some(b"\xff\"x".to_vec()),
        2 => Some(address_list(choices).into_bytes()),
        3 => Some(url(choices).into_bytes()),
        4 => Some(choices.of(&NUMBERS).as_bytes().to_vec()),
        _ => Some(choices.of(&PLAIN).as_bytes().to_vec()),
    };
    let key = match choices.below(4) {
        0 => Some(record(choices)),
        _ => bare(choices),
    };
    let headers = (0..choices.below(4))
        .map(|_| (choices.of(&HEADERS[1..]).as_bytes().to_vec(), bare(choices)))
        .collect();
    let value = (!choices.once_in(8)).then(|| {
        let value = record(choices);
        if choices.once_in(4) { damaged(choices, value) } else { value }
    });
    Parts { key, value, headers }
}

fn rule(choices: &mut Choices<'_>) -> Rule {
    let mut paths: Vec<_> = (0..=choices.below(2)).map(|_| path(choices)).collect();
    let (decides, action) = match choices.below(16) {
        13 => (Decides::Inside, Action::Keep),
        14 => (
            Decides::Name,
            Action::Rename { to: choices.of(&["a", "ip", "q\"q", "new"]).to_owned() },
        ),
        15 => (Decides::Names, action_on_names(choices)),
        _ => (Decides::Value, action(choices)),
    };
    if decides == Decides::Inside {
        // Which of elements in elements is meant behind `**` matters here: policies cannot say it.
        paths.retain(|path: &Vec<Segment>| {
            let element =
                |step: &Segment| matches!(step, Segment::AnyElement | Segment::Element(_));
            !(0..path.len()).any(|at| element(&path[at]) && behind_any_depth(&path[..at]))
        });
    }
    if decides == Decides::Name {
        paths.iter_mut().for_each(|path| path.push(Segment::Name(name(choices).into())));
    }
    let mismatch = match choices.below(6) {
        0 => OnMismatch::Keep,
        1 => OnMismatch::Quarantine,
        _ => OnMismatch::Redact,
    };
    Rule { paths, decides, action, mismatch, when: Vec::new() }
}

fn path(choices: &mut Choices<'_>) -> Vec<Segment> {
    let mut path = Vec::new();
    for _ in 0..=choices.below(4) {
        let segment = segment(choices);
        // Which array it would count in could only be guessed: policies cannot say it.
        let guess = matches!(segment, Segment::Element(_)) && behind_any_depth(&path);
        path.push(if guess { Segment::AnyElement } else { segment });
    }
    path
}

fn segment(choices: &mut Choices<'_>) -> Segment {
    match choices.below(11) {
        6 => Segment::AnyName,
        7 => Segment::AnyElement,
        8 | 9 => Segment::AnyDepth,
        10 => Segment::Element([0, 1, 2, 255][choices.below(4)]),
        _ => Segment::Name(name(choices).into()),
    }
}

/// Does `**` come last, but for elements?
fn behind_any_depth(path: &[Segment]) -> bool {
    let mut back = path.iter().rev();
    let last = back.find(|step| !matches!(step, Segment::AnyElement | Segment::Element(_)));
    last == Some(&Segment::AnyDepth)
}

/// What a rule does to names: nothing that takes values whole. What is drawn from the place of a record
/// depends on which names were drawn for before, of members that go too: nobody's contract.
fn action_on_names(choices: &mut Choices<'_>) -> Action {
    match action(choices) {
        action if action.takes() => Action::Mask { first: 1, last: 0 },
        Action::Form(Form::EncryptIp(Mode::Nd | Mode::Ndx)) => {
            Action::Form(Form::EncryptIp(Mode::Prefix))
        }
        action => action,
    }
}

/// What a rule does, with parameters.
pub fn action(choices: &mut Choices<'_>) -> Action {
    match choices.below(15) {
        0 | 1 => Action::Keep,
        2 | 3 => Action::Drop,
        4 => Action::Redact,
        5 => Action::Mask { first: choices.below(4), last: choices.below(3) },
        6 => Action::TruncateIp {
            v4: [24, 16, 0, 32, 31, 9][choices.below(6)],
            v6: [48, 64, 0, 128, 33, 96][choices.below(6)],
        },
        7 => Action::Pseudonymize { prefix: choices.of(&["", "u_", "\"é"]).to_owned() },
        8 => Action::StripQuery {
            keep: [&[][..], &["a"], &["a", "b", "%61"]][choices.below(3)]
                .iter()
                .map(|name| (*name).to_owned())
                .collect(),
        },
        9 => Action::Round { digits: [1, 0, 2, 15][choices.below(4)] },
        _ => Action::Form(form(choices)),
    }
}

fn form(choices: &mut Choices<'_>) -> Form {
    match choices.below(14) {
        0 => Form::RedactAs {
            text: choices.of(&["gone", "", "\"é"]).to_owned(),
            keep_kind: choices.once_in(2),
        },
        1 => {
            Form::Set(choices.of(&["null", "0", "1e400", "true", "\"\"", "\"q\\\"é\""]).to_owned())
        }
        2 => Form::MaskBetween { first: choices.below(4), last: choices.below(3) },
        3 => Form::PseudonymOf {
            what: [What::Email, What::Phone(String::new()), What::Phone("49".to_owned()), What::Ip]
                [choices.below(4)]
            .clone(),
            prefix: choices.of(&["", "u_"]).to_owned(),
        },
        4 => Form::EncryptIp(
            [Mode::Deterministic, Mode::Prefix, Mode::CryptoPan, Mode::Nd, Mode::Ndx]
                [choices.below(5)],
        ),
        5 => Form::EncryptDigits {
            keep_first: [0, 6, 8][choices.below(3)],
            luhn: choices.once_in(2),
        },
        6 => Form::Tokenize,
        7 => Form::Email([Local::Mask, Local::Drop, Local::Hash][choices.below(3)]),
        8 => {
            let path = [Path::Keep, Path::First, Path::Drop][choices.below(3)];
            Form::Url {
                host: path == Path::Drop || choices.below(2) == 0,
                path,
                names: choices.once_in(2),
                keep: [&[][..], &["a"], &["a", "b", "%61"]][choices.below(3)]
                    .iter()
                    .map(|name| (*name).to_owned())
                    .collect(),
            }
        }
        9 => Form::UserAgent,
        10 => {
            let to = choices.of(&["day", "second", "minute", "hour", "month", "year"]);
            let epoch = choices.of(&["no", "s", "ms"]);
            let shift_days = [0, 0, 1, 400][choices.below(4)];
            let by_field = shift_days > 0 && choices.below(4) > 0;
            let shift_by = by_field.then(|| choices.below(subjects::FIELDS.len()));
            Form::Date { to, epoch, shift_days, shift_by }
        }
        11 => Form::Geo {
            grid_metres: [100, 1000, 7001, 1_000_000][choices.below(4)],
            of: choices.of(&["pair", "lat", "lon"]),
        },
        12 => Form::BucketBySize {
            size: [1, 10, 7, 1_000_000_000_000_000][choices.below(4)],
            low: choices.once_in(2),
        },
        _ => Form::BucketByEdges {
            edges: [&[0][..], &[-7, 1, 42], &[2, 100]][choices.below(3)].to_vec(),
            low: choices.once_in(2),
        },
    }
}
