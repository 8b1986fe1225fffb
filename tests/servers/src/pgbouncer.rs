//! PgBouncer.

use std::fs::{read_to_string, write};
use std::net::Ipv4Addr;
use std::path::Path;

use rustix::process::Signal;

use crate::account::Account;
use crate::folder::Folder;
use crate::postgres::run;
use crate::programs::find;
use crate::server::{Plan, Server};

/// A PgBouncer in transaction mode before a PostgreSQL server, gone when it is dropped.
///
/// Four connections to the server are shared by all clients, so a session's state is soon seen to be
/// somebody else's. The rest is as it comes: a start-up parameter that PgBouncer does not know is
/// refused.
#[derive(Debug)]
pub struct PgBouncer {
    server: Server,
    database: String,
}

impl PgBouncer {
    /// A new one before the server at `url` (`postgres://USER[:PASSWORD]@HOST:PORT/DATABASE`).
    ///
    /// # Panics
    ///
    /// If the program is missing, the URL is another, or it does not start: with its log.
    #[must_use]
    pub fn start(url: &str) -> Self {
        let target = Target::of(url)
            .unwrap_or_else(|| panic!("`{url}` has no user, host, port and database"));
        let folder = Folder::new("pgbouncer", account(), DISCARD);
        let server = Server::start(folder, |folder, port| plan(folder, port, &target));
        Self { server, database: target.database.to_owned() }
    }

    /// `postgres://postgres@127.0.0.1:PORT/DATABASE`. Any user is let in as the one of the server's URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{}", self.server.port(), self.database)
    }

    /// Runs SQL through `psql`, like [`Postgres::psql`](crate::Postgres::psql).
    ///
    /// # Panics
    ///
    /// With the words of the server or of PgBouncer, at the first statement that fails.
    pub fn psql(&self, sql: &str) -> String {
        run(&self.url(), sql)
    }
}

/// The parts of a URL.
struct Target<'a> {
    user: &'a str,
    password: Option<&'a str>,
    host: &'a str,
    port: &'a str,
    database: &'a str,
}

impl<'a> Target<'a> {
    fn of(url: &'a str) -> Option<Self> {
        let (_, rest) = url.split_once("://")?;
        let (login, rest) = rest.rsplit_once('@')?;
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (login, None),
        };
        let (address, database) = rest.split_once('/')?;
        let (host, port) = address.rsplit_once(':')?;
        let database = database.split('?').next()?;
        Some(Self { user, password, host, port, database })
    }
}

const DISCARD: Signal = Signal::KILL;

fn account() -> Account {
    Account::of_server(&["postgres", "nobody"])
}

fn plan(folder: &Path, port: u16, target: &Target<'_>) -> Plan {
    let settings = folder.join("pgbouncer.ini");
    write(&settings, ini(port, target)).expect("the folder is ours");
    account().take(&settings);
    Plan {
        program: find("pgbouncer", "pgbouncer"),
        arguments: vec![
            settings.to_str().expect("temporary folders are named in plain letters").to_owned(),
        ],
        environment: Vec::new(),
        account: account(),
        folder: folder.to_owned(),
        host: Ipv4Addr::LOCALHOST,
        port,
        stop: Signal::INT,
        discard: DISCARD,
        is_ready,
        is_mended_by_start: false,
    }
}

fn ini(port: u16, target: &Target<'_>) -> String {
    let Target { user, host, port: server, database, .. } = target;
    let password = target.password.map(|it| format!(" password='{it}'")).unwrap_or_default();
    format!(
        "[databases]\n\
         {database} = host={host} port={server} user={user}{password}\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         auth_type = any\n\
         pool_mode = transaction\n\
         default_pool_size = 4\n"
    )
}

/// A connection could be to somebody else's server on the port; its own log could not.
fn is_ready(plan: &Plan) -> bool {
    let log = read_to_string(plan.folder.join("log")).unwrap_or_default();
    log.contains(&format!("listening on 127.0.0.1:{}", plan.port))
}
