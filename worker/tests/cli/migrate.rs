//! `migrate`: on a file, and on a server where there is one.

use crate::support::System;

/// Prints, runs, and has nothing left to do; what was printed is what a person could run.
fn goes_through(system: &System, create: &str, [begin, end]: [&str; 2]) {
    let printed = system.text(&["migrate", "--dry-run"]);
    assert!(printed.starts_with(&format!("-- version 1\n{begin}")), "{printed}");
    assert!(printed.contains(create), "{printed}");
    assert!(printed.lines().last().unwrap().starts_with(end), "{printed}");
    // It has created nothing.
    let steps = system.json(&["migrate", "--dry-run"]);
    assert_eq!(steps["dry_run"], true);
    let migrations = steps["migrations"].as_array().unwrap();
    let versions: Vec<String> = (1..=migrations.len()).map(|version| version.to_string()).collect();
    let named = migrations.iter().map(|migration| migration["version"].to_string());
    assert!(versions.len() > 1 && named.eq(versions.iter().cloned()), "{migrations:?}");
    assert_eq!(system.text(&["migrate"]), format!("applied: {}\n", versions.join(", ")));
    assert_eq!(system.text(&["migrate"]), "nothing to do\n");
    assert_eq!(system.text(&["migrate", "--dry-run"]), "-- nothing to do\n");
    assert_eq!(system.text(&["jobs", "list"]), "no job fits\n");
}

const TRANSACTION: [&str; 2] = ["BEGIN", "COMMIT;"];

#[test]
fn a_file_is_brought_up_to_date() {
    goes_through(&System::new(), "CREATE TABLE hereafter_job (", TRANSACTION);
}

#[test]
fn the_tables_of_a_file_start_with_its_prefix() {
    let system = System::new();
    let url = format!("{}?prefix=mine_", system.url());
    let printed = system.hereafter().args(["migrate", "--dry-run", "--url", &url]).output();
    let printed = String::from_utf8(printed.unwrap().stdout).unwrap();
    assert!(printed.contains("CREATE TABLE mine_job ("), "{printed}");
    assert!(!printed.contains("hereafter_"), "{printed}");
}

#[cfg(feature = "postgres")]
#[test]
fn a_schema_is_brought_up_to_date() {
    let server = taskservers::Postgres::shared();
    let schema = server.schema();
    let system = System::at(format!("{}?schema={schema}", server.url()));
    goes_through(&system, &format!("CREATE TABLE \"{schema}\".job ("), TRANSACTION);
}

#[cfg(feature = "mysql")]
#[test]
fn tables_on_mariadb_are_brought_up_to_date() {
    let server = taskservers::MariaDb::shared();
    let prefix = server.prefix();
    let system = System::at(format!("{}?prefix={prefix}", server.url()));
    let create = format!("CREATE TABLE IF NOT EXISTS {prefix}job (");
    // A table is there at once, whatever a transaction says.
    goes_through(&system, &create, ["SELECT get_lock(", "SELECT release_lock("]);
}

#[cfg(feature = "postgres")]
#[test]
fn what_is_printed_can_be_run_by_somebody_else() {
    let server = taskservers::Postgres::shared();
    let system = System::at(format!("{}?schema={}", server.url(), server.schema()));
    let printed = system.text(&["migrate", "--dry-run"]);
    let mut psql = std::process::Command::new("psql");
    psql.args(["-Xqv", "ON_ERROR_STOP=1", server.url(), "-c", &printed]);
    let output = psql.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(system.text(&["migrate"]), "nothing to do\n");
}
