//! `url`: a URL keeps the parts that are asked for.
//!
//! Reads URLs as `strip_query` does. User-info and fragment always go.

use super::strip_query::{Parameters, authority, first_segment, is_named, read, scheme};
use super::{Args, Example, Kind, Outcome, Param, Shows, Spec, Transform};
use crate::format::Out;

/// Which parts stay.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url(Box<Kept>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kept {
    host: bool,
    path: Path,
    names: bool,
    parameters: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Path {
    All,
    First,
    None,
}

pub(super) static SPEC: Spec = Spec {
    name: "url",
    about: "Leaves the parts of a URL that are asked for.",
    doc: "A string that is a URL or a relative reference loses `user:password@` and `#…` always. \
          `host: drop` takes scheme, host and port out too. Of the path all stays, the first segment \
          alone (`first`), or nothing. Of the query the parameters named in `keep` stay; of the others \
          nothing, or with `query: names` their names. What cannot be read safely (see `strip_query`) \
          is a mismatch; so is, with `host: drop`, what begins with neither scheme nor slash and may \
          be a host. So are numbers, `true` and `false`; `null` stays.",
    params: &[
        Param {
            name: "host",
            kind: Kind::Word { of: &["keep", "drop"], default: "keep" },
            doc: "scheme, host and port",
        },
        Param {
            name: "path",
            kind: Kind::Word { of: &["keep", "first", "drop"], default: "keep" },
            doc: "the path",
        },
        Param {
            name: "query",
            kind: Kind::Word { of: &["drop", "names"], default: "drop" },
            doc: "parameters that are not in `keep`",
        },
        Param { name: "keep", kind: Kind::Names, doc: "names of parameters that stay" },
    ],
    examples: &[
        Example {
            params: "path: drop",
            before: r#""https://u:p@shop.example:8080/user/jane?id=7#top""#,
            after: r#""https://shop.example:8080""#,
        },
        Example {
            params: "host: drop\npath: first",
            before: r#""https://shop.example/user/jane?id=7""#,
            after: r#""/user""#,
        },
        Example {
            params: "query: names\nkeep: page",
            before: r#""/search?q=jane&page=2""#,
            after: r#""/search?q&page=2""#,
        },
        Example { params: "", before: r#""mailto:jane@x.example""#, after: r#""[redacted]""# },
    ],
    needs_key: false,
    whole: false,
    shows: Shows::Part,
    build: |args| {
        let mut args = Args::new(args);
        let host = args.word() != "drop";
        let path = match args.word() {
            "first" => Path::First,
            "drop" => Path::None,
            _ => Path::All,
        };
        if !host && path == Path::None {
            return Err("`host: drop` and `path: drop` leave no URL: use `drop` or `set`".into());
        }
        let (names, parameters) = (args.word() == "names", args.names());
        Ok(Transform::Url(Url(Kept { host, path, names, parameters }.into())))
    },
};

impl Url {
    pub(super) fn apply(&self, text: &str, out: &mut Out<'_>) -> Outcome {
        match self.0.write(text, out) {
            None => Outcome::Mismatch,
            Some(true) => Outcome::Unchanged,
            Some(false) => Outcome::Replaced,
        }
    }
}

impl Kept {
    /// Writes what stays. True if that is all of it; `None` if it cannot be read.
    fn write(&self, text: &str, out: &mut Out<'_>) -> Option<bool> {
        let (parts, user_info) = read(text)?;
        let path = path_start(parts.path)?;
        if !self.host && path == 0 && !parts.path.is_empty() && !starts_with_slash(parts.path) {
            return None;
        }
        let mut copy = Copy { of: text, same: true, out };
        copy.out.open();
        if self.host {
            copy.push(&parts.path[..user_info.start]);
            copy.push(&parts.path[user_info.end..path.max(user_info.end)]);
        } else if parts.path.len() == path {
            copy.push("/");
        }
        copy.push(self.path.of(&parts.path[path..]));
        self.query(parts.query, &mut copy);
        copy.out.close();
        Some(copy.same && copy.of.is_empty())
    }

    fn query(&self, query: &str, copy: &mut Copy<'_, '_, '_>) {
        let mut separator = "?";
        for parameter in Parameters::of(query) {
            let parameter = &query[parameter];
            let name = parameter.split('=').next().unwrap_or_default();
            let is_kept = |kept: &String| is_named(parameter.as_bytes(), kept);
            let shown = match self.parameters.iter().any(is_kept) {
                true => parameter,
                false if self.names && !name.is_empty() => name,
                false => continue,
            };
            copy.push(separator);
            copy.push(shown);
            separator = "&";
        }
    }
}

impl Path {
    fn of(self, path: &str) -> &str {
        match self {
            Self::All => path,
            Self::None => "",
            Self::First => {
                let slash = usize::from(starts_with_slash(path));
                &path[..slash + first_segment(&path[slash..]).len()]
            }
        }
    }
}

/// Writes pieces, and watches whether they are those of a text, in its order.
struct Copy<'t, 'o, 'a> {
    /// What of the text was not written yet.
    of: &'t str,
    same: bool,
    out: &'o mut Out<'a>,
}

impl Copy<'_, '_, '_> {
    fn push(&mut self, piece: &str) {
        match self.of.strip_prefix(piece) {
            Some(rest) => self.of = rest,
            None => self.same = false,
        }
        self.out.push_piece(piece);
    }
}

fn starts_with_slash(text: &str) -> bool {
    text.starts_with(['/', '\\'])
}

/// Where the path begins in a URL without query, behind scheme, host and port.
fn path_start(url: &str) -> Option<usize> {
    if let Some(start) = authority(url)? {
        return Some(start + first_segment(&url[start..]).len());
    }
    let Some(scheme) = scheme(url) else { return Some(0) };
    // `app:/a` has no host, `localhost:8080/a` is one with its port.
    let behind = scheme.len() + 1;
    Some(if starts_with_slash(&url[behind..]) { behind } else { first_segment(url).len() })
}

#[cfg(test)]
mod tests {
    use super::super::Arg;
    use super::*;

    fn left(host: &'static str, path: &'static str, query: &'static str, text: &str) -> String {
        let keep = Arg::Names(vec!["a".into()]);
        let args = [Arg::Word(host), Arg::Word(path), Arg::Word(query), keep];
        let Ok(Transform::Url(url)) = (SPEC.build)(&args) else { panic!() };
        let mut bytes = Vec::new();
        match url.apply(text, &mut Out::plain(&mut bytes)) {
            Outcome::Replaced => String::from_utf8(bytes).unwrap(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn each_part_stays_or_goes() {
        for (host, path, query, before, after) in [
            ("keep", "keep", "drop", "https://u@h:1/a/b?x=1&a=2#f", "https://h:1/a/b?a=2"),
            ("keep", "keep", "drop", "https://h/a?a=2", "Unchanged"),
            ("keep", "keep", "names", "/p?x&y=1;a=2&=3", "/p?x&y&a=2"),
            ("keep", "keep", "names", "/p?x;a=2", "/p?x&a=2"),
            ("keep", "first", "drop", "https://h/a/b", "https://h/a"),
            ("keep", "first", "drop", "https://h", "Unchanged"),
            ("keep", "first", "drop", "a/b", "a"),
            ("keep", "first", "drop", "https://h//b", "https://h/"),
            ("keep", "drop", "drop", "app:/p", "app:"),
            ("keep", "drop", "drop", "localhost:80/p", "localhost:80"),
            ("keep", "drop", "drop", "/p?a=1", "?a=1"),
            ("drop", "keep", "drop", "https://u:p@h", "/"),
            ("drop", "keep", "drop", "HTTP:\\\\h\\p", "\\p"),
            ("drop", "keep", "drop", "//h/p", "/p"),
            ("drop", "keep", "drop", "localhost:80/p", "/p"),
            ("drop", "keep", "drop", "app:/p", "/p"),
            ("drop", "keep", "drop", "/p", "Unchanged"),
            ("drop", "keep", "drop", "h.example/p", "Mismatch"),
            ("drop", "keep", "drop", "?a=1", "/?a=1"),
            ("drop", "first", "drop", "", "/"),
            ("keep", "keep", "drop", "tel:4917", "Mismatch"),
            ("keep", "keep", "drop", "a b", "Mismatch"),
        ] {
            assert_eq!(left(host, path, query, before), after, "{host} {path} {query} {before}");
        }
    }
}
