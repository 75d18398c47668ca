//! `strip_query`: a URL keeps where it leads, not what it carries.
//!
//! Written after how browsers read URLs (the WHATWG URL standard), as that is what put them into
//! the events: `http:\\u:p@host` has user-info too. What is read differently by different readers
//! is a mismatch, not a guess.

use super::{Args, Example, Kind, Outcome, Param, Shows, Spec, Transform};
use crate::format::Out;
use crate::scan::{find, find_or_control};
use std::ops::Range;
use std::sync::Arc;

/// The names of the parameters that stay.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StripQuery {
    keep: Arc<[String]>,
}

pub(super) static SPEC: Spec = Spec {
    name: "strip_query",
    about: "Takes query, fragment and user-info out of a URL.",
    doc: "A string that is a URL or a relative reference loses `?…`, `#…` and `user:password@`. \
          Parameters named in `keep` stay, in their order (matched by exact spelling; both `&` and \
          `;` separate). What cannot be read as a URL with a path (`mailto:`, `tel:`, `data:`, an \
          address without a scheme such as `a@b.example`, `user@` with no host behind it, spaces before \
          the query) is a mismatch, as are numbers, `true` and `false`; `null` stays.",
    params: &[Param { name: "keep", kind: Kind::Names, doc: "names of parameters that stay" }],
    examples: &[
        Example {
            params: "keep: [utm_source]",
            before: r#""https://jane:pw@shop.example/a?email=j@x.example&utm_source=mail#top""#,
            after: r#""https://shop.example/a?utm_source=mail""#,
        },
        Example { params: "", before: r#""\/search?q=jane""#, after: r#""/search""# },
        Example { params: "", before: r#""mailto:jane@x.example""#, after: r#""[redacted]""# },
    ],
    needs_key: false,
    whole: false,
    shows: Shows::Part,
    build: |args| {
        let keep = Args::new(args).names();
        Ok(Transform::StripQuery(StripQuery { keep: keep.into() }))
    },
};

impl StripQuery {
    pub(super) fn apply(&self, text: &str, out: &mut Out<'_>) -> Outcome {
        let Some((parts, user_info)) = read(text) else { return Outcome::Mismatch };
        if parts.path.len() == text.len() && user_info.is_empty() {
            return Outcome::Unchanged;
        }
        out.open();
        if user_info.start > 0 {
            out.push_piece(&parts.path[..user_info.start]);
        }
        let mut piece = user_info.end..parts.path.len();
        if !self.keep.is_empty() && !parts.query.is_empty() {
            self.query(text, &mut piece, parts.query, out);
        }
        out.push_piece(&text[piece]);
        out.close();
        Outcome::Replaced
    }

    /// Writes `piece` of the text and the parameters that stay behind it, but for the last piece: what
    /// stands side by side is copied at once.
    #[inline(always)]
    fn query(&self, text: &str, piece: &mut Range<usize>, query: &str, out: &mut Out<'_>) {
        let (mut separator, start) = (b'?', piece.end + 1);
        for parameter in Parameters::of(query) {
            let named = &query.as_bytes()[parameter.clone()];
            if !self.keep.iter().any(|kept| is_named(named, kept)) {
                continue;
            }
            let (at, end) = (start + parameter.start, start + parameter.end);
            if piece.end + 1 == at && text.as_bytes()[piece.end] == separator {
                piece.end = end;
            } else {
                out.push_piece(&text[piece.clone()]);
                out.push_plain(&[separator]);
                *piece = at..end;
            }
            separator = b'&';
        }
    }
}

/// A URL.
pub(super) struct Parts<'a> {
    /// What stands before the first `?` or `#`.
    pub(super) path: &'a str,
    /// What stands behind the `?`, if that is the first of the two; the fragment too.
    pub(super) query: &'a str,
}

impl<'a> Parts<'a> {
    /// The parts of a URL whose path ends at `end`.
    #[inline]
    fn of(url: &'a str, end: usize) -> Self {
        let (path, rest) = url.split_at(end);
        Self { path, query: rest.strip_prefix('?').unwrap_or_default() }
    }
}

/// A URL's parts, and where the user-info is ([`user_info`]).
#[inline]
pub(super) fn read(url: &str) -> Option<(Parts<'_>, Range<usize>)> {
    let end = find_or_control(url.as_bytes(), [b'?', b'#', b'@']).unwrap_or(url.len());
    // Up to here is no user-info and nothing unreadable; and most URLs begin like this.
    let plain = matches!(url.as_bytes().get(end), None | Some(b'?' | b'#'));
    let path = &url.as_bytes()[..end];
    if plain
        && (path.starts_with(b"https://") || path.starts_with(b"http://") || path.starts_with(b"/"))
    {
        return Some((Parts::of(url, end), 0..0));
    }
    let parts = Parts::of(url, find(url.as_bytes(), [b'?', b'#']).unwrap_or(url.len()));
    let user_info = user_info(parts.path)?;
    Some((parts, user_info))
}

/// Where the parameters of a query are, both separators honoured, up to the fragment.
pub(super) struct Parameters<'a> {
    query: &'a [u8],
    /// Where the next one begins.
    at: Option<usize>,
}

impl<'a> Parameters<'a> {
    pub(super) const fn of(query: &'a str) -> Self {
        Self { query: query.as_bytes(), at: Some(0) }
    }
}

impl Iterator for Parameters<'_> {
    type Item = Range<usize>;

    #[inline(always)]
    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.at?;
        let rest = &self.query[start..];
        let end = start + find(rest, [b'&', b';', b'#']).unwrap_or(rest.len());
        self.at = self.query.get(end).filter(|byte| **byte != b'#').map(|_| end + 1);
        Some(start..end)
    }
}

/// Is it the parameter of that name, with a value or without?
#[inline(always)]
pub(super) fn is_named(parameter: &[u8], name: &str) -> bool {
    // Where the name must end is looked at first: that tells nearly all of them apart.
    matches!(parameter.get(name.len()), None | Some(b'='))
        && parameter.get(..name.len()).is_some_and(|start| is_same(start, name.as_bytes()))
}

/// Are these two, of one length, the same? Without a call for names of the usual length.
#[inline(always)]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    if let (8..=16, Some(first), Some(last)) =
        (one.len(), one.first_chunk::<8>(), one.last_chunk::<8>())
    {
        return other.starts_with(first) && other.ends_with(last);
    }
    one == other
}

/// Where the user-info with its `@` stands in a URL without query and fragment, or an empty range;
/// `None` if the text cannot be read safely.
fn user_info(url: &str) -> Option<Range<usize>> {
    if find_or_control(url.as_bytes(), []).is_some() {
        return None;
    }
    let start = match authority(url)? {
        Some(start) => start,
        None if first_segment(url).contains('@') => return None,
        None => return Some(0..0),
    };
    let authority = first_segment(&url[start..]);
    match authority.rfind('@').map(|at| at + 1) {
        // No host: no browser reads that, and without `u@` the path of `http://u@/p` would become the host.
        Some(end) if end == authority.len() => None,
        Some(end) => Some(start..start + end),
        None => Some(start..start),
    }
}

/// Where the authority begins, if there is one; `None` for a scheme that has no such parts.
pub(super) fn authority(url: &str) -> Option<Option<usize>> {
    let Some(scheme) = scheme(url) else {
        // Browsers read either slash so, at a URL's start too.
        let slashes = matches!(url.as_bytes(), [b'/' | b'\\', b'/' | b'\\', ..]);
        return Some(slashes.then_some(2));
    };
    let rest = &url[scheme.len() + 1..];
    if ["http", "https", "ws", "wss", "ftp"].iter().any(|name| scheme.eq_ignore_ascii_case(name)) {
        let slashes = rest.len() - rest.trim_start_matches(['/', '\\']).len();
        return Some(Some(scheme.len() + 1 + slashes));
    }
    if rest.starts_with("//") {
        return Some(Some(scheme.len() + 3));
    }
    // `app:/a` has a path; so has `localhost:8080/a`, which is a host and its port. Any other text
    // here is content: `mailto:`, `data:`, and `tel:491701234567`, which looks like the latter.
    let readable = rest.starts_with(['/', '\\']) || is_host(scheme) && is_port(first_segment(rest));
    readable.then_some(None)
}

fn is_host(name: &str) -> bool {
    name == "localhost" || name.contains('.')
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The scheme of a URL, without its colon (RFC 3986, section 3.1).
pub(super) fn scheme(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once(':')?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    (scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(fits))
        .then_some(scheme)
}

/// What stands before the first slash, of either kind.
pub(super) fn first_segment(text: &str) -> &str {
    text.split(['/', '\\']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(text: &str) -> String {
        let keep: Vec<String> = vec!["a".into(), "utm_source".into()];
        let mut bytes = Vec::new();
        let transform = StripQuery { keep: keep.into() };
        match transform.apply(text, &mut Out::plain(&mut bytes)) {
            Outcome::Replaced => String::from_utf8(bytes).unwrap(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn query_fragment_and_user_info_go() {
        for (before, after) in [
            ("https://h/p?x=1", "https://h/p"),
            ("HTTPS://h/p?x=1", "HTTPS://h/p"),
            ("https://h/p?x=1&a=2;b=3;utm_source=m#f", "https://h/p?a=2&utm_source=m"),
            ("https://h/p#f?a=1", "https://h/p"),
            ("/p?a=1&utm_source=m&x=2&a", "/p?a=1&utm_source=m&a"),
            ("/p?x&a=1;a=2;a=3&a=4#f", "/p?a=1&a=2&a=3&a=4"),
            ("http://u@h?a&a", "http://h?a&a"),
            ("/p?", "/p"),
            ("https://u:p@h/p@q", "https://h/p@q"),
            ("https://u@x@h", "https://h"),
            ("HTTP:\\\\u@h\\p", "HTTP:\\\\h\\p"),
            ("https:u@h/p", "https:h/p"),
            ("ssh://git@h/p", "ssh://h/p"),
            ("//u@h/p", "//h/p"),
            ("\\\\u:p@h", "\\\\h"),
            ("https://u@:80/p", "https://:80/p"),
            ("/\\u:p@h", "/\\h"),
            ("/p?x", "/p"),
            ("?x", ""),
            ("localhost:80/p?x", "localhost:80/p"),
            ("https://h/p", "Unchanged"),
            ("/@jane", "Unchanged"),
            ("", "Unchanged"),
            ("app:/p?x", "app:/p"),
            ("shop.example:8080?x", "shop.example:8080"),
            ("mailto:a@b", "Mismatch"),
            ("tel:4917012345", "Mismatch"),
            ("tel:49170", "Mismatch"),
            ("localhost:4917012345", "Mismatch"),
            ("id:", "Mismatch"),
            ("user:pw@h/p", "Mismatch"),
            ("ws:@/", "Mismatch"),
            ("http:u@/p", "Mismatch"),
            ("http://u:p@?x", "Mismatch"),
            ("app://u@v@\\p", "Mismatch"),
            ("//u@", "Mismatch"),
            ("a@b.example", "Mismatch"),
            (" https://u@h", "Mismatch"),
            ("ht\ttps://u@h", "Mismatch"),
            ("GET /p?x HTTP/1.1", "Mismatch"),
        ] {
            assert_eq!(stripped(before), after, "{before}");
        }
    }
}
