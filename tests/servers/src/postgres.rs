//! PostgreSQL.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::account::Account;
use crate::folder::Folder;
use crate::programs::{find, find_beside, output};
use crate::server::{Plan, Server};
use crate::shared::{Kind, Shared};

/// A PostgreSQL server of one's own, gone when it is dropped.
///
/// It is as durable as an installed one: what was committed survives [`Postgres::kill`]. The data is
/// in the system's temporary folder (`TMPDIR`); who measures durable writes has that on a disk.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
}

impl Postgres {
    /// A new server with one empty database.
    ///
    /// # Panics
    ///
    /// If the programs are missing, or it does not start: with its log.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A new server with these settings (`("fsync", "off")`) besides its own.
    ///
    /// # Panics
    ///
    /// As [`Postgres::start`].
    #[must_use]
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let folder = prepare();
        Self { server: Server::start(folder, |folder, port| plan(folder, port, settings)) }
    }

    /// The one server of all test processes of a run; started if it does not run.
    ///
    /// # Panics
    ///
    /// As [`Postgres::start`].
    #[must_use]
    pub fn shared() -> Shared {
        Shared::of(&KIND)
    }

    /// `postgres://postgres@127.0.0.1:PORT/postgres`
    #[must_use]
    pub fn url(&self) -> String {
        url(self.server.port())
    }

    /// The file to which it logs, as `log_min_duration_statement` and its like say; it is there until
    /// the server is dropped.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.server.log()
    }

    /// Stops it, which ends every session, and starts it on the same port.
    ///
    /// # Panics
    ///
    /// If it does not stop or start.
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Stops it in good order: sessions end, everything is written.
    ///
    /// # Panics
    ///
    /// If it does not stop.
    pub fn stop(&mut self) {
        self.server.stop();
    }

    /// Starts it on the same port after [`Postgres::stop`] or [`Postgres::kill`].
    ///
    /// # Panics
    ///
    /// If it runs, or does not start.
    pub fn start_again(&mut self) {
        self.server.start_again();
    }

    /// Kills it like a crash; nothing of it runs when this returns.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Makes it stand still with every connection open: nobody is refused and nobody answered.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn freeze(&self) {
        self.server.freeze();
    }

    /// Lets it go on after [`Postgres::freeze`].
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn thaw(&self) {
        self.server.thaw();
    }

    /// Runs SQL through `psql`, each statement by itself, and gives the rows: columns split by `|`.
    ///
    /// # Panics
    ///
    /// With the server's words, at the first statement that fails.
    pub fn psql(&self, sql: &str) -> String {
        run(&self.url(), sql)
    }
}

/// What the tests share need not survive the machine: these only make it fast.
const KIND: Kind = Kind {
    name: "postgres",
    variable: "HEREAFTER_TEST_POSTGRES",
    prepare,
    plan: |folder, port| plan(folder, port, SPEED),
    url,
};

/// 200 connections, because every test brings a pool or two.
const SPEED: &[(&str, &str)] = &[
    ("fsync", "off"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "off"),
    ("max_connections", "200"),
    ("shared_buffers", "64MB"),
];

/// An immediate shutdown writes nothing down but gives the shared memory back.
const DISCARD: Signal = Signal::QUIT;

const PACKAGE: &str = "postgresql";

fn url(port: u16) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/postgres")
}

fn account() -> Account {
    Account::of_server(&["postgres", "nobody"])
}

fn postgres() -> PathBuf {
    find("postgres", PACKAGE)
}

/// A folder with an empty database in it.
fn prepare() -> Folder {
    let account = account();
    let folder = Folder::new("postgres", account, DISCARD);
    let initdb = find_beside(&postgres(), "initdb", PACKAGE);
    let mut command = account.command(&initdb, folder.path());
    command.arg("--pgdata").arg(folder.path().join("data"));
    command.args([
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
    ]);
    output(&mut command, "").unwrap_or_else(|error| panic!("cannot make a database: {error}"));
    folder
}

fn plan(folder: &Path, port: u16, settings: &[(&str, &str)]) -> Plan {
    let path = folder.to_str().expect("temporary folders are named in plain letters");
    let mut arguments =
        vec!["-D".to_owned(), format!("{path}/data"), "-p".to_owned(), port.to_string()];
    // The socket in its own folder is how this server, and no other, is asked whether it answers.
    let own = [("listen_addresses", "127.0.0.1"), ("unix_socket_directories", path)];
    for (name, value) in own.iter().chain(settings) {
        arguments.extend(["-c".to_owned(), format!("{name}={value}")]);
    }
    Plan {
        program: postgres(),
        arguments,
        environment: Vec::new(),
        account: account(),
        folder: folder.to_owned(),
        host: Ipv4Addr::LOCALHOST,
        port,
        stop: Signal::INT,
        discard: DISCARD,
        is_ready,
        // Its segments of shared memory.
        is_mended_by_start: true,
    }
}

/// What `psql` prints for these statements; a panic with what it says against one.
pub(crate) fn run(url: &str, sql: &str) -> String {
    output(&mut psql(url), sql).unwrap_or_else(|error| panic!("cannot run `{sql}`: {error}"))
}

fn is_ready(plan: &Plan) -> bool {
    let socket =
        format!("host={} port={} user=postgres dbname=postgres", plan.folder.display(), plan.port);
    output(&mut psql(&socket), "SELECT 1").is_ok()
}

fn psql(connection: &str) -> Command {
    let mut command = Command::new(find_beside(&postgres(), "psql", "postgresql-client"));
    command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", connection]);
    command
}
