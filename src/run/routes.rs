//! Routes, resolved: for a source topic, what the engine needs to know and where its records go.

use crate::config::{Config, RouteConfig, TenantConfig, Topics, whole};
use crate::engine::{FieldPath, Route, TenantSource};
use std::sync::Arc;

/// The routes of the configuration.
#[derive(Debug)]
pub struct Routes<'a> {
    routes: &'a [RouteConfig],
}

/// Where the records of one source topic go.
#[derive(Debug)]
pub struct Resolved {
    /// What the engine needs.
    pub route: Route,
    /// The clean topic.
    pub clean: String,
}

impl<'a> Routes<'a> {
    /// The configured ones.
    #[must_use]
    pub fn new(config: &'a Config) -> Self {
        Self { routes: &config.routes }
    }

    /// Their names, by index.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.routes.iter().map(|route| route.name.clone()).collect()
    }

    /// The name of a route.
    #[must_use]
    pub fn name(&self, index: usize) -> &'a str {
        self.routes.get(index).map_or("", |route| &route.name)
    }

    /// The first route that takes the topic.
    #[must_use]
    pub fn resolve(&self, topic: &str) -> Option<Resolved> {
        self.routes.iter().enumerate().find_map(|(index, route)| {
            let clean = clean_topic(route, topic)?;
            let default_tenant = route.default_policy.clone();
            let tenant = tenant_source(&route.tenant, topic);
            Some(Resolved { route: Route { index, tenant, default_tenant }, clean })
        })
    }

    /// What a consumer subscribes: names, and patterns, which begin with `^` and are written in the
    /// part of the syntax that the client reads alike.
    #[must_use]
    pub fn subscription(&self) -> Vec<String> {
        let mut topics: Vec<String> =
            self.routes.iter().flat_map(|route| topics(&route.topics)).collect();
        topics.sort();
        topics.dedup();
        topics
    }

    /// The topics that are named, each with its clean topic.
    pub fn listed(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.routes.iter().flat_map(|route| match &route.topics {
            Topics::Listed(names) => {
                names.iter().map(|name| (name.as_str(), route.clean.as_str())).collect()
            }
            Topics::Pattern(_) => Vec::new(),
        })
    }
}

fn topics(topics: &Topics) -> Vec<String> {
    match topics {
        Topics::Listed(names) => names.clone(),
        Topics::Pattern(pattern) => vec![pattern.as_str().to_owned()],
    }
}

fn clean_topic(route: &RouteConfig, topic: &str) -> Option<String> {
    match &route.topics {
        Topics::Listed(_) => route.topics.has(topic).then(|| route.clean.clone()),
        Topics::Pattern(pattern) => {
            let captures = whole(pattern, topic)?;
            let mut clean = String::new();
            captures.expand(&route.clean, &mut clean);
            Some(clean)
        }
    }
}

fn tenant_source(tenant: &TenantConfig, topic: &str) -> TenantSource {
    match tenant {
        TenantConfig::Topic(pattern) => pattern
            .captures(topic)
            .and_then(|captures| captures.get(1))
            .map_or(TenantSource::Nowhere, |name| TenantSource::Fixed(Arc::from(name.as_str()))),
        TenantConfig::Header(name) => TenantSource::Header(name.as_bytes().into()),
        TenantConfig::Key => TenantSource::Key,
        TenantConfig::Field(path) => TenantSource::Field(FieldPath::new(path)),
        TenantConfig::Nowhere => TenantSource::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex_lite::Regex;

    fn route(topics: Topics, clean: &str, tenant: TenantConfig) -> RouteConfig {
        RouteConfig { name: "r".into(), topics, clean: clean.into(), tenant, default_policy: None }
    }

    fn pattern(text: &str) -> Regex {
        Regex::new(text).unwrap()
    }

    #[test]
    fn a_pattern_names_clean_topic_and_tenant() {
        let topics = Topics::Pattern(pattern(r"^raw\.([a-z]+)\.(web|app)$"));
        let tenant = TenantConfig::Topic(pattern(r"^raw\.([a-z]+)"));
        let routes = [route(topics, "clean.${1}.$2", tenant)];
        let routes = Routes { routes: &routes };
        let resolved = routes.resolve("raw.acme.web").unwrap();
        assert_eq!(resolved.clean, "clean.acme.web");
        assert!(matches!(resolved.route.tenant, TenantSource::Fixed(name) if &*name == "acme"));
        assert!(routes.resolve("raw.acme.web.old").is_none());
        assert_eq!(routes.subscription(), [r"^raw\.([a-z]+)\.(web|app)$"]);
    }

    #[test]
    fn a_listed_topic_is_taken_by_its_name_alone() {
        let routes = [route(Topics::Listed(vec!["raw.web".into()]), "clean", TenantConfig::Key)];
        let routes = Routes { routes: &routes };
        assert!(routes.resolve("rawxweb").is_none());
        assert_eq!(routes.resolve("raw.web").unwrap().clean, "clean");
        assert_eq!(routes.listed().collect::<Vec<_>>(), [("raw.web", "clean")]);
    }
}
