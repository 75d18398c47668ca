//! librdkafka settings: passed through, but checked by the client itself on a scratch
//! configuration, and never with a secret in the file.

use super::secret::{SOURCE_FORM, read_source};
use super::{Secrets, Settings};
use crate::document::{Field, Kind, Reader};
use crate::kafka::settings::{Kind as Client, RESERVED, check_setting};
use std::path::Path;

/// Settings that have a key of their own in the configuration.
const OWN_KEY: &[(&str, &str)] = &[
    ("bootstrap.servers", "set `brokers:` or `clean_brokers:` instead"),
    ("metadata.broker.list", "set `brokers:` or `clean_brokers:` instead"),
];

/// Reads `kafka:`, `consumer:` or `producer:`.
pub(super) fn read_settings(
    field: Option<&Field<'_>>,
    client: Client,
    base: &Path,
    secrets: Secrets,
    reader: &mut Reader<'_>,
) -> Settings {
    let mut settings = Settings::default();
    let Some(mut table) = field.and_then(|field| field.table(reader)) else { return settings };
    for entry in table.rest() {
        if let Some(value) = read_setting(&entry, client, base, secrets, reader) {
            settings.0.push((entry.name.to_owned(), value));
        }
    }
    settings
}

fn read_setting(
    entry: &Field<'_>,
    client: Client,
    base: &Path,
    secrets: Secrets,
    reader: &mut Reader<'_>,
) -> Option<String> {
    if let Some((_, reason)) = OWN_KEY.iter().chain(RESERVED).find(|(name, _)| *name == entry.name)
    {
        entry.hide(reader);
        let message = format!("`{}` is limpid's own setting", entry.name);
        reader.fault("C011", entry.name_span, message).hint(*reason);
        return None;
    }
    let value = match &entry.node.kind {
        Kind::Map(_) => read_secret(entry, base, secrets, reader)?,
        Kind::Text(text) | Kind::Number(text) => text.clone(),
        Kind::Bool(value) => value.to_string(),
        _ => entry.text(reader)?.to_owned(),
    };
    if is_secret(entry.name) && !matches!(entry.node.kind, Kind::Map(_)) {
        entry.hide(reader);
        let message = format!("`{}` is a secret and must not stand in this file", entry.name);
        reader.fault("C012", entry.name_span, message).hint(SOURCE_FORM);
        return None;
    }
    let value = located(entry.name, value, base);
    if let Err(told) = check_setting(client, entry.name, &value) {
        // A misspelt `sasl.pasword` is no secret by its name.
        entry.hide(reader);
        reader.fault("C010", entry.name_span, told).hint(SETTINGS_ARE);
        return None;
    }
    Some(value)
}

const SETTINGS_ARE: &str = "the settings are those of librdkafka: \
    https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md";

fn read_secret(
    entry: &Field<'_>,
    base: &Path,
    secrets: Secrets,
    reader: &mut Reader<'_>,
) -> Option<String> {
    let source = read_source(entry, base, reader)?;
    if secrets == Secrets::Leave {
        return None;
    }
    match source.read_line() {
        Ok(line) => Some(line.as_str().to_owned()),
        Err(error) => {
            reader.fault("C013", entry.span(), error.to_string());
            None
        }
    }
}

/// Settings whose value is a secret, whatever librdkafka's later versions add.
fn is_secret(name: &str) -> bool {
    name.contains("password")
        || name.contains("secret")
        || matches!(name, "ssl.key.pem" | "sasl.oauthbearer.config")
}

/// Files that settings name are relative to the configuration's folder, as every path is.
fn located(name: &str, value: String, base: &Path) -> String {
    let is_path = name.starts_with("ssl.") && name.ends_with(".location") && value != "probe";
    if is_path { base.join(value).display().to_string() } else { value }
}
