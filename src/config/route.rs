//! One route, as written; then all routes beside each other.
//!
//! Two mistakes must not get through, for both look like a working service: a topic that two routes
//! read (whose policy holds?), and a clean topic that is read again (records that go round for
//! ever, or clean ones that are taken for raw). For names this is exact. For patterns it errs
//! towards refusing: two sets of names count as apart if their fixed beginnings or ends differ.

use super::topics::{Pattern, Template, name_fault};
use super::{RouteConfig, TenantConfig, Topics};
use crate::document::{Field, Kind, Reader, Span, listed};
use std::sync::Arc;

/// A route with what the checks between routes need.
pub(super) struct Route {
    pub(super) config: RouteConfig,
    name_span: Span,
    raw: Raw,
    clean: Template,
    clean_span: Span,
}

enum Raw {
    Listed(Vec<(String, Span)>),
    Pattern(Pattern, Span),
}

/// Reads one item of `routes:`.
pub(super) fn read_route(item: &Field<'_>, reader: &mut Reader<'_>) -> Option<Route> {
    let mut table = item.table(reader)?;
    let name = table.need("name", reader);
    let (topics, pattern) = (table.take("topics"), table.take("pattern"));
    let clean = table.need("clean", reader);
    if let Some(format) = table.take("format") {
        format.one_of(&["json"], reader);
    }
    let (tenant, default) = (table.take("tenant"), table.take("default_policy"));
    let head = table.head();
    table.finish(reader);

    let name_span = name.map_or(head, |name| name.span());
    let name = name.and_then(|name| read_name(&name, reader));
    let raw = read_raw(topics, pattern, head, reader);
    let clean = clean.and_then(|clean| read_clean(&clean, raw.as_ref(), reader));
    let no_tenant = tenant.is_none() && default.is_none();
    let tenant = tenant.map_or(Some(TenantConfig::Nowhere), |field| read_tenant(&field, reader));
    let default = default.map(|default| default.text(reader).map(Arc::from));
    if no_tenant {
        reader
            .fault("C009", head, "a route needs `tenant`, `default_policy`, or both")
            .hint("without them every record would be withheld");
    }
    let ((raw, topics), (clean, clean_span)) = (raw?, clean?);
    let default_policy = match default {
        None => None,
        Some(read) => Some(read?),
    };
    let config = RouteConfig {
        name: name?,
        topics,
        clean: clean.text.clone(),
        tenant: tenant?,
        default_policy,
    };
    Some(Route { config, name_span, raw, clean, clean_span })
}

fn read_name(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<String> {
    let name = field.text(reader)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
        reader
            .fault("C017", field.span(), "this cannot name a route")
            .hint("1 to 64 letters, digits, `.`, `_` or `-`: it stands in metrics and headers");
        return None;
    }
    Some(name.to_owned())
}

fn read_raw(
    topics: Option<Field<'_>>,
    pattern: Option<Field<'_>>,
    head: Span,
    reader: &mut Reader<'_>,
) -> Option<(Raw, Topics)> {
    match (topics, pattern) {
        (Some(topics), None) => read_listed(&topics, reader),
        (None, Some(pattern)) => {
            let read = read_pattern(&pattern, true, reader)?;
            let topics = Topics::Pattern(read.regex.clone());
            Some((Raw::Pattern(read, pattern.span()), topics))
        }
        (None, None) => {
            reader
                .fault("C006", head, "a route needs `topics` or `pattern`")
                .hint("`topics: [raw.web]`, or `pattern: \"^raw\\\\.(.+)$\"`");
            None
        }
        (Some(_), Some(pattern)) => {
            reader
                .fault("C006", pattern.name_span, "a route takes `topics` or `pattern`, not both")
                .hint("make two routes");
            None
        }
    }
}

fn read_listed(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<(Raw, Topics)> {
    let names = field.texts(reader)?;
    if names.is_empty() {
        reader
            .fault("C006", field.name_span, "`topics` lists no topic")
            .hint("`topics: [raw.web]`");
        return None;
    }
    for (name, span) in &names {
        refuse_name(name, *span, reader);
    }
    let names: Vec<_> = names.into_iter().map(|(name, span)| (name.to_owned(), span)).collect();
    let topics = Topics::Listed(names.iter().map(|(name, _)| name.clone()).collect());
    Some((Raw::Listed(names), topics))
}

/// Refuses what is no topic's name.
pub(super) fn refuse_name(name: &str, span: Span, reader: &mut Reader<'_>) {
    if let Some(fault) = name_fault(name) {
        let fault = reader.fault("C001", span, fault);
        if name.starts_with('^') {
            fault.hint("for a pattern write `pattern:` instead of `topics:`");
        }
    }
}

fn read_pattern(field: &Field<'_>, whole: bool, reader: &mut Reader<'_>) -> Option<Pattern> {
    match Pattern::read(field.text(reader)?, whole) {
        Ok(pattern) => Some(pattern),
        Err(told) => {
            let message = format!("the pattern is not accepted: {told}");
            reader.fault("C002", field.span(), message).hint(PATTERN_FORM);
            None
        }
    }
}

const PATTERN_FORM: &str = "a pattern has letters, digits, `_`, `-`, `\\.`, `.`, `[…]`, `(…|…)`, \
    `*`, `+`, `?` and `{m,n}`, between `^` and `$`; in YAML's double quotes write `\\\\.`";

fn read_clean(
    field: &Field<'_>,
    raw: Option<&(Raw, Topics)>,
    reader: &mut Reader<'_>,
) -> Option<(Template, Span)> {
    let span = field.span();
    let template = match Template::read(field.text(reader)?) {
        Ok(template) => template,
        Err(told) => {
            reader.fault("C001", span, format!("not a clean topic: {told}"));
            return None;
        }
    };
    let groups = match raw {
        Some((Raw::Pattern(pattern, _), _)) => pattern.groups,
        Some((Raw::Listed(_), _)) => 0,
        // The pattern was refused: its groups are not known.
        None => usize::MAX,
    };
    if let Some(wrong) = template.groups.iter().find(|group| **group == 0 || **group > groups) {
        let message = format!("the route's `pattern` has no group ${wrong}");
        let hint = match groups {
            0 => "groups are the round brackets of a `pattern`: `\"^raw\\\\.(.+)$\"`".to_owned(),
            _ => format!("it has groups from $1 to ${groups}"),
        };
        reader.fault("C007", span, message).hint(hint);
    }
    Some((template, span))
}

fn read_tenant(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<TenantConfig> {
    if let Kind::Text(word) = &field.node.kind
        && word == "key"
    {
        return Some(TenantConfig::Key);
    }
    if !matches!(field.node.kind, Kind::Map(_)) {
        reader
            .fault("C008", field.span(), "`tenant` must say where the tenant's name is")
            .hint(TENANT_FORM);
        return None;
    }
    let mut table = field.table(reader)?;
    let sources = (table.take("header"), table.take("topic"), table.take("field"));
    let before = reader.faults.len();
    table.finish(reader);
    match sources {
        (Some(header), None, None) => read_header(&header, reader),
        (None, Some(topic), None) => read_topic(&topic, reader),
        (None, None, Some(path)) => read_path(&path, reader).map(TenantConfig::Field),
        // The unknown key that was just refused is the one that was meant.
        (None, None, None) if reader.faults.len() > before => None,
        _ => {
            reader.fault("C008", field.name_span, "`tenant` must name one place").hint(TENANT_FORM);
            None
        }
    }
}

const TENANT_FORM: &str = "write `key`, `{header: NAME}`, `{field: meta.tenant}` or \
    `{topic: \"^raw\\\\.([^.]+)\"}`";

fn read_header(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<TenantConfig> {
    let name = field.text(reader)?;
    if name.is_empty() {
        reader.fault("C008", field.span(), "`header` names no header");
        return None;
    }
    Some(TenantConfig::Header(name.to_owned()))
}

fn read_topic(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<TenantConfig> {
    let pattern = read_pattern(field, false, reader)?;
    if pattern.groups != 1 {
        let message = format!("the pattern must have one group, it has {}", pattern.groups);
        reader
            .fault("C008", field.span(), message)
            .hint("the round brackets hold the tenant's name: `\"^raw\\\\.([^.]+)\"`");
        return None;
    }
    Some(TenantConfig::Topic(pattern.regex))
}

/// Names from the root: joined by dots, or listed, for names that have dots themselves.
fn read_path(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<Vec<Box<str>>> {
    let names: Vec<Box<str>> = match &field.node.kind {
        Kind::Text(path) => path.split('.').map(Box::from).collect(),
        _ => field.texts(reader)?.into_iter().map(|(name, _)| Box::from(name)).collect(),
    };
    let dotted = matches!(field.node.kind, Kind::Text(_));
    let odd = |name: &str| name.is_empty() || dotted && name.contains(['*', '[', ']', '"', '$']);
    if names.is_empty() || names.iter().any(|name| odd(name)) {
        reader
            .fault("C008", field.span(), "`field` must be names from the root, joined by dots")
            .hint(
                "no wildcards; a name with a dot in it goes into a list: `[meta, \"tenant.name\"]`",
            );
        return None;
    }
    Some(names)
}

/// The checks between routes, and with the quarantine topic.
pub(super) fn check_routes(
    routes: &[Route],
    quarantine: Option<(&str, Span)>,
    reader: &mut Reader<'_>,
) {
    for (at, route) in routes.iter().enumerate() {
        check_name(route, &routes[..at], reader);
        check_raw(route, &routes[..at], reader);
        check_loop(route, routes, reader);
    }
    if let Some((topic, span)) = quarantine {
        check_quarantine(topic, span, routes, reader);
    }
}

fn check_name(route: &Route, earlier: &[Route], reader: &mut Reader<'_>) {
    let name = &route.config.name;
    if earlier.iter().any(|other| other.config.name == *name) {
        let message = format!("two routes are named `{name}`");
        reader.fault("C003", route.name_span, message).hint("metrics tell routes by their names");
    }
}

fn check_raw(route: &Route, earlier: &[Route], reader: &mut Reader<'_>) {
    let twice =
        |name: &str, other: &str| format!("the topic `{name}` is read by route `{other}` too");
    let hint = "a topic belongs to one route: its policy must not depend on luck";
    for other in earlier {
        let by = &other.config.name;
        match (&route.raw, &other.raw) {
            (Raw::Listed(names), raw) => {
                for (name, span) in names.iter().filter(|(name, _)| raw.has(name)) {
                    reader.fault("C004", *span, twice(name, by)).hint(hint);
                }
            }
            (Raw::Pattern(pattern, span), Raw::Listed(names)) => {
                for (name, _) in names.iter().filter(|(name, _)| pattern.regex.is_match(name)) {
                    reader.fault("C004", *span, twice(name, by)).hint(hint);
                }
            }
            (Raw::Pattern(pattern, span), Raw::Pattern(others, _)) => {
                if pattern.ends.may_meet(&others.ends) {
                    let message = format!("some topics may fit the pattern of route `{by}` too");
                    reader.fault("C004", *span, message).hint(
                        "let the patterns begin or end with different fixed text, or list the topics",
                    );
                }
            }
        }
    }
    if let Raw::Listed(names) = &route.raw {
        for (at, (name, span)) in names.iter().enumerate() {
            if names[..at].iter().any(|(other, _)| other == name) {
                let message = format!("the topic `{name}` is listed twice");
                reader.fault("C004", *span, message).hint("take one of them out");
            }
        }
    }
}

fn check_loop(route: &Route, routes: &[Route], reader: &mut Reader<'_>) {
    let readers: Vec<&str> = routes
        .iter()
        .filter(|other| other.raw.may_read(&route.clean))
        .map(|other| other.config.name.as_str())
        .collect();
    if !readers.is_empty() {
        let message = format!("a clean topic must not be read again: by {}", listed(readers));
        reader
            .fault("C005", route.clean_span, message)
            .hint("let clean topics begin or end with other fixed text than raw ones: `clean.$1`");
    }
}

fn check_quarantine(topic: &str, span: Span, routes: &[Route], reader: &mut Reader<'_>) {
    for route in routes {
        let name = &route.config.name;
        if route.raw.has(topic) {
            let message = format!("the quarantine topic is read as a raw topic by route `{name}`");
            reader.fault("C005", span, message).hint("give it a name of its own");
        }
        if route.clean.may_be(topic) {
            let message = format!("the quarantine topic may be the clean topic of route `{name}`");
            reader.fault("C005", span, message).hint("give it a name of its own");
        }
    }
}

impl Raw {
    fn has(&self, topic: &str) -> bool {
        match self {
            Self::Listed(names) => names.iter().any(|(name, _)| name == topic),
            Self::Pattern(pattern, _) => pattern.regex.is_match(topic),
        }
    }

    fn may_read(&self, clean: &Template) -> bool {
        match self {
            Self::Listed(names) => names.iter().any(|(name, _)| clean.may_be(name)),
            Self::Pattern(pattern, _) => clean.may_fit(pattern),
        }
    }
}
