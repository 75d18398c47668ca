//! Topic names, patterns over them, and clean topics made from a pattern's groups.
//!
//! A pattern is read twice: by the Kafka client, as a POSIX extended expression, to subscribe; and
//! by limpid, to find the route and the groups. Where the two dialects differ (`\d`, lazy
//! quantifiers, flags, a backslash in brackets) one would subscribe to what the other does not
//! know. So only the part that both read alike is accepted. It has to fit the whole name: a
//! forgotten `$` must not subscribe to more than was meant.

use regex_lite::Regex;

/// Kafka's own limit.
const NAME_MAX: usize = 249;
/// POSIX's limit on repetitions.
const REPEAT_MAX: u32 = 255;

/// What is wrong with a topic's name.
pub(super) fn name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > NAME_MAX {
        Some("a topic's name has 1 to 249 characters")
    } else if matches!(name, "." | "..") || !name.bytes().all(is_name_byte) {
        Some("a topic's name consists of letters, digits, `.`, `_` and `-`")
    } else {
        None
    }
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// What can be said of a set of topic names without listing it: how all begin and end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ends {
    first: String,
    last: String,
}

impl Ends {
    /// May the two sets have a name in common? Errs towards yes.
    pub(super) fn may_meet(&self, other: &Self) -> bool {
        let begins = |a: &str, b: &str| a.starts_with(b) || b.starts_with(a);
        let ends = |a: &str, b: &str| a.ends_with(b) || b.ends_with(a);
        begins(&self.first, &other.first) && ends(&self.last, &other.last)
    }
}

/// A checked pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) regex: Regex,
    pub(super) groups: usize,
    pub(super) ends: Ends,
}

impl Pattern {
    /// Reads a pattern; `whole` if it has to fit the whole name.
    pub(super) fn read(text: &str, whole: bool) -> Result<Self, String> {
        let rest = text.strip_prefix('^').ok_or("it must begin with `^`")?;
        let (rest, closed) = match rest.strip_suffix('$') {
            Some(rest) => (rest, true),
            None if whole => return Err("it must end with `$`, to fit the whole name".to_owned()),
            None => (rest, false),
        };
        let mut syntax = Syntax { rest: rest.as_bytes(), groups: 0 };
        let atoms = syntax.sequence(0)?;
        let regex = Regex::new(text).map_err(|_| "it is not a regular expression")?;
        let literal = |atom: &&Option<u8>| atom.is_some();
        let first: Vec<u8> = atoms.iter().take_while(literal).flatten().copied().collect();
        let mut last: Vec<u8> =
            atoms.iter().rev().take_while(literal).flatten().copied().filter(|_| closed).collect();
        last.reverse();
        let text = |bytes| String::from_utf8(bytes).unwrap_or_default();
        Ok(Self {
            regex,
            groups: syntax.groups,
            ends: Ends { first: text(first), last: text(last) },
        })
    }
}

/// The accepted syntax: characters of topic names, `\.`, `.`, `[…]`, `(…|…)`, `* + ? {m,n}`.
struct Syntax<'a> {
    rest: &'a [u8],
    groups: usize,
}

impl Syntax<'_> {
    /// Atoms up to the end or to the group's `)`: a byte for one that stands for itself.
    fn sequence(&mut self, depth: usize) -> Result<Vec<Option<u8>>, String> {
        let mut atoms = Vec::new();
        loop {
            match self.rest {
                [] | [b')', ..] => break,
                [b'|', ..] if depth == 0 => {
                    return Err("put alternatives into a group: `^(a|b)$`".to_owned());
                }
                [b'|', ..] => {
                    self.skip(1);
                    if atoms.is_empty() || matches!(self.rest, [] | [b'|' | b')', ..]) {
                        return Err("an alternative is empty".to_owned());
                    }
                }
                _ => {
                    let atom = self.atom(depth)?;
                    let repeated = self.quantifier()?;
                    atoms.push(atom.filter(|_| !repeated));
                }
            }
        }
        match (depth, self.rest) {
            (0, []) => {}
            (1.., [b')', ..]) => {}
            _ => return Err("a bracket is not closed or not opened".to_owned()),
        }
        if atoms.is_empty() && depth > 0 {
            return Err("a group is empty".to_owned());
        }
        Ok(atoms)
    }

    fn atom(&mut self, depth: usize) -> Result<Option<u8>, String> {
        match *self.rest {
            [b'(', b'?', ..] => Err("`(?` is not accepted: plain groups only".to_owned()),
            [b'(', ..] if depth > 8 => Err("its groups are nested too deeply".to_owned()),
            [b'(', ..] => {
                self.skip(1);
                self.groups += 1;
                self.sequence(depth + 1)?;
                self.skip(1);
                Ok(None)
            }
            [b'[', ..] => self.class().map(|()| None),
            [b'.', ..] => {
                self.skip(1);
                Ok(None)
            }
            [b'\\', b'.', ..] => {
                self.skip(2);
                Ok(Some(b'.'))
            }
            [b'\\', ..] => {
                Err("of escapes only `\\.` is accepted: write `[0-9]`, not `\\d`".to_owned())
            }
            [b'*' | b'+' | b'?' | b'{', ..] => Err("a repetition follows nothing".to_owned()),
            [byte, ..] if is_name_byte(byte) => {
                self.skip(1);
                Ok(Some(byte))
            }
            _ => Err("it has a character that no topic's name has".to_owned()),
        }
    }

    fn class(&mut self) -> Result<(), String> {
        let body = &self.rest[1..];
        let end = body.iter().position(|byte| *byte == b']').ok_or("a `[` is not closed")?;
        let inside = body[..end].strip_prefix(b"^").unwrap_or(&body[..end]);
        if inside.is_empty() || !inside.iter().copied().all(is_name_byte) {
            return Err("brackets take letters, digits, `.`, `_` and `-`".to_owned());
        }
        if inside.windows(2).any(|pair| pair == b"--") {
            return Err("`--` in brackets is not read alike everywhere".to_owned());
        }
        self.skip(end + 2);
        Ok(())
    }

    fn quantifier(&mut self) -> Result<bool, String> {
        match self.rest {
            [b'*' | b'+' | b'?', ..] => self.skip(1),
            [b'{', ..] => self.repetition()?,
            _ => return Ok(false),
        }
        match self.rest {
            [b'*' | b'+' | b'?' | b'{', ..] => {
                Err("two repetitions in a row (lazy ones are not accepted)".to_owned())
            }
            _ => Ok(true),
        }
    }

    fn repetition(&mut self) -> Result<(), String> {
        let wrong = "a repetition is written `{2}`, `{2,}` or `{2,5}`, with at most 255";
        let end = self.rest.iter().position(|byte| *byte == b'}').ok_or(wrong)?;
        let text = std::str::from_utf8(&self.rest[1..end]).map_err(|_| wrong)?;
        let (least, most) = text.split_once(',').unwrap_or((text, text));
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().ok()).flatten().filter(|number| *number <= REPEAT_MAX)
        };
        let least: u32 = number(least).ok_or(wrong)?;
        if !most.is_empty() && number(most).ok_or(wrong)? < least {
            return Err(wrong.to_owned());
        }
        self.skip(end + 1);
        Ok(())
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }
}

/// A clean topic's name; `$1` or `${1}` stand for a group of the route's pattern.
#[derive(Debug)]
pub(super) struct Template {
    /// As the regex library expands it: every group in braces, for `$1_x` would be a group `1_x`.
    pub(super) text: String,
    pub(super) groups: Vec<usize>,
    regex: Option<Regex>,
    ends: Ends,
}

impl Template {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let wrong = "a group is written `$1` or `${1}`";
        let (mut out, mut pattern, mut groups) = (String::new(), "^".to_owned(), Vec::new());
        let mut parts = text.split('$');
        let first = parts.next().unwrap_or_default();
        let mut last = first;
        push_literal(first, &mut out, &mut pattern);
        for part in parts {
            let (number, literal) = match part.strip_prefix('{') {
                Some(braced) => braced.split_once('}').ok_or(wrong)?,
                None => part.split_at(part.bytes().take_while(u8::is_ascii_digit).count()),
            };
            if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(wrong.to_owned());
            }
            let number = number.parse().map_err(|_| wrong)?;
            groups.push(number);
            out.push_str(&format!("${{{number}}}"));
            pattern.push_str(".*");
            push_literal(literal, &mut out, &mut pattern);
            last = literal;
        }
        pattern.push('$');
        let whole: String = text.chars().filter(|c| !matches!(c, '$' | '{' | '}')).collect();
        if let Some(fault) = name_fault(&whole) {
            return Err(fault.to_owned());
        }
        let regex = Regex::new(&pattern).ok().filter(|_| !groups.is_empty());
        let ends = Ends { first: first.to_owned(), last: last.to_owned() };
        Ok(Self { text: out, groups, regex, ends })
    }

    /// May it become this topic?
    pub(super) fn may_be(&self, topic: &str) -> bool {
        self.regex.as_ref().map_or(self.text == topic, |regex| regex.is_match(topic))
    }

    /// May it become a topic that the pattern fits?
    pub(super) fn may_fit(&self, pattern: &Pattern) -> bool {
        match self.regex {
            Some(_) => self.ends.may_meet(&pattern.ends),
            None => pattern.regex.is_match(&self.text),
        }
    }
}

fn push_literal(literal: &str, out: &mut String, pattern: &mut String) {
    out.push_str(literal);
    pattern.push_str(&literal.replace('.', "\\."));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_dialects_read_alike_is_accepted() {
        for (text, groups) in [
            ("^raw\\.(.+)$", 1),
            ("^raw\\.web$", 0),
            ("^raw\\.([a-z]+)\\.([^.]{2,5})$", 2),
            ("^(a|b(c|d)?)\\.x*$", 2),
            ("^[a-z_.-]+[0-9]{3}$", 0),
        ] {
            let pattern = Pattern::read(text, true).expect(text);
            assert_eq!(pattern.groups, groups, "{text}");
        }
        assert_eq!(Pattern::read("^raw\\.([^.]+)", false).unwrap().groups, 1);
    }

    #[test]
    fn what_they_read_differently_is_refused() {
        for text in [
            "raw",
            "^raw",
            "raw$",
            "^a|b$",
            "^(a|)$",
            "^()$",
            "^(|a)$",
            "^\\d+$",
            "^\\w$",
            "^a\\$",
            "^(?:a)$",
            "^(?i)a$",
            "^a+?$",
            "^a**$",
            "^a{2}{3}$",
            "^*$",
            "^(*a)$",
            "^a{,3}$",
            "^a{300}$",
            "^a{3,2}$",
            "^[[:alpha:]]$",
            "^[\\d]$",
            "^[]$",
            "^[^]$",
            "^[a$",
            "^(a$",
            "^a)$",
            "^a^b$",
            "^a$b$",
            "^[a--b]$",
            "^[z-a]$",
            "^a b$",
            "^ü$",
            "^a{+3}$",
            "",
        ] {
            assert!(Pattern::read(text, true).is_err(), "{text}");
        }
    }

    #[test]
    fn ends_are_what_every_name_begins_and_ends_with() {
        for (text, first, last) in [
            ("^raw\\.(.+)$", "raw.", ""),
            ("^(.+)\\.raw$", "", ".raw"),
            ("^raw$", "raw", "raw"),
            ("^raws?$", "raw", ""),
            ("^a[bc]d$", "a", "d"),
        ] {
            let ends = Pattern::read(text, true).unwrap().ends;
            assert_eq!((ends.first.as_str(), ends.last.as_str()), (first, last), "{text}");
        }
    }

    #[test]
    fn templates_name_groups() {
        for (text, normal) in [
            ("clean", "clean"),
            ("clean.$1", "clean.${1}"),
            ("$1_clean", "${1}_clean"),
            ("${2}.x.$1", "${2}.x.${1}"),
        ] {
            assert_eq!(Template::read(text).unwrap().text, normal);
        }
        for text in ["", "$", "a.$", "a.$x", "a.${1", "a.${}", "a b", "$1$ü", "ü.$1"] {
            assert!(Template::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn loops_are_seen_and_disjoint_ends_are_not_taken_for_one() {
        let raw = Pattern::read("^raw\\.(.+)$", true).unwrap();
        for (text, fits) in [
            ("clean.$1", false),
            ("raw.$1", true),
            ("$1.clean", true),
            ("raw.x", true),
            ("rawx", false),
        ] {
            assert_eq!(Template::read(text).unwrap().may_fit(&raw), fits, "{text}");
        }
        let suffixed = Pattern::read("^(.+)\\.raw$", true).unwrap();
        assert!(!Template::read("$1.clean").unwrap().may_fit(&suffixed));
        assert!(Template::read("$1.raw").unwrap().may_fit(&suffixed));
        assert!(Template::read("clean.$1").unwrap().may_be("clean.raw"));
        assert!(!Template::read("clean.$1").unwrap().may_be("cleanxraw"));
        assert!(!Template::read("clean").unwrap().may_be("clean.x"));
    }

    #[test]
    fn names_are_kafka_s() {
        for name in ["raw.web", "A_b-9", &"x".repeat(249)] {
            assert_eq!(name_fault(name), None);
        }
        for name in ["", ".", "..", "a b", "a/b", "ü", &"x".repeat(250)] {
            assert!(name_fault(name).is_some(), "{name}");
        }
    }
}
