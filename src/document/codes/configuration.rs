//! The codes of the configuration. Each example differs from the mended one in what the code is
//! about, so both share their other lines.

use super::Code;

/// A configuration with these routes.
macro_rules! routes {
    ($($line:literal),+) => {
        concat!(
            "brokers: localhost:9092\npolicies: policies\nquarantine: {topic: limpid.quarantine}\n",
            "routes:\n",
            $("  - ", $line, "\n"),+
        )
    };
}

/// A configuration with one route and these lines.
macro_rules! with {
    ($line:literal) => {
        concat!(
            "brokers: localhost:9092\npolicies: policies\nquarantine: {topic: limpid.quarantine}\n",
            "routes:\n  - {name: web, topics: [raw.web], clean: clean.web, tenant: key}\n",
            $line,
            "\n"
        )
    };
}

/// Faults of a configuration.
pub(super) static CODES: &[Code] = &[
    Code {
        code: "C001",
        title: "not a topic's name",
        explanation: "Kafka takes 1 to 249 letters, digits, `.`, `_` and `-`.",
        wrong: routes!("{name: web, topics: [raw/web], clean: clean.web, tenant: key}"),
        right: routes!("{name: web, topics: [raw.web], clean: clean.web, tenant: key}"),
    },
    Code {
        code: "C002",
        title: "a topic pattern that is not accepted",
        explanation: "A pattern is read by the Kafka client and by limpid. Only what both read \
            alike is accepted, and it must fit the whole name: `^…$`.",
        wrong: routes!("{name: web, pattern: \"^raw-\\\\d+$\", clean: clean.web, tenant: key}"),
        right: routes!("{name: web, pattern: \"^raw-[0-9]+$\", clean: clean.web, tenant: key}"),
    },
    Code {
        code: "C003",
        title: "two routes of one name",
        explanation: "Metrics and quarantined records name the route.",
        wrong: routes!(
            "{name: web, topics: [raw.web], clean: clean.web, tenant: key}",
            "{name: web, topics: [raw.app], clean: clean.app, tenant: key}"
        ),
        right: routes!(
            "{name: web, topics: [raw.web], clean: clean.web, tenant: key}",
            "{name: app, topics: [raw.app], clean: clean.app, tenant: key}"
        ),
    },
    Code {
        code: "C004",
        title: "a topic that two routes read",
        explanation: "Which policy holds must not depend on luck. Two patterns count as apart if \
            their fixed beginnings or ends differ.",
        wrong: routes!(
            "{name: web, pattern: \"^raw\\\\.(.+)$\", clean: clean.$1, tenant: key}",
            "{name: app, topics: [raw.app], clean: clean.app, tenant: key}"
        ),
        right: routes!(
            "{name: web, pattern: \"^raw\\\\.web\\\\.(.+)$\", clean: clean.web.$1, tenant: key}",
            "{name: app, topics: [raw.app], clean: clean.app, tenant: key}"
        ),
    },
    Code {
        code: "C005",
        title: "a topic that would be read again",
        explanation: "A clean or quarantine topic that is a raw topic too makes records go round \
            for ever, or mixes clean with raw ones.",
        wrong: routes!(
            "{name: web, pattern: \"^web\\\\.(.+)$\", clean: web.clean.$1, tenant: key}"
        ),
        right: routes!(
            "{name: web, pattern: \"^web\\\\.(.+)$\", clean: clean.web.$1, tenant: key}"
        ),
    },
    Code {
        code: "C006",
        title: "a route's raw topics are missing or given twice",
        explanation: "A route lists its `topics` or has a `pattern` for them: one of the two.",
        wrong: routes!("{name: web, clean: clean.web, tenant: key}"),
        right: routes!("{name: web, topics: [raw.web], clean: clean.web, tenant: key}"),
    },
    Code {
        code: "C007",
        title: "a group that the pattern lacks",
        explanation: "`$1` in `clean` stands for the first round brackets of the route's `pattern`.",
        wrong: routes!("{name: web, pattern: \"^raw\\\\.(.+)$\", clean: clean.$2, tenant: key}"),
        right: routes!("{name: web, pattern: \"^raw\\\\.(.+)$\", clean: clean.$1, tenant: key}"),
    },
    Code {
        code: "C008",
        title: "not a place of the tenant's name",
        explanation: "The tenant's name stands in the record's key, in a header, in a field of the \
            value or in the topic's name.",
        wrong: routes!("{name: web, topics: [raw.web], clean: clean.web, tenant: header}"),
        right: routes!(
            "{name: web, topics: [raw.web], clean: clean.web, tenant: {header: tenant}}"
        ),
    },
    Code {
        code: "C009",
        title: "a route without a tenant",
        explanation: "Without `tenant` and without `default_policy` no record has a policy, and \
            every one would be withheld.",
        wrong: routes!("{name: web, topics: [raw.web], clean: clean.web}"),
        right: routes!("{name: web, topics: [raw.web], clean: clean.web, default_policy: acme}"),
    },
    Code {
        code: "C010",
        title: "a setting that the Kafka client refuses",
        explanation: "Settings are passed to librdkafka, which knows them by these names and says \
            which values it takes.",
        wrong: with!("kafka: {securty.protocol: ssl}"),
        right: with!("kafka: {security.protocol: ssl}"),
    },
    Code {
        code: "C011",
        title: "a setting that is limpid's own",
        explanation: "With another value records would be lost, doubled or committed too early; or \
            the configuration has a key of its own for it.",
        wrong: with!("consumer: {group.id: web}"),
        right: with!("group: web"),
    },
    Code {
        code: "C012",
        title: "a secret in the configuration",
        explanation: "Configurations are reviewed, copied and committed. A file, an environment \
            variable or a command keeps the secret.",
        wrong: with!("kafka: {sasl.password: hunter2}"),
        right: with!("kafka: {sasl.password: {env: KAFKA_PASSWORD}}"),
    },
    Code {
        code: "C013",
        title: "a secret that is not where it should be",
        explanation: "The place is not written as `{file: …}`, `{env: …}` or `{command: […]}`, or \
            nothing can be read there. A file must belong to the user that runs limpid and be \
            closed to all others (`chmod 600`).",
        wrong: with!("keyring: keyring.yaml"),
        right: with!("keyring: {file: keyring.yaml}"),
    },
    Code {
        code: "C014",
        title: "not a quarantine public key",
        explanation: "A key with a wrong letter would seal records so that nobody can ever open \
            them; it has a checksum. The private half does not belong here.",
        wrong: "brokers: localhost:9092\npolicies: policies\nquarantine:\n  \
            topic: limpid.quarantine\n  public_key: limpid-pub1-0000\nroutes:\n  \
            - {name: web, topics: [raw.web], clean: clean.web, tenant: key}\n",
        right: "brokers: localhost:9092\npolicies: policies\nquarantine:\n  \
            topic: limpid.quarantine\n  public_key: \
            limpid-pub1-079g1vqas3e92hjnpmnn7qh0so55boojsd792qsuiguvlnlelgk6dluemg\nroutes:\n  \
            - {name: web, topics: [raw.web], clean: clean.web, tenant: key}\n",
    },
    Code {
        code: "C015",
        title: "not an address to listen on",
        explanation: "An IP address and a port. Names are not looked up.",
        wrong: with!("admin: {listen: \"localhost:9464\"}"),
        right: with!("admin: {listen: 127.0.0.1:9464}"),
    },
    Code {
        code: "C016",
        title: "an admin server that others can reach",
        explanation: "Whoever reaches the admin server learns topics, tenants and numbers, and can \
            have policies loaded again. This machine may; others must know a token.",
        wrong: with!("admin: {listen: \"0.0.0.0:9464\"}"),
        right: with!("admin: {listen: \"0.0.0.0:9464\", token: {env: LIMPID_ADMIN_TOKEN}}"),
    },
    Code {
        code: "C017",
        title: "a name that is not accepted",
        explanation: "Routes are named with letters, digits, `.`, `_` and `-`; a consumer group \
            with 1 to 255 characters.",
        wrong: routes!("{name: web shop, topics: [raw.web], clean: clean.web, tenant: key}"),
        right: routes!("{name: web-shop, topics: [raw.web], clean: clean.web, tenant: key}"),
    },
    Code {
        code: "C018",
        title: "not a broker's address",
        explanation: "Host and port; several in a list or joined by commas.",
        wrong: "brokers: [\"a:9092 b:9092\"]\npolicies: policies\nquarantine: {topic: q}\n\
            routes:\n  - {name: web, topics: [raw.web], clean: clean.web, tenant: key}\n",
        right: "brokers: [\"a:9092\", \"b:9092\"]\npolicies: policies\nquarantine: {topic: q}\n\
            routes:\n  - {name: web, topics: [raw.web], clean: clean.web, tenant: key}\n",
    },
    Code {
        code: "C019",
        title: "a buffer that no record fits into",
        explanation: "`buffer_bytes` bounds what is in memory between fetch and delivery; it must \
            hold at least the largest record that `limits` allow.",
        wrong: with!("buffer_bytes: 4MiB"),
        right: with!("buffer_bytes: 64MiB"),
    },
    Code {
        code: "C020",
        title: "no route",
        explanation: "Without a route there is nothing to do.",
        wrong: "brokers: localhost:9092\npolicies: policies\nquarantine: {topic: q}\nroutes: []\n",
        right: routes!("{name: web, topics: [raw.web], clean: clean.web, tenant: key}"),
    },
    Code {
        code: "C021",
        title: "two clusters, and exactly once",
        explanation: "Records and the offsets that were read become true together in one Kafka \
            transaction, and a transaction is one cluster's. With clean topics on another one \
            (`clean_brokers`) delivery is at least once, and the configuration has to say so.",
        wrong: "brokers: a:9092\nclean_brokers: b:9092\npolicies: policies\nquarantine: {topic: q}\n\
            routes: [{name: web, topics: [raw.web], clean: clean.web, tenant: key}]\n",
        right: "brokers: a:9092\nclean_brokers: b:9092\ndelivery: at_least_once\npolicies: policies\n\
            quarantine: {topic: q}\n\
            routes: [{name: web, topics: [raw.web], clean: clean.web, tenant: key}]\n",
    },
];
