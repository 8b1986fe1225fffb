//! The command line on a MariaDB server.

use taskcore::broker::JobState;
use taskservers::MariaDb;

use crate::support::{Running, System, ends_with, until};
use crate::tasks::add;

/// Tables of its own on the server that tests share.
fn system() -> System {
    let server = MariaDb::shared();
    System::at(format!("{}?prefix={}", server.url(), server.prefix()))
}

#[test]
fn a_worker_runs_the_jobs_at_its_url_and_finds_new_ones() {
    let system = system();
    let early = system.client(async |client| add(1, 2).delay_on(client).await.unwrap().id());
    let worker = Running::start(system.worker().args(["run", "--url", system.url()]));
    until(|| system.record(early).state == JobState::Done);
    let late = system.client(async |client| add(3, 4).delay_on(client).await.unwrap().id());
    until(|| system.record(late).state == JobState::Done);
    assert_eq!(system.record(late).result.unwrap().as_slice(), b"7");
    worker.signal("TERM");
    assert_eq!(worker.exit_code(), Some(0));
}

#[test]
fn doctor_tells_of_the_server_and_finds_no_fault() {
    let system = system();
    system.client(async |client| add(1, 2).delay_on(client).await.unwrap().id());
    let told = system.text(&["doctor"]);
    for part in [
        "MariaDB: version ",
        "durability: `innodb_flush_log_at_trx_commit=",
        "role: primary",
        "schema: version 2",
        "wake-ups: polling, 10 to 250 ms apart",
        "oldest ready job: in queue `sums`",
    ] {
        assert!(told.contains(part), "no `{part}` in: {told}");
    }
}

#[test]
fn what_cannot_be_connected_to_is_named_with_what_to_do() {
    let server = MariaDb::shared();
    let (place, _) = server.url().rsplit_once('/').unwrap();
    for (url, part) in [
        ("mysql://me:secret@127.0.0.1:1/tasks".to_owned(), "start the server"),
        (format!("{place}/absent"), "there is no such database: create it"),
        (place.to_owned(), "it names no database"),
    ] {
        let system = System::at(url);
        let told = ends_with(3, system.worker().args(["run", "--burst"]));
        assert!(told.contains(part) && !told.contains("secret"), "{told}");
    }
}
