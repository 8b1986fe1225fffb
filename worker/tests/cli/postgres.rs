//! The command line on a PostgreSQL server.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use taskcore::broker::JobState;
use taskservers::{Postgres, Shared};

use crate::support::{Running, System, ends_with, until};
use crate::tasks::{add, refuse};

/// A schema of its own on the server that tests share.
struct Schema {
    server: Shared,
    name: String,
}

impl Schema {
    fn new() -> Self {
        let server = Postgres::shared();
        let name = server.schema();
        Self { server, name }
    }

    fn system(&self) -> System {
        System::at(format!("{}?schema={}", self.server.url(), self.name))
    }

    /// What was printed, with words for what differs from run to run.
    fn steady(&self, text: &str) -> String {
        let host = self.server.url().split(['@', '/']).nth(3).unwrap();
        let text = text.replace(host, "HOST:PORT").replace(&self.name, "SCHEMA");
        // Whether `LISTEN` stands by then depends on the machine.
        let lines = text.lines().filter(|line| !line.contains(" wake-ups: ")).map(|line| {
            if let Some((before, _)) = line.split_once("PostgreSQL: version ") {
                return format!("{} PostgreSQL: version VERSION", before.trim());
            }
            let mut words: Vec<_> = line.split_whitespace().map(steady_word).collect();
            // A span and a time may have several words.
            words.dedup_by(|word, before| word == before && ["SPAN", "TIME"].contains(word));
            words.join(" ")
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn steady_word(word: &str) -> &str {
    let bare = word.trim_end_matches([',', ';', ':']);
    if bare.parse::<taskcore::JobId>().is_ok() {
        return "ID";
    }
    let is_date = bare.parse::<jiff::civil::Date>().is_ok();
    if is_date
        // A number of six digits is one, too.
        || (bare.contains(':') && bare.parse::<jiff::civil::Time>().is_ok())
        || bare.parse::<jiff::Timestamp>().is_ok()
    {
        return "TIME";
    }
    if bare.parse::<jiff::SignedDuration>().is_ok() { "SPAN" } else { word }
}

/// Two jobs that are done, one that has failed, one that waits and one that is due.
fn populated(schema: &Schema) -> System {
    let system = schema.system();
    system.client(async |client| {
        add(1, 2).delay_on(client).await.unwrap();
        add(3, 4).delay_on(client).await.unwrap();
        refuse("not today".to_owned()).delay_on(client).await.unwrap();
    });
    system.drain();
    system.client(async |client| {
        client.scope(add(5, 6).call_after(Duration::from_secs(3_600))).await.unwrap();
        add(7, 8).queue("other").delay_on(client).await.unwrap();
    });
    system
}

#[test]
fn a_worker_runs_the_jobs_at_its_url_and_hears_of_new_ones() {
    let schema = Schema::new();
    let system = schema.system();
    let early = system.client(async |client| add(1, 2).delay_on(client).await.unwrap().id());
    // The flag decides, whatever the variable says.
    let mut command = system.worker();
    command.env("HEREAFTER_URL", "memory://").args(["run", "--url", system.url()]);
    let worker = Running::start(&mut command);
    until(|| system.record(early).state == JobState::Done);
    let late = system.client(async |client| add(3, 4).delay_on(client).await.unwrap().id());
    until(|| system.record(late).state == JobState::Done);
    assert_eq!(system.record(late).result.unwrap().as_slice(), b"7");
    worker.signal("TERM");
    assert_eq!(worker.exit_code(), Some(0));
}

#[test]
fn queues_jobs_and_findings_are_told_as_of_any_store() {
    let schema = Schema::new();
    let system = populated(&schema);
    let mut told = String::new();
    for args in [&["queues", "list"][..], &["jobs", "list"], &["doctor"]] {
        told +=
            &format!("$ hereafter {}\n{}\n\n", args.join(" "), schema.steady(&system.text(args)));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_schema_without_tables_is_not_created_by_who_only_looks() {
    let system = Schema::new().system();
    for _ in 0..2 {
        let error = system.refused(3, &["jobs", "list"]);
        assert!(error.contains("there are no tables of Hereafter"), "{error}");
        assert!(error.contains("only `run`, `migrate`"), "{error}");
    }
    system.drain();
    assert_eq!(system.text(&["jobs", "list"]), "no job fits\n");
}

/// What a worker, and a command that only looks, say of this URL.
fn refusals(url: &str) -> [String; 2] {
    let system = System::at(url.to_owned());
    let told = [
        system.refused(3, &["jobs", "list"]),
        ends_with(3, system.worker().args(["run", "--burst"])),
    ];
    for error in &told {
        assert!(error.contains("cannot connect: "), "{error}");
        assert!(!error.contains("secret"), "{error}");
        assert!(!error.contains("thread"), "{error}");
    }
    told
}

#[test]
fn a_server_that_is_not_there_is_named_with_what_to_do() {
    for error in refusals("postgres://me:secret@127.0.0.1:1/tasks") {
        assert!(error.contains("nothing answers at `postgres://me@127.0.0.1:1/tasks"), "{error}");
        assert!(error.contains("start the server, or look at host and port"), "{error}");
    }
}

#[test]
fn a_database_that_is_not_there_is_named_with_what_to_do() {
    let server = Postgres::shared();
    let url = server.url().replace("postgres@", "postgres:secret@");
    let (url, _) = url.rsplit_once('/').unwrap();
    for error in refusals(&format!("{url}/no_such")) {
        assert!(error.contains("/no_such"), "{error}");
        assert!(error.contains("there is no such database: create it"), "{error}");
    }
}

#[test]
fn a_wrong_password_is_told_and_not_shown() {
    // The server's account must be able to read it.
    let mut rules = tempfile::NamedTempFile::new().unwrap();
    rules.write_all(b"local all all trust\nhost all all all scram-sha-256\n").unwrap();
    rules.as_file().set_permissions(PermissionsExt::from_mode(0o644)).unwrap();
    let server = Postgres::start_with(&[("hba_file", rules.path().to_str().unwrap())]);
    let url = server.url();
    let url_with = url.replace("postgres@", "postgres:secret@");
    for url in [url_with, format!("{url}?password=secret")] {
        for error in refusals(&url) {
            assert!(error.contains("look at user and password"), "{error}");
        }
    }
}
