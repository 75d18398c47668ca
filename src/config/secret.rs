//! Where a configuration says that a secret is.

use crate::document::{Field, Kind, Reader};
use crate::keys::SecretSource;
use std::path::{Path, PathBuf};

/// What such a place looks like.
pub(super) const SOURCE_FORM: &str =
    "write where it is: `{file: PATH}`, `{env: VARIABLE}` or `{command: [PROGRAM, ARGUMENT]}`";

/// Reads `{file: …}`, `{env: …}` or `{command: […]}`.
pub(super) fn read_source(
    field: &Field<'_>,
    base: &Path,
    reader: &mut Reader<'_>,
) -> Option<SecretSource> {
    if !matches!(field.node.kind, Kind::Map(_)) {
        let message = format!("`{}` must say where its secret is", field.name);
        reader.fault("C013", field.span(), message).hint(SOURCE_FORM);
        return None;
    }
    let mut table = field.table(reader)?;
    let (file, env, command) = (table.take("file"), table.take("env"), table.take("command"));
    let before = reader.faults.len();
    table.finish(reader);
    match (file, env, command) {
        (Some(file), None, None) => Some(SecretSource::File(base.join(file.text(reader)?))),
        (None, Some(env), None) => read_variable(&env, reader),
        (None, None, Some(command)) => read_command(&command, reader),
        // The unknown key that was just refused is the one that was meant.
        (None, None, None) if reader.faults.len() > before => None,
        _ => {
            let message = format!("`{}` must name one place of its secret", field.name);
            reader.fault("C013", field.span(), message).hint(SOURCE_FORM);
            None
        }
    }
}

fn read_variable(env: &Field<'_>, reader: &mut Reader<'_>) -> Option<SecretSource> {
    let name = env.text(reader)?;
    if name.is_empty() || name.contains(['=', '\0', '$']) {
        reader
            .fault("C013", env.span(), "not the name of an environment variable")
            .hint("write the bare name: `{env: KAFKA_PASSWORD}`");
        return None;
    }
    Some(SecretSource::Env(name.to_owned()))
}

fn read_command(command: &Field<'_>, reader: &mut Reader<'_>) -> Option<SecretSource> {
    let wanted = "`command` must be a list: program and arguments (no shell reads it)";
    let Kind::List(items) = &command.node.kind else {
        reader.fault("C013", command.span(), wanted).hint("`[vault, read, -field=password, path]`");
        return None;
    };
    let words: Vec<String> =
        command.texts(reader)?.into_iter().map(|(text, _)| text.to_owned()).collect();
    if words.is_empty() {
        reader.fault("C013", command.span(), wanted);
    }
    // An item of another kind has been refused and left out.
    (!words.is_empty() && words.len() == items.len()).then_some(SecretSource::Command(words))
}

/// A path, relative to the folder of the configuration.
pub(super) fn read_path(
    field: &Field<'_>,
    base: &Path,
    reader: &mut Reader<'_>,
) -> Option<PathBuf> {
    field.text(reader).map(|text| base.join(text))
}
