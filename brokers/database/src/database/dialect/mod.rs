//! [`Dialect`]: one text of a statement, as each database says it.
//!
//! Statements are written once, in what the databases have in common, with these marks where they
//! differ:
//!
//! | mark | SQLite | PostgreSQL | MySQL |
//! | --- | --- | --- | --- |
//! | `?` | `?` | `$1`, `$2`, … | `?` |
//! | `hereafter_job` | the prefix and `job` | the schema, a dot and `job` | the prefix and `job` |
//! | `THEN JOIN t AS a ON (c)` | `CROSS JOIN`, which fixes the order | a lateral subquery, which does too | `STRAIGHT_JOIN` |
//! | `THEN LEFT JOIN t AS a ON (c)` | `LEFT JOIN` | a lateral subquery | `LEFT JOIN` |
//! | `THEN JOIN LOCKED`, `THEN JOIN FREE` | as without | locks its rows; those that nobody else has locked | the same |
//! | `EXISTS (SELECT …)` | as it is | with `OFFSET 0`, which has it asked row by row | as it is |
//! | `least(a, b)`, `greatest(a, b)` | `min`, `max` | as they are | as they are |
//! | `{ids}`, `{names}` | a list as one JSON text | a list as one array | a list as one JSON text |
//! | `IN (SELECT seq FROM input)` | as it is | `= ANY` of the array that `input` is made of | a join of a table to change |
//! | `UPDATE t … FROM input WHERE t.seq = input.seq` | as it is | by the places of these rows | `UPDATE input STRAIGHT_JOIN t` |
//! | `IN LIST (SELECT …)` | `IN (SELECT …)` | `= ANY (ARRAY (SELECT …))` | as `IN`, or a join of a table to change |
//! | `ON CONFLICT … DO …`, `excluded.c` | as they are | as they are | `ON DUPLICATE KEY UPDATE`, `VALUES(c)` |
//! | `{settings}`, `{lock}`, `{schema}` | | what a pooled transaction sets, numbers and names | |
//!
//! The rules for joins, `EXISTS`, `IN` and `UPDATE` are why no plan depends on statistics: a planner
//! that believes a table to be empty, because it was when it last looked, has no other way to read
//! it than by the key that it is given. MySQL is also told to use an index of each table.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::bulk::Columns;

#[cfg(feature = "mysql")]
pub(super) mod mysql;
#[cfg(feature = "postgres")]
mod postgres;

/// A database that statements are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    #[cfg(feature = "sqlite")]
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres,
    /// MySQL or MariaDB.
    #[cfg(feature = "mysql")]
    Mysql,
}

impl Kind {
    /// The broker's name in errors, spans and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => "sqlite",
            #[cfg(feature = "postgres")]
            Self::Postgres => "postgres",
            #[cfg(feature = "mysql")]
            Self::Mysql => "mysql",
        }
    }
}

/// A statement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Statement {
    #[cfg(feature = "sqlite")]
    sqlite: &'static str,
    #[cfg(feature = "postgres")]
    postgres: &'static str,
    #[cfg(feature = "mysql")]
    mysql: &'static str,
}

impl Statement {
    pub(crate) const fn new(text: &'static str) -> Self {
        Self {
            #[cfg(feature = "sqlite")]
            sqlite: text,
            #[cfg(feature = "postgres")]
            postgres: text,
            #[cfg(feature = "mysql")]
            mysql: text,
        }
    }

    /// One that is never run where nobody says how.
    pub(crate) const fn nowhere() -> Self {
        Self::new("")
    }

    /// The same, said in another way on PostgreSQL.
    #[cfg_attr(not(feature = "postgres"), expect(unused_mut, unused_variables))]
    pub(crate) const fn on_postgres(mut self, text: &'static str) -> Self {
        #[cfg(feature = "postgres")]
        {
            self.postgres = text;
        }
        self
    }

    /// The same, said in another way on MySQL.
    #[cfg_attr(not(feature = "mysql"), expect(unused_mut, unused_variables))]
    pub(crate) const fn on_mysql(mut self, text: &'static str) -> Self {
        #[cfg(feature = "mysql")]
        {
            self.mysql = text;
        }
        self
    }

    /// The same, said in another way on every server.
    pub(crate) const fn on_servers(self, text: &'static str) -> Self {
        self.on_postgres(text).on_mysql(text)
    }

    pub(super) fn text(&self, kind: Kind) -> &'static str {
        match kind {
            #[cfg(feature = "sqlite")]
            Kind::Sqlite => self.sqlite,
            #[cfg(feature = "postgres")]
            Kind::Postgres => self.postgres,
            #[cfg(feature = "mysql")]
            Kind::Mysql => self.mysql,
        }
    }
}

/// How the statements of one store are written.
#[derive(Debug)]
pub(crate) struct Dialect {
    pub(crate) kind: Kind,
    /// What stands before the names of tables.
    prefix: String,
    /// Of the locks of this store, where locks are numbers.
    lock: i64,
    /// What each transaction sets for itself, where a session cannot keep it.
    settings: String,
    /// Whether another connection to the server may serve each transaction.
    pub(crate) is_pooled: bool,
    texts: RwLock<HashMap<Key, Arc<str>>>,
}

/// A constant text, by where it is; and how many rows it is for.
type Key = (usize, usize, usize);

impl Dialect {
    /// Tables are called `{prefix}job` and so on.
    pub(crate) fn new(kind: Kind, prefix: String, lock: i64) -> Arc<Self> {
        let (settings, is_pooled) = (String::new(), false);
        Arc::new(Self { kind, prefix, lock, settings, is_pooled, texts: RwLock::default() })
    }

    /// The same behind a pooler that gives each transaction a connection of its choice.
    #[cfg(feature = "postgres")]
    pub(crate) fn pooled(kind: Kind, prefix: String, lock: i64, settings: String) -> Arc<Self> {
        let is_pooled = true;
        Arc::new(Self { kind, prefix, lock, settings, is_pooled, texts: RwLock::default() })
    }

    /// Whether a transaction has the store for itself, so that a range is as exact as a list of
    /// keys, and numbers are given in the order of commits.
    pub(crate) fn is_serial(&self) -> bool {
        match self.kind {
            #[cfg(feature = "sqlite")]
            Kind::Sqlite => true,
            #[cfg(feature = "postgres")]
            Kind::Postgres => false,
            #[cfg(feature = "mysql")]
            Kind::Mysql => false,
        }
    }

    /// The text of a statement.
    pub(crate) fn text(&self, statement: &Statement) -> Arc<str> {
        let text = statement.text(self.kind);
        self.cached((text.as_ptr() as usize, text.len(), 0), || self.translate(text, None))
    }

    /// The text of a statement over so many rows of input.
    pub(crate) fn bulk_text(
        &self,
        columns: &Columns,
        statement: &Statement,
        rows: usize,
    ) -> Arc<str> {
        let text = statement.text(self.kind);
        self.cached((text.as_ptr() as usize, text.len(), rows), || {
            if text.is_empty() {
                // It is never run there.
                return String::new();
            }
            let text = self.translate(text, Some(columns));
            number(self.kind, &columns.with_input(self.kind, &text, rows))
        })
    }

    /// The text of a statement that was put together of fragments; never of a user's text.
    pub(crate) fn built(&self, fragments: &str) -> String {
        number(self.kind, &self.translate(fragments, None))
    }

    fn cached(&self, key: Key, make: impl FnOnce() -> String) -> Arc<str> {
        let texts = self.texts.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = texts.get(&key) {
            return text.clone();
        }
        drop(texts);
        let text: Arc<str> = make().into();
        let mut texts = self.texts.write().unwrap_or_else(PoisonError::into_inner);
        texts.entry(key).or_insert(text).clone()
    }

    /// All but the numbers of parameters, which those of `input` come before.
    fn translate(&self, text: &str, columns: Option<&Columns>) -> String {
        let text = match self.kind {
            #[cfg(feature = "sqlite")]
            Kind::Sqlite => sqlite(text),
            #[cfg(feature = "postgres")]
            Kind::Postgres => postgres::translate(text, columns),
            #[cfg(feature = "mysql")]
            Kind::Mysql => mysql::translate(text, columns),
        };
        let text = text
            .replace("hereafter_", &self.prefix)
            .replace("{schema}", self.prefix.trim_end_matches('.'))
            .replace("{settings}", &self.settings)
            .replace("{lock}", &self.lock.to_string());
        if columns.is_some() { text } else { number(self.kind, &text) }
    }
}

/// As SQLite says it, all but the names of tables.
#[cfg(feature = "sqlite")]
fn sqlite(text: &str) -> String {
    let join = |join: &Join<'_>| {
        let Join { is_left, table, alias, condition, .. } = join;
        let side = if *is_left { "LEFT" } else { "CROSS" };
        format!("{side} JOIN {table} AS {alias} ON ({condition})")
    };
    joins(text, join)
        .replace("IN LIST", "IN")
        .replace("least(", "min(")
        .replace("greatest(", "max(")
        .replace("{ids}", "(SELECT key AS place, unhex(value) AS id FROM json_each(?))")
        .replace("{names}", "(SELECT value AS name FROM json_each(?))")
}

/// A table that is read for each row of those before it.
#[derive(Debug)]
struct Join<'a> {
    is_left: bool,
    lock: Option<Lock>,
    table: &'a str,
    alias: &'a str,
    condition: &'a str,
}

/// What becomes of rows that somebody else has locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lock {
    /// They are waited for.
    Wait,
    /// They are passed over.
    Skip,
}

/// Writes each `THEN JOIN t AS a ON (c)` in another way.
fn joins(text: &str, mut write: impl FnMut(&Join<'_>) -> String) -> String {
    const KINDS: [(&str, bool, Option<Lock>); 4] = [
        ("JOIN LOCKED ", false, Some(Lock::Wait)),
        ("JOIN FREE ", false, Some(Lock::Skip)),
        ("JOIN ", false, None),
        ("LEFT JOIN ", true, None),
    ];
    let mut parts = text.split("THEN ");
    let mut joined = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let found = KINDS.iter().find_map(|(words, is_left, lock)| {
            part.strip_prefix(words).map(|rest| (*is_left, *lock, rest))
        });
        let Some((is_left, lock, part)) = found else {
            // That of a `CASE`.
            joined.push_str("THEN ");
            joined.push_str(part);
            continue;
        };
        let (table, rest) = part.split_once(" ON (").expect("a join says by what");
        let (condition, rest) = rest.split_at(closing(rest));
        let (table, alias) = table.split_once(" AS ").expect("a joined table has an alias");
        joined.push_str(&write(&Join { is_left, lock, table, alias, condition }));
        joined.push_str(&rest[1..]);
    }
    joined
}

/// Where the parenthesis that is open closes.
fn closing(text: &str) -> usize {
    let mut depth = 1;
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return place;
        }
    }
    panic!("a parenthesis of a statement is not closed: {text}")
}

/// Numbers the parameters, where they have numbers.
fn number(kind: Kind, text: &str) -> String {
    match kind {
        #[cfg(feature = "sqlite")]
        Kind::Sqlite => text.to_owned(),
        #[cfg(feature = "postgres")]
        Kind::Postgres => postgres::number(text),
        #[cfg(feature = "mysql")]
        Kind::Mysql => text.to_owned(),
    }
}

/// The number of the lock of a store: every program that knows where it is finds the same one. The
/// next numbers are for other locks of it. This is FNV-1a,
/// <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) fn lock_number(place: &[&str]) -> i64 {
    let name = ["hereafter", &place.join(":")].join(":");
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    // A positive number with room above it.
    (hash & 0x7fff_ffff_ffff_ff00).cast_signed()
}
