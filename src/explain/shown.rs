//! An explanation as text for people, and as JSON for programs.

use super::{Explained, Fate, Named, Value};
use crate::document::{Paint, printable};
use crate::policy::trial::Tried;
use anstyle::{AnsiColor, Style};
use serde_json::{Value as Json, json};
use std::fmt::{self, Display};

const GONE: Style = AnsiColor::Red.on_default();
const NEW: Style = AnsiColor::Green.on_default();
const NAME: Style = Style::new().bold();
const QUIET: Style = Style::new().dimmed();

/// `{}` is plain; `{:#}` carries colours, for `anstream` to take out where nobody sees them.
impl Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paint = Paint(f.alternate());
        for value in &self.values {
            value.write(paint, f)?;
        }
        if !self.idle.is_empty() {
            writeln!(f, "\nnothing here is named by")?;
        }
        for named in &self.idle {
            let (Named { rule, path, .. }, at) = (named, named.place());
            writeln!(f, "    `{path}` (rule {rule}, {at})")?;
        }
        let (tenant, version) = &self.policy;
        write!(f, "\ntenant {tenant}, version {version}: ")?;
        match &self.outcome {
            Tried::Clean { .. } => writeln!(f, "the record is clean"),
            Tried::Withheld(reason) => {
                let flaw = self.flaw.as_ref().map(|flaw| format!(", {flaw}"));
                writeln!(f, "the record is withheld: {reason}{}", flaw.unwrap_or_default())
            }
        }
    }
}

impl Value {
    fn write(&self, paint: Paint, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = if self.name { "the name of " } else { "" };
        writeln!(f, "{of}{}  {}", paint.on(NAME, printable(&self.path)), self.why())?;
        let before = printable(&String::from_utf8_lossy(&self.before));
        match &self.fate {
            Fate::Kept => writeln!(f, "    {before}")?,
            _ => writeln!(f, "{}", paint.on(GONE, format_args!("  - {before}")))?,
        }
        if let Fate::Replaced(after) = &self.fate {
            let after = printable(&String::from_utf8_lossy(after));
            writeln!(f, "{}", paint.on(NEW, format_args!("  + {after}")))?;
        }
        for other in &self.passed_by {
            let (Named { rule, path, .. }, at) = (other, other.place());
            let note = format!(
                "    passed by: rule {rule} names it too (`{path}`, {at}), but its `when` does not \
                 hold here, or a stricter rule decides"
            );
            writeln!(f, "{}", paint.on(QUIET, note))?;
        }
        for late in &self.late {
            let (Named { rule, path, .. }, at) = (late, late.place());
            let note = format!("    too late: rule {rule} names it too (`{path}`, {at})");
            writeln!(f, "{}", paint.on(QUIET, note))?;
        }
        for (near, meant) in &self.near {
            let (Named { rule, path, .. }, at, meant) = (near, near.place(), printable(meant));
            let note =
                format!("    nearly: rule {rule} ({at}) names `{path}`; `{meant}` would name it");
            writeln!(f, "{}", paint.on(QUIET, note))?;
        }
        Ok(())
    }

    fn why(&self) -> String {
        let Some(by) = &self.by else {
            let fate = match self.fate {
                Fate::Kept => "kept",
                Fate::Replaced(_) => "redacted",
                Fate::Dropped | Fate::Withheld => "dropped",
            };
            return format!("no rule names it: {fate}");
        };
        let mismatch = match (self.mismatch, self.of_somebody) {
            (false, _) => "",
            (true, false) => ", a value of another kind: mismatch",
            (true, true) => ", a value of another kind, or without its subject: mismatch",
        };
        let withheld = if self.fate == Fate::Withheld { ", the record is withheld" } else { "" };
        let gone = self.fate == Fate::Dropped && !by.rule.ends_with(" drop");
        let gone = if gone {
            ", in a container that goes but for what an earlier rule leaves"
        } else {
            ""
        };
        format!("rule {} (`{}`, {}){mismatch}{withheld}{gone}", by.rule, by.path, by.place())
    }

    fn json(&self) -> Json {
        let named = Named::json;
        let near = |(near, meant): &(Named, String)| {
            let mut json = named(near);
            json["meant"] = json!(meant);
            json
        };
        let (fate, after) = match &self.fate {
            Fate::Kept => ("kept", Some(&self.before)),
            Fate::Replaced(after) => ("replaced", Some(after)),
            Fate::Dropped => ("dropped", None),
            Fate::Withheld => ("withheld", None),
        };
        json!({
            "path": self.path,
            "name": self.name,
            "fate": fate,
            "by": self.by.as_ref().map(named),
            "mismatch": self.mismatch,
            "before": String::from_utf8_lossy(&self.before),
            "after": after.map(|after| String::from_utf8_lossy(after)),
            "passed_by": self.passed_by.iter().map(named).collect::<Vec<_>>(),
            "late": self.late.iter().map(named).collect::<Vec<_>>(),
            "near": self.near.iter().map(near).collect::<Vec<_>>(),
        })
    }
}

impl Named {
    fn place(&self) -> String {
        match &self.file {
            None => format!("line {}", self.line),
            Some(file) => format!("{file}, line {}", self.line),
        }
    }

    fn json(&self) -> Json {
        let mut json = json!({"rule": self.rule, "path": self.path, "line": self.line});
        if let Some(file) = &self.file {
            json["file"] = json!(file);
        }
        json
    }
}

impl Explained {
    /// All of it as one JSON object. Values are given as text, in the spelling that they have in
    /// the record.
    #[must_use]
    pub fn json(&self) -> Json {
        let (tenant, version) = &self.policy;
        let text = |bytes: &Option<Vec<u8>>| {
            bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        let (withheld, clean) = match &self.outcome {
            Tried::Withheld(reason) => (Some(reason.name()), Json::Null),
            Tried::Clean { value, key, headers } => {
                let header = |(name, value): &(Vec<u8>, Option<Vec<u8>>)| {
                    json!([String::from_utf8_lossy(name), text(value)])
                };
                let headers: Vec<Json> = headers.iter().map(header).collect();
                (None, json!({"value": text(value), "key": text(key), "headers": headers}))
            }
        };
        let idle = self.idle.iter();
        json!({
            "tenant": &**tenant,
            "version": version,
            "withheld": withheld,
            "flaw": self.flaw,
            "clean": clean,
            "values": self.values.iter().map(Value::json).collect::<Vec<_>>(),
            "idle": idle.map(Named::json).collect::<Vec<_>>(),
        })
    }
}
