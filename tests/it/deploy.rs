//! What stands in deploy/ fits together and fits the program: the files that it names exist, ports
//! don't clash, configurations pass `limpid check`, dashboards and alerts use metrics that there
//! are. Nothing of it can be started in a test, so what can be wrong on paper must not be.

use limpid::document::{Faults, Kind, Node, Source, parse};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A YAML file as a tree; limpid's own reader is the strict one.
fn yaml(path: &str) -> Node {
    let mut faults = Faults::default();
    let node = parse(&Source::new(path, read(path)), &mut faults);
    assert!(faults.is_empty(), "{faults}");
    node.unwrap_or_else(|| panic!("{path}: nothing in it"))
}

/// Steps down by keys; a number is a place in a list.
fn at<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    let Some((first, rest)) = path.split_first() else { return Some(node) };
    let next = match &node.kind {
        Kind::Map(entries) => entries.iter().find(|e| e.key == *first).map(|e| &e.value),
        Kind::List(items) => items.get(first.parse::<usize>().ok()?),
        _ => None,
    };
    at(next?, rest)
}

fn text(node: &Node) -> &str {
    match &node.kind {
        Kind::Text(text) | Kind::Number(text) => text,
        _ => panic!("{} instead of text", node.is_a()),
    }
}

fn list(node: Option<&Node>) -> Vec<&Node> {
    match node.map(|node| &node.kind) {
        Some(Kind::List(items)) => items.iter().collect(),
        None => Vec::new(),
        Some(_) => panic!("no list"),
    }
}

fn entries(node: Option<&Node>) -> Vec<(&str, &Node)> {
    match node.map(|node| &node.kind) {
        Some(Kind::Map(entries)) => entries.iter().map(|e| (e.key.as_str(), &e.value)).collect(),
        None => Vec::new(),
        Some(_) => panic!("no keys and values"),
    }
}

#[test]
fn configurations_and_policies_pass_the_check() {
    let paths = [
        "deploy/sample",
        "deploy/compose/limpid.yaml",
        "deploy/kubernetes/limpid.yaml",
        "deploy/demo/policies",
    ];
    let done = Command::new(env!("CARGO_BIN_EXE_limpid"))
        .arg("check")
        .args(paths)
        .current_dir(root())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(said.matches("fine: 3 routes").count(), 3, "{said}");
}

#[test]
fn the_sample_has_tests_for_every_policy_and_one_allow_list() {
    let mut lists = 0;
    for tenant in ["shop", "bank", "office"] {
        let policy = yaml(&format!("deploy/sample/policies/{tenant}.yaml"));
        assert_eq!(text(at(&policy, &["tenant"]).unwrap()), tenant);
        assert!(!list(at(&policy, &["tests"])).is_empty(), "{tenant}");
        lists += usize::from(at(&policy, &["unlisted"]).is_some_and(|it| text(it) == "drop"));
    }
    assert_eq!(lists, 1);
}

#[test]
fn compose_fits_together() {
    let compose = yaml("docker-compose.yml");
    let complaints = compose_complaints(&compose);
    assert!(complaints.is_empty(), "{complaints:#?}");
    assert!(entries(at(&compose, &["services"])).len() >= 6);
}

fn compose_complaints(compose: &Node) -> Vec<String> {
    let mut complaints = Vec::new();
    let services = entries(at(compose, &["services"]));
    let names: BTreeSet<&str> = services.iter().map(|(name, _)| *name).collect();
    let volumes: BTreeSet<&str> =
        entries(at(compose, &["volumes"])).into_iter().map(|(name, _)| name).collect();
    let mut ports = BTreeSet::new();
    for (name, service) in &services {
        for port in list(at(service, &["ports"])) {
            let host = text(port).rsplit_once(':').map_or("", |(host, _)| host);
            if !host.starts_with("127.0.0.1:") {
                complaints.push(format!("{name}: {host} is open to other machines"));
            }
            if !ports.insert(host) {
                complaints.push(format!("{name}: {host} is taken twice"));
            }
        }
        for volume in list(at(service, &["volumes"])) {
            let source = text(volume).split(':').next().unwrap_or("");
            let there = match source.strip_prefix("./") {
                Some(path) => root().join(path).exists(),
                None => volumes.contains(source),
            };
            if !there {
                complaints.push(format!("{name}: `{source}` is not there"));
            }
        }
        let after = match at(service, &["depends_on"]).map(|node| &node.kind) {
            Some(Kind::List(items)) => items.iter().map(text).collect(),
            Some(Kind::Map(entries)) => entries.iter().map(|e| e.key.as_str()).collect(),
            _ => Vec::new(),
        };
        complaints.extend(
            after
                .into_iter()
                .filter(|other| !names.contains(other))
                .map(|other| format!("{name}: waits for `{other}`, which is not there")),
        );
        let dockerfile = at(service, &["build", "dockerfile"]).map(text);
        if let Some(file) = dockerfile.filter(|file| !root().join(file).exists()) {
            complaints.push(format!("{name}: no {file}"));
        }
        let image = at(service, &["image"]).map_or("", text);
        let pinned = image.contains(':') || at(service, &["build"]).is_some();
        if !pinned || image.ends_with(":latest") {
            complaints.push(format!("{name}: `{image}` may be another one tomorrow"));
        }
    }
    complaints
}

#[test]
fn compose_makes_the_topics_that_its_configuration_names() {
    let compose = yaml("docker-compose.yml");
    let script = text(at(&compose, &["services", "topics", "command", "2"]).unwrap()).to_owned();
    let config = yaml("deploy/compose/limpid.yaml");
    let mut topics = vec![text(at(&config, &["quarantine", "topic"]).unwrap())];
    for route in list(at(&config, &["routes"])) {
        topics.extend(list(at(route, &["topics"])).into_iter().map(text));
        topics.extend(Some(text(at(route, &["clean"]).unwrap())).filter(|it| !it.contains('$')));
    }
    topics.extend(["raw.audit.office", "clean.audit.office"]);
    for topic in topics {
        assert!(script.contains(topic), "{topic} is not made");
    }
}

#[test]
fn keys_are_made_for_the_policies_and_none_is_in_the_sources() {
    let compose = yaml("docker-compose.yml");
    let script = text(at(&compose, &["services", "keys", "entrypoint", "2"]).unwrap()).to_owned();
    for tenant in ["shop", "bank", "office"] {
        let policy = yaml(&format!("deploy/sample/policies/{tenant}.yaml"));
        let key = text(at(&policy, &["key"]).unwrap()).to_owned();
        assert!(script.split_whitespace().any(|word| word.trim_end_matches(';') == key), "{key}");
    }
    let secret = regex_lite::Regex::new("[0-9a-f]{64}|limpid-prv1-").expect("a pattern");
    for file in files("deploy") {
        assert!(!secret.is_match(&read(&file)), "{file} seems to hold a secret");
    }
    assert!(read(".gitignore").lines().any(|line| line == "secrets/"));
}

/// Every file below a folder.
fn files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root().join(folder)).expect("a folder") {
        let entry = entry.expect("an entry");
        let path = format!("{folder}/{}", entry.file_name().to_str().expect("UTF-8"));
        if entry.file_type().expect("a kind").is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// The metrics of the reference, with the series that a histogram has.
fn metrics() -> BTreeSet<String> {
    let mut names = BTreeSet::from(["up".to_owned()]);
    for line in read("docs/generated/metrics.md").lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, kind, ..] = cells.as_slice() else { continue };
        let name = name.trim_matches('`').to_owned();
        if *kind == "histogram" {
            names.extend(["_sum", "_count", "_bucket"].map(|end| format!("{name}{end}")));
        } else {
            names.insert(name);
        }
    }
    assert!(names.len() > 20, "{names:?}");
    names
}

/// Names in a PromQL expression that look like a metric and are none of ours.
fn unknown_metrics(expression: &str, known: &BTreeSet<String>) -> Vec<String> {
    let name = regex_lite::Regex::new("(limpid|process)_[a-z0-9_]+").expect("a pattern");
    let found = name.find_iter(expression).map(|found| found.as_str().to_owned());
    found.filter(|name| !known.contains(name)).collect()
}

#[test]
fn alerts_use_metrics_that_there_are_and_are_explained() {
    let known = metrics();
    let alerts = yaml("deploy/prometheus/alerts.yml");
    let manual = read("docs/OPERATING.md");
    let mut count = 0;
    for group in list(at(&alerts, &["groups"])) {
        for rule in list(at(group, &["rules"])) {
            let name = text(at(rule, &["alert"]).unwrap());
            let unknown = unknown_metrics(text(at(rule, &["expr"]).unwrap()), &known);
            assert!(unknown.is_empty(), "{name}: {unknown:?}");
            assert!(manual.contains(&format!("`{name}`")), "{name} is not in docs/OPERATING.md");
            assert!(at(rule, &["annotations", "summary"]).is_some(), "{name}");
            count += 1;
        }
    }
    assert!(count >= 8, "{count} alerts");
    let prometheus = yaml("deploy/prometheus/prometheus.yml");
    for file in list(at(&prometheus, &["rule_files"])) {
        assert!(root().join("deploy/prometheus").join(text(file)).exists());
    }
}

#[test]
fn the_dashboard_uses_metrics_that_there_are() {
    let known = metrics();
    let text_of = |path: &str| serde_json::from_str::<Value>(&read(path)).expect("JSON");
    let dashboard = text_of("deploy/grafana/dashboards/limpid.json");
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(panels.len() >= 12);
    let (mut ids, mut all) = (BTreeSet::new(), String::new());
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{}", panel["title"]);
        for target in panel["targets"].as_array().expect("targets") {
            let expression = target["expr"].as_str().expect("an expression");
            let unknown = unknown_metrics(expression, &known);
            assert!(unknown.is_empty(), "{}: {unknown:?}", panel["title"]);
            assert_eq!(target["datasource"]["uid"], "prometheus");
            all.push_str(expression);
        }
    }
    for shown in [
        "limpid_records_in_total",
        "limpid_records_out_total",
        "limpid_withheld_total",
        "limpid_consumer_lag_records",
        "limpid_delay_seconds_bucket",
        "limpid_kernel_seconds_sum",
        "limpid_rule_hits_total",
    ] {
        assert!(all.contains(shown), "{shown} is not shown");
    }
    let source = yaml("deploy/grafana/provisioning/datasources/prometheus.yaml");
    assert_eq!(text(at(&source, &["datasources", "0", "uid"]).unwrap()), "prometheus");
}

#[test]
fn addresses_agree() {
    let address = |path: &str| {
        let config = yaml(path);
        text(at(&config, &["admin", "listen"]).unwrap()).rsplit(':').next().unwrap().to_owned()
    };
    let port = address("deploy/compose/limpid.yaml");
    assert_eq!(port, address("deploy/kubernetes/limpid.yaml"));
    assert!(read("deploy/Dockerfile").contains(&format!("EXPOSE {port}")));
    assert!(read("deploy/prometheus/prometheus.yml").contains(&format!("limpid:{port}")));
    let pods = yaml("deploy/kubernetes/deployment.yaml");
    let pod = ["spec", "template", "spec", "containers", "0"];
    let container = at(&pods, &pod).unwrap();
    assert_eq!(text(at(container, &["ports", "0", "containerPort"]).unwrap()), port);
    let service = yaml("deploy/kubernetes/service.yaml");
    assert_eq!(text(at(&service, &["spec", "ports", "0", "port"]).unwrap()), port);
}

#[test]
fn kustomize_names_files_that_there_are_and_all_of_them() {
    let kustomization = yaml("deploy/kustomization.yaml");
    let mut named: BTreeSet<String> =
        list(at(&kustomization, &["resources"])).into_iter().map(|it| text(it).into()).collect();
    for generator in list(at(&kustomization, &["configMapGenerator"])) {
        named.extend(list(at(generator, &["files"])).into_iter().map(|it| text(it).to_owned()));
    }
    for file in &named {
        assert!(root().join("deploy").join(file).exists(), "{file}");
    }
    for file in files("deploy/kubernetes").into_iter().chain(files("deploy/sample/policies")) {
        assert!(named.contains(file.trim_start_matches("deploy/")), "{file} is not named");
    }
}

#[test]
fn manifests_run_as_nobody_and_name_a_secret_instead_of_holding_one() {
    let pods = yaml("deploy/kubernetes/deployment.yaml");
    let spec = at(&pods, &["spec", "template", "spec"]).unwrap();
    let yes = |node: Option<&Node>| node.is_some_and(|node| node.kind == Kind::Bool(true));
    assert!(yes(at(spec, &["securityContext", "runAsNonRoot"])));
    let container = at(spec, &["containers", "0"]).unwrap();
    assert!(yes(at(container, &["securityContext", "readOnlyRootFilesystem"])));
    for variable in list(at(container, &["env"])) {
        assert!(at(variable, &["value"]).is_none(), "a secret's value stands in the manifest");
    }
    assert!(at(spec, &["securityContext", "fsGroup"]).is_some(), "nobody may read the keyring");
    let volumes = list(at(spec, &["volumes"]));
    let secrets: Vec<_> = volumes.iter().filter_map(|volume| at(volume, &["secret"])).collect();
    assert_eq!(secrets.len(), 1);
    let mode = at(secrets[0], &["defaultMode"]).expect("a mode");
    assert_eq!(text(mode), "0440", "limpid refuses a keyring that others can read");
    let user = text(at(spec, &["securityContext", "runAsUser"]).unwrap()).to_owned();
    let dockerfile = read("deploy/Dockerfile");
    assert!(dockerfile.contains(&format!("USER {user}:")), "another user than the image's");
    assert_ne!(user, "0");
}

#[test]
fn the_unit_for_systemd_waits_longer_than_a_drain() {
    let unit = read("deploy/systemd/limpid.service");
    let seconds = |key: &str| -> u64 {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)).expect("the setting");
        line.trim_end_matches('s').parse().expect("seconds")
    };
    assert!(seconds("TimeoutStopSec=") > 30, "docs/CONFIG.md: `shutdown.drain` is 30 s");
    assert!(unit.contains("RestartPreventExitStatus=2"));
    let pods = yaml("deploy/kubernetes/deployment.yaml");
    let grace = at(&pods, &["spec", "template", "spec", "terminationGracePeriodSeconds"]).unwrap();
    assert!(text(grace).parse::<u64>().expect("seconds") > 30);
}

#[test]
fn what_is_wrong_is_noticed() {
    let wrong = "services:\n  a:\n    image: x:latest\n    ports: [\"80:80\", \"127.0.0.1:1:1\"]\n    \
                 volumes: [\"./no-such-file:/x\", \"lost:/y\"]\n    depends_on: [ghost]\n  \
                 b:\n    image: y\n    ports: [\"127.0.0.1:1:2\"]\n";
    let mut faults = Faults::default();
    let compose = parse(&Source::new("wrong.yml", wrong), &mut faults).expect("a tree");
    assert_eq!(compose_complaints(&compose).len(), 7);
    let known = metrics();
    assert_eq!(unknown_metrics("rate(limpid_made_up_total[5m])", &known).len(), 1);
    assert!(unknown_metrics("rate(limpid_records_in_total[5m]) / up", &known).is_empty());
}
