//! MariaDB.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::account::Account;
use crate::folder::Folder;
use crate::programs::{find, output};
use crate::server::{Plan, Server};
use crate::shared::{Kind, Shared};

/// A MariaDB server of one's own, gone when it is dropped.
///
/// It has the settings that are compiled in: durable, and with `latin1` where a table does not say
/// which letters it takes. The data is in the system's temporary folder (`TMPDIR`).
#[derive(Debug)]
pub struct MariaDb {
    server: Server,
}

impl MariaDb {
    /// A new server with one empty database, `test`.
    ///
    /// # Panics
    ///
    /// If the programs are missing, or it does not start: with its log.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A new server with these settings (`("sync_binlog", "0")`) besides its own.
    ///
    /// # Panics
    ///
    /// As [`MariaDb::start`].
    #[must_use]
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let folder = prepare();
        Self { server: Server::start(folder, |folder, port| plan(folder, port, settings)) }
    }

    /// The one server of all test processes of a run; started if it does not run.
    ///
    /// # Panics
    ///
    /// As [`MariaDb::start`].
    #[must_use]
    pub fn shared() -> Shared {
        Shared::of(&KIND)
    }

    /// `mysql://root@127.0.0.1:PORT/test`
    #[must_use]
    pub fn url(&self) -> String {
        url(self.server.port())
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

    /// Starts it on the same port after [`MariaDb::stop`] or [`MariaDb::kill`].
    ///
    /// # Panics
    ///
    /// If it runs, or does not start.
    pub fn start_again(&mut self) {
        self.server.start_again();
    }

    /// Kills it like a crash.
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

    /// Lets it go on after [`MariaDb::freeze`].
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn thaw(&self) {
        self.server.thaw();
    }

    /// Runs SQL in the database through `mariadb` and gives the rows: columns split by tabs.
    ///
    /// # Panics
    ///
    /// With the server's words, at the first statement that fails.
    pub fn sql(&self, sql: &str) -> String {
        let port = self.server.port().to_string();
        let mut client = client();
        client.args(["--protocol=tcp", "--host=127.0.0.1", "--port", &port, "test"]);
        output(&mut client, sql).unwrap_or_else(|error| panic!("cannot run `{sql}`: {error}"))
    }
}

/// What the tests share need not survive the machine: these only make it fast.
const KIND: Kind = Kind {
    name: "mariadb",
    variable: "HEREAFTER_TEST_MARIADB",
    prepare,
    plan: |folder, port| plan(folder, port, SPEED),
    url,
};

/// 500 connections, because every test brings a pool or two.
const SPEED: &[(&str, &str)] = &[
    ("innodb_flush_log_at_trx_commit", "2"),
    ("innodb_doublewrite", "0"),
    ("innodb_buffer_pool_size", "64M"),
    ("sync_binlog", "0"),
    ("max_connections", "500"),
];

/// Nothing of it outlives its process but files.
const DISCARD: Signal = Signal::KILL;

const PACKAGE: &str = "mariadb-server";

fn url(port: u16) -> String {
    format!("mysql://root@127.0.0.1:{port}/test")
}

fn account() -> Account {
    Account::of_server(&["mysql", "nobody"])
}

/// A folder with the system tables in it, and what creates the database at each start.
fn prepare() -> Folder {
    let account = account();
    let folder = Folder::new("mariadb", account, DISCARD);
    let mut command = account.command(&find("mariadb-install-db", PACKAGE), folder.path());
    command.arg("--no-defaults").arg(format!("--datadir={}", folder.path().join("data").display()));
    // Two that are set up at once would else meet in one folder.
    command.env("TMPDIR", folder.path());
    // Without names: whether this machine's own can be looked up does not matter.
    command.args([
        "--auth-root-authentication-method=normal",
        "--skip-name-resolve",
        "--skip-test-db",
    ]);
    output(&mut command, "").unwrap_or_else(|error| panic!("cannot make a database: {error}"));
    let init = folder.path().join("init.sql");
    std::fs::write(&init, "CREATE DATABASE IF NOT EXISTS test;\n").expect("the folder is ours");
    account.take(&init);
    folder
}

fn plan(folder: &Path, port: u16, settings: &[(&str, &str)]) -> Plan {
    let path = folder.to_str().expect("temporary folders are named in plain letters");
    let mut arguments = vec![
        "--no-defaults".to_owned(),
        format!("--datadir={path}/data"),
        format!("--init-file={path}/init.sql"),
        format!("--pid-file={path}/mariadbd.pid"),
        // How this server, and no other, is asked whether it answers.
        format!("--socket={path}/socket"),
        format!("--tmpdir={path}"),
        format!("--port={port}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--skip-name-resolve".to_owned(),
    ];
    arguments.extend(settings.iter().map(|(name, value)| format!("--{name}={value}")));
    Plan {
        program: find("mariadbd", PACKAGE),
        arguments,
        environment: Vec::new(),
        account: account(),
        folder: folder.to_owned(),
        host: Ipv4Addr::LOCALHOST,
        port,
        stop: Signal::TERM,
        discard: DISCARD,
        is_ready,
        is_mended_by_start: false,
    }
}

fn is_ready(plan: &Plan) -> bool {
    let mut client = client();
    client.arg(format!("--socket={}", plan.folder.join("socket").display()));
    output(&mut client, "SELECT 1").is_ok()
}

fn client() -> Command {
    let mut command = Command::new(find("mariadb", "mariadb-client"));
    command.args(["--no-defaults", "--user=root", "--batch", "--skip-column-names"]);
    command
}
