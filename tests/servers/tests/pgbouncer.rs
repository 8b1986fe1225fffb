//! PgBouncer before a server.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::scope;

use taskservers::{PgBouncer, Postgres};

#[test]
fn a_query_passes_through_to_the_server() {
    let postgres = Postgres::start();
    postgres.psql("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)");
    let bouncer = PgBouncer::start(&postgres.url());
    assert_ne!(bouncer.url(), postgres.url());
    assert_eq!(bouncer.psql("SELECT n FROM kept"), "7");
}

#[test]
fn twelve_clients_share_four_sessions() {
    let postgres = Postgres::start();
    let bouncer = PgBouncer::start(&postgres.url());
    let sessions: BTreeSet<String> = scope(|scope| {
        let query = || bouncer.psql("SELECT pg_backend_pid() FROM pg_sleep(0.1)");
        let clients: Vec<_> = (0..12).map(|_| scope.spawn(query)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    assert!((1..=4).contains(&sessions.len()), "{sessions:?}");
}

#[test]
fn what_a_client_sets_for_its_session_another_one_finds() {
    let postgres = Postgres::start();
    let bouncer = PgBouncer::start(&postgres.url());
    bouncer.psql("SET search_path TO elsewhere");
    assert_eq!(bouncer.psql("SHOW search_path"), "elsewhere");
}

#[test]
fn a_restart_of_the_server_behind_it_is_survived() {
    let mut postgres = Postgres::start();
    let bouncer = PgBouncer::start(&postgres.url());
    assert_eq!(bouncer.psql("SELECT 1"), "1");
    postgres.restart();
    // A session that the restart ended is noticed at its next use.
    let answers = |_| catch_unwind(AssertUnwindSafe(|| bouncer.psql("SELECT 1"))).is_ok();
    assert!((0..10).any(answers), "PgBouncer does not find the server again");
}
