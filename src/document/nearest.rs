//! "Did you mean …?": the known name that is fewest slips of the finger away.

/// The nearest of `known`, if it is near enough to be meant: at most one slip for every three
/// letters, and two for the rest.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|name| (slips(&wrong, name), name))
        .filter(|(slips, name)| *slips <= (name.len().max(wrong.len()) / 3).clamp(1, 3))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, name)| name)
}

/// `a`, `b` and `c`, each in back-quotes.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => "nothing".into(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// Edits between two words: a letter put in, left out, changed, or swapped with its neighbour.
fn slips(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        assert_eq!(slips("", "abc"), 3);
        assert_eq!(slips("tenant", "tenant"), 0);
        assert_eq!(slips("tennant", "tenant"), 1);
        assert_eq!(slips("tneant", "tenant"), 1);
        assert_eq!(slips("kitten", "sitting"), 3);
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        assert_eq!(nearest("truncate-ip", ["drop", "truncate_ip"]), Some("truncate_ip"));
        assert_eq!(nearest("drp", ["drop", "redact"]), Some("drop"));
        assert_eq!(nearest("anything", ["drop", "redact"]), None);
        assert_eq!(nearest("do", ["drop", "key"]), None);
    }

    #[test]
    fn lists_read_as_prose() {
        assert_eq!(listed([]), "nothing");
        assert_eq!(listed(["a"]), "`a`");
        assert_eq!(listed(["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
