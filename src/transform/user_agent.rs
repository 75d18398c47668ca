//! `user_agent`: a program's family and major version, and nothing else of its long name.
//!
//! A heuristic, on a short table: User-Agent strings have no grammar that programs keep to, and claim
//! to be one another. What comes out is a word of the table and at most four digits, so whatever is
//! not known, be it somebody's name, becomes `Other`. Crates for this carry rules of a megabyte and
//! regular expressions; which build of which telephone it was is what should not get through.

use super::{Example, Outcome, Shows, Spec, Transform};
use crate::format::Out;

pub(super) static SPEC: Spec = Spec {
    name: "user_agent",
    about: "Leaves family and major version of a User-Agent.",
    doc: "A string becomes a family that limpid knows and its major version, such as `Firefox 130`, or \
          the family alone where no version of at most four digits stands with it, or `Other`. It is a \
          heuristic: families are found by the names of products (`Edg/128` before `Chrome/128` before \
          `Safari/537`), and programs can claim to be others. An empty string and `null` stay; \
          anything else is a mismatch.",
    params: &[],
    examples: &[
        Example {
            params: "",
            before: r#""Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0""#,
            after: r#""Firefox 130""#,
        },
        Example { params: "", before: r#""curl/8.5.0""#, after: r#""curl 8""# },
        Example { params: "", before: r#""Jane Doe, phone""#, after: r#""Other""# },
    ],
    needs_key: false,
    whole: false,
    shows: Shows::Part,
    build: |_| Ok(Transform::UserAgent),
};

/// Names of products with their families. The first that stands in a text decides, so those that
/// claim to be others come first.
static PRODUCTS: &[(&str, &str)] = &[
    ("Googlebot", "Googlebot"),
    ("bingbot", "Bingbot"),
    ("Applebot", "Applebot"),
    ("YandexBot", "YandexBot"),
    ("Baiduspider", "Baiduspider"),
    ("DuckDuckBot", "DuckDuckBot"),
    ("facebookexternalhit", "Facebook"),
    ("Twitterbot", "Twitterbot"),
    ("GPTBot", "GPTBot"),
    ("ClaudeBot", "ClaudeBot"),
    ("AhrefsBot", "AhrefsBot"),
    ("SemrushBot", "SemrushBot"),
    ("Edg", "Edge"),
    ("EdgA", "Edge"),
    ("EdgiOS", "Edge"),
    ("Edge", "Edge"),
    ("OPR", "Opera"),
    ("Opera", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("YaBrowser", "Yandex"),
    ("Vivaldi", "Vivaldi"),
    ("UCBrowser", "UC Browser"),
    ("Electron", "Electron"),
    ("FxiOS", "Firefox"),
    ("Firefox", "Firefox"),
    ("CriOS", "Chrome"),
    ("HeadlessChrome", "Headless Chrome"),
    ("Chromium", "Chromium"),
    ("Chrome", "Chrome"),
    ("Trident", "Internet Explorer"),
    (SAFARI, SAFARI),
    ("curl", "curl"),
    ("Wget", "Wget"),
    ("python-requests", "Python Requests"),
    ("Python-urllib", "Python urllib"),
    ("aiohttp", "aiohttp"),
    ("Go-http-client", "Go"),
    ("okhttp", "OkHttp"),
    ("Apache-HttpClient", "Apache HttpClient"),
    ("Java", "Java"),
    ("PostmanRuntime", "Postman"),
    ("axios", "axios"),
    ("node-fetch", "node-fetch"),
    ("kubectl", "kubectl"),
    ("kubelet", "kubelet"),
    ("kube-probe", "kube-probe"),
    ("Prometheus", "Prometheus"),
    ("ELB-HealthChecker", "ELB"),
];

/// Its version stands with another product, `Version/17.4`.
const SAFARI: &str = "Safari";

pub(super) fn apply(text: &str, out: &mut Out<'_>) -> Outcome {
    if text.is_empty() {
        return Outcome::Unchanged;
    }
    let (family, major) = read(text);
    out.open();
    out.push_plain(family.as_bytes());
    if !major.is_empty() {
        out.push_plain(b" ");
        out.push_plain(major.as_bytes());
    }
    out.close();
    Outcome::Replaced
}

/// Family and major version; an empty one if there is none.
fn read(text: &str) -> (&'static str, &str) {
    let mut best = (PRODUCTS.len(), "");
    let mut version = "";
    for slash in memchr::memchr_iter(b'/', text.as_bytes()) {
        let (name, major) = (name_before(&text[..slash]), major(&text[slash + 1..]));
        if name == "Version" {
            version = major;
        }
        let rank = PRODUCTS[..best.0].iter().position(|(product, _)| *product == name);
        best = rank.map_or(best, |rank| (rank, major));
    }
    match PRODUCTS.get(best.0) {
        Some((_, SAFARI)) => (SAFARI, version),
        // The engine's version is not the browser's.
        Some((_, family @ "Internet Explorer")) => {
            (family, text.split_once("rv:").map_or("", |(_, rest)| major(rest)))
        }
        Some((_, family)) => (family, best.1),
        None => ("Other", ""),
    }
}

/// The name that a text ends with.
fn name_before(text: &str) -> &str {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let length = text.bytes().rev().take_while(fits).count();
    &text[text.len() - length..]
}

/// The number that a text begins with, if it has at most four digits.
fn major(text: &str) -> &str {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits <= 4 { &text[..digits] } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_found_behind_what_they_claim() {
        const MOZILLA: &str =
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko)";
        for (text, want) in [
            (format!("{MOZILLA} Chrome/126.0.0.0 Safari/537.36"), ("Chrome", "126")),
            (format!("{MOZILLA} Chrome/126.0.0.0 Safari/537.36 Edg/127.0"), ("Edge", "127")),
            (format!("{MOZILLA} Version/17.4 Mobile/15E148 Safari/604.1"), ("Safari", "17")),
            (format!("{MOZILLA} CriOS/126.0 Mobile/15E148 Safari/604.1"), ("Chrome", "126")),
            (
                "Mozilla/5.0 (compatible; Googlebot/2.1; +http://google.com/bot)".into(),
                ("Googlebot", "2"),
            ),
            (
                "Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko".into(),
                ("Internet Explorer", "11"),
            ),
            ("python-requests/2.31.0".into(), ("Python Requests", "2")),
            ("curl/jane".into(), ("curl", "")),
            ("curl/49170123".into(), ("curl", "")),
            ("curl".into(), ("Other", "")),
            ("jane/7".into(), ("Other", "")),
            ("/".into(), ("Other", "")),
            ("éChrome/1".into(), ("Chrome", "1")),
        ] {
            assert_eq!(read(&text), want, "{text}");
        }
    }
}
