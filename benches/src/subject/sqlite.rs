//! SQLite, as it is measured on: files in the system's temporary folder (`TMPDIR`).

use std::path::{Path, PathBuf};

use anyhow::Context;
use rusqlite::Connection;
use tempfile::TempDir;

use super::{Meter, Store, Subject, Written};
use crate::broker::Broker;
use crate::floor::Driver;

/// A folder of files.
#[derive(Debug)]
pub(crate) struct Sqlite(TempDir);

impl Sqlite {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("the system has a temporary folder"))
    }

    fn path(&self, name: &str, number: u32) -> PathBuf {
        self.0.path().join(format!("{name}-{number}.db"))
    }
}

impl Subject for Sqlite {
    fn broker(&self) -> Broker {
        Broker::Sqlite
    }

    fn about(&self) -> String {
        format!("SQLite {}: WAL, synchronous=FULL", rusqlite::version())
    }

    fn drivers(&self) -> &'static [Driver] {
        &[Driver::Sqlite, Driver::Rusqlite]
    }

    fn store(&self, number: u32) -> Store {
        let url = format!("sqlite://{}", self.path("ours", number).display());
        Store::new(number, url, self.path("floor", number).display().to_string())
    }

    fn drop_store(&self, store: Store) {
        for name in ["ours", "floor"] {
            for end in ["", "-wal", "-shm", ".rusqlite", ".rusqlite-wal", ".rusqlite-shm"] {
                let mut path = self.path(name, store.number).into_os_string();
                path.push(end);
                // Most are not there.
                let _ = std::fs::remove_file(path);
            }
        }
    }

    fn meter<'a>(&'a self, place: &str) -> anyhow::Result<Option<Box<dyn Meter + 'a>>> {
        let path = Path::new(place.strip_prefix("sqlite://").unwrap_or(place)).to_owned();
        let open = Connection::open(&path)?;
        // Only who has read shares the log's index.
        open.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(Some(Box::new(Log { path, open })))
    }
}

/// The write-ahead log of a file, which lives as long as somebody has the file open.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    #[expect(dead_code, reason = "held for its drop")]
    open: Connection,
}

impl Meter for Log {
    fn read(&mut self, by_processes: u64) -> anyhow::Result<Written> {
        let mut path = self.path.clone().into_os_string();
        path.push("-shm");
        let index = std::fs::read(path).context("cannot read the index of the log")?;
        // `iChange`, which each transaction raises by one: <https://sqlite.org/walformat.html>, 2.1.
        let change = index.get(8..12).context("the index of the log is too short")?;
        let commits = u32::from_ne_bytes(change.try_into()?);
        Ok(Written { bytes: by_processes, commits: commits.into() })
    }
}
