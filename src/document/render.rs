//! Faults as text, in the manner of rustc: code and message, file with line and column, the line
//! itself with carets under the place, what to write instead.
//!
//! `{}` is plain; `{:#}` carries colours, for `anstream` to take out where nobody sees them.

use super::{Fault, Faults, Source, Span};
use anstyle::{AnsiColor, Style};
use std::fmt::{self, Display, Write as _};

const ERROR: Style = AnsiColor::BrightRed.on_default().bold();
const FRAME: Style = AnsiColor::BrightBlue.on_default().bold();
const STRONG: Style = Style::new().bold();

impl Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            Page { paint: Paint(f.alternate()), faults: self, fault }.write(f)?;
        }
        Ok(())
    }
}

/// Words in a style, or without.
#[derive(Clone, Copy)]
pub struct Paint(pub bool);

impl Paint {
    /// The words in a style.
    #[must_use]
    pub fn on(self, style: Style, text: impl Display) -> String {
        if self.0 { format!("{style}{text}{style:#}") } else { text.to_string() }
    }
}

struct Page<'a> {
    paint: Paint,
    faults: &'a Faults,
    fault: &'a Fault,
}

impl Page<'_> {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { code, source, span, message, hint, notes } = self.fault;
        let (line, column) = source.place(span.start);
        let gutter = " ".repeat(line.to_string().len());
        let error = self.paint.on(ERROR, format_args!("error[{code}]"));
        writeln!(f, "{error}{}", self.paint.on(STRONG, format_args!(": {message}")))?;
        let arrow = self.paint.on(FRAME, "-->");
        writeln!(f, "{gutter}{arrow} {}:{line}:{column}", source.name)?;
        self.write_line(f, line, &gutter)?;
        let equals = self.paint.on(FRAME, "=");
        let bar = self.paint.on(FRAME, "|");
        for note in notes {
            writeln!(f, "{gutter} {bar} {note}")?;
        }
        if let Some(hint) = hint {
            writeln!(f, "{gutter} {equals} {} {hint}", self.paint.on(STRONG, "help:"))?;
        }
        Ok(())
    }

    fn write_line(&self, f: &mut fmt::Formatter<'_>, line: usize, gutter: &str) -> fmt::Result {
        let Fault { source, span, .. } = self.fault;
        let (start, text) = source.line(span.start);
        if text.trim().is_empty() || !self.faults.shows(source, start, text) {
            return Ok(());
        }
        let bar = self.paint.on(FRAME, "|");
        let carets = self.paint.on(ERROR, carets(source, *span));
        writeln!(f, "{gutter} {bar}")?;
        writeln!(f, "{} {bar} {}", self.paint.on(FRAME, line), printable(text.trim_end()))?;
        writeln!(f, "{gutter} {bar} {carets}")
    }
}

/// Spaces up to the place, then a caret for each of its characters on that line, at least one.
fn carets(source: &Source, span: Span) -> String {
    let (line, text) = source.line(span.start);
    let visible = text.trim_end();
    let from = (span.start - line).min(text.len());
    let to = (span.end.max(span.start) - line).min(visible.len()).max(from);
    let chars = |part: Option<&str>| part.map_or(0, |part| part.chars().count());
    let mut carets = " ".repeat(chars(text.get(..from)));
    let _ = write!(carets, "{}", "^".repeat(chars(text.get(from..to)).max(1)));
    carets
}

/// On one line, one column a character, and nothing that a terminal would obey.
#[must_use]
pub fn printable(text: &str) -> String {
    let plain = |c: char| match c {
        '\t' | '\n' | '\r' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Show;

    fn shown(text: &str, show: Show, span: Span) -> String {
        let source = Source::with("a.yaml", text, show);
        let mut faults = Faults::default();
        faults.add(&source, "Y001", span, "no good").hint("write better");
        faults.to_string()
    }

    #[test]
    fn a_fault_points_at_its_place() {
        assert_eq!(
            shown("one: 1\ntwo: ñandú # x\n", Show::Lines, Span::new(12, 19)),
            "error[Y001]: no good\n --> a.yaml:2:6\n  |\n2 | two: ñandú # x\n  |      ^^^^^\n  = help: write better\n"
        );
    }

    #[test]
    fn a_span_over_lines_ends_with_its_first() {
        assert!(shown("ab:\n  c\n", Show::Lines, Span::new(0, 8)).contains("1 | ab:\n  | ^^^\n"));
    }

    #[test]
    fn a_hidden_source_shows_no_line() {
        let text = shown("acme: canary\n", Show::Nothing, Span::new(6, 12));
        assert_eq!(text, "error[Y001]: no good\n --> a.yaml:1:7\n  = help: write better\n");
        let text = shown("password: canary\n", Show::LinesWithoutSecrets, Span::new(0, 1));
        assert!(!text.contains("canary"), "{text}");
    }

    #[test]
    fn a_hidden_span_hides_its_line_for_every_fault() {
        let source = Source::new("a.yaml", "a: 1\nb: canary\n");
        let mut faults = Faults::default();
        faults.add(&source, "Y001", Span::new(5, 6), "about the key");
        faults.hide(&source, Span::new(8, 14));
        assert!(!faults.to_string().contains("canary"));
        faults.add(&source, "Y001", Span::new(0, 1), "about the line before");
        assert!(faults.to_string().contains("1 | a: 1"));
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert!(!shown("a: \u{1b}[31m\n", Show::Lines, Span::new(0, 1)).contains('\u{1b}'));
    }

    #[test]
    fn colours_only_when_asked_for() {
        let source = Source::new("a.yaml", "a: 1\n");
        let mut faults = Faults::default();
        faults.add(&source, "Y001", Span::new(0, 1), "no good");
        let coloured = format!("{faults:#}");
        assert!(coloured.contains('\u{1b}'));
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), faults.to_string());
    }
}
