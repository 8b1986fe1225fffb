//! PostgreSQL servers of one's own.

use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use taskservers::Postgres;

const PLENTY: Duration = Duration::from_secs(30);

fn with_one_row() -> Postgres {
    let postgres = Postgres::start();
    postgres.psql("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)");
    postgres
}

#[test]
fn a_server_answers_and_is_durable_by_default() {
    let postgres = Postgres::start();
    assert_eq!(postgres.psql("SELECT 1, 2; SELECT 'three'"), "1|2\nthree");
    assert_eq!(
        postgres.psql("SHOW fsync; SHOW synchronous_commit; SHOW full_page_writes"),
        "on\non\non"
    );
}

#[test]
fn a_setting_reaches_the_server() {
    let postgres = Postgres::start_with(&[("max_connections", "17"), ("fsync", "off")]);
    assert_eq!(postgres.psql("SHOW max_connections; SHOW fsync"), "17\noff");
}

#[test]
fn a_restart_keeps_what_was_written_and_the_port() {
    let mut postgres = with_one_row();
    let url = postgres.url();
    postgres.restart();
    assert_eq!(postgres.url(), url);
    assert_eq!(postgres.psql("SELECT n FROM kept"), "7");
}

#[test]
fn a_stopped_server_refuses_connections_until_it_is_started_again() {
    let mut postgres = with_one_row();
    postgres.stop();
    assert!(TcpStream::connect(address(&postgres)).is_err());
    postgres.start_again();
    assert_eq!(postgres.psql("SELECT n FROM kept"), "7");
}

#[test]
fn a_killed_server_recovers_what_was_committed() {
    let mut postgres = with_one_row();
    postgres.kill();
    assert!(TcpStream::connect(address(&postgres)).is_err());
    postgres.start_again();
    assert_eq!(postgres.psql("SELECT n FROM kept"), "7");
}

#[test]
fn a_frozen_server_leaves_a_query_hanging_and_a_thawed_one_answers_it() {
    let postgres = Postgres::start();
    postgres.freeze();
    let (answer, answered) = channel();
    std::thread::scope(|scope| {
        scope.spawn(|| answer.send(postgres.psql("SELECT 1")));
        let early = answered.recv_timeout(Duration::from_millis(500));
        postgres.thaw();
        assert_eq!(early, Err(RecvTimeoutError::Timeout));
        assert_eq!(answered.recv_timeout(PLENTY).as_deref(), Ok("1"));
    });
}

#[test]
fn a_query_under_way_hangs_too() {
    let postgres = Postgres::start();
    let (answer, answered) = channel();
    std::thread::scope(|scope| {
        scope.spawn(|| answer.send(postgres.psql("/* under way */ SELECT 1 FROM pg_sleep(0.3)")));
        let under_way = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '/* under way%'";
        while postgres.psql(under_way) == "0" {}
        postgres.freeze();
        let early = answered.recv_timeout(Duration::from_millis(800));
        postgres.thaw();
        assert_eq!(early, Err(RecvTimeoutError::Timeout));
        assert_eq!(answered.recv_timeout(PLENTY).as_deref(), Ok("1"));
    });
}

#[test]
fn a_dropped_server_is_gone_with_its_folder_whatever_state_it_was_in() {
    type Change = fn(&mut Postgres);
    let changes: [(&str, Change); 4] = [
        ("running", |_| {}),
        ("stopped", Postgres::stop),
        ("killed", Postgres::kill),
        ("frozen", |postgres| postgres.freeze()),
    ];
    for (state, change) in changes {
        let mut postgres = Postgres::start();
        let folder = postgres.psql("SHOW data_directory");
        let address = address(&postgres);
        change(&mut postgres);
        drop(postgres);
        assert!(TcpStream::connect(address).is_err(), "the {state} server listens");
        assert!(!std::fs::exists(&folder).unwrap(), "the {state} server left {folder}");
    }
}

#[test]
fn an_error_of_the_server_is_the_panic() {
    let postgres = Postgres::start();
    let panic =
        catch_unwind(AssertUnwindSafe(|| postgres.psql("SELECT 1; SELECT nothing"))).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("column \"nothing\" does not exist"), "{text}");
}

fn address(postgres: &Postgres) -> String {
    let url = postgres.url();
    url.strip_prefix("postgres://postgres@").unwrap().strip_suffix("/postgres").unwrap().to_owned()
}
