//! The arrows between the packages: which may depend on which.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// Normal dependencies inside the workspace. A new arrow is a change of the design: it needs a
/// line here and one in ARCHITECTURE.md.
const ALLOWED: &[(&str, &[&str])] = &[
    ("hereafter", &["taskcore", "taskbroker-connect", "taskbroker-database", "taskworker"]),
    ("taskmacro", &[]),
    ("taskcore", &["taskmacro"]),
    ("taskbroker-memory", &["taskcore"]),
    ("taskbroker-database", &["taskcore"]),
    ("taskbroker-amqp", &["taskcore"]),
    (
        "taskbroker-connect",
        &["taskcore", "taskbroker-memory", "taskbroker-database", "taskbroker-amqp"],
    ),
    ("taskworker", &["taskcore", "taskbroker-connect", "taskbroker-memory"]),
    ("taskconformance", &["taskcore", "taskbroker-memory"]),
    ("taskservers", &[]),
    ("taskmodel", &[]),
];

/// Crates that would bring I/O into the core.
const NO_IO: &[&str] = &["sqlx", "lapin", "redis", "axum", "clap", "hyper", "reqwest", "notify"];

fn packages() -> Vec<Package> {
    MetadataCommand::new().no_deps().exec().expect("the workspace has metadata").packages
}

fn normal_dependencies(package: &Package) -> BTreeSet<String> {
    let normal = package.dependencies.iter().filter(|it| it.kind == DependencyKind::Normal);
    normal.map(|dependency| dependency.name.clone()).collect()
}

/// Examples, benchmarks and whole-system tests: nobody depends on them.
fn is_program(package: &Package) -> bool {
    let path = package.manifest_path.as_str();
    ["/examples/", "/benches/", "/tests/chaos/", "/tests/system/"]
        .iter()
        .any(|folder| path.contains(folder))
}

#[test]
fn arrows_point_towards_the_core() {
    let packages = packages();
    let members: BTreeSet<String> = packages.iter().map(|it| it.name.to_string()).collect();
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut seen = 0;
    for package in &packages {
        let Some(allowed) = allowed.get(package.name.as_str()) else { continue };
        for dependency in normal_dependencies(package).intersection(&members) {
            let is_allowed = allowed.contains(&dependency.as_str());
            assert!(is_allowed, "{} must not depend on {dependency}", package.name);
            seen += 1;
        }
    }
    assert!(seen >= 10, "only {seen} arrows seen: is the table read at all?");
}

#[test]
fn every_library_package_has_its_line_in_the_table() {
    let listed: BTreeSet<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
    for package in packages() {
        let is_listed = listed.contains(package.name.as_str());
        assert!(is_program(&package) || is_listed, "{} has no line in the table", package.name);
    }
}

#[test]
fn the_core_does_no_io() {
    let packages = packages();
    let core = packages.iter().find(|it| it.name.as_str() == "taskcore").expect("there is a core");
    for dependency in normal_dependencies(core) {
        assert!(!NO_IO.contains(&dependency.as_str()), "taskcore must not depend on {dependency}");
    }
}

#[test]
fn only_connect_and_tests_name_a_broker() {
    for package in packages() {
        // The testing kit is a memory broker scoped to a test; the suite's mutants wrap one; the
        // facade re-exports what only databases can do.
        let may = ["hereafter", "taskbroker-connect", "taskworker", "taskconformance"];
        if is_program(&package) || may.contains(&package.name.as_str()) {
            continue;
        }
        let brokers = ["taskbroker-memory", "taskbroker-database"];
        let named = normal_dependencies(&package);
        let named: Vec<_> = brokers.iter().filter(|it| named.contains(**it)).collect();
        assert!(named.is_empty(), "{} names {named:?}", package.name);
    }
}
