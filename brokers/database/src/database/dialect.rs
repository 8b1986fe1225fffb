//! [`Dialect`]: one text of a statement, as each database says it.
//!
//! Statements are written once, in what SQLite and PostgreSQL have in common, with these marks
//! where they differ:
//!
//! | mark | SQLite | PostgreSQL |
//! | --- | --- | --- |
//! | `?` | `?` | `$1`, `$2`, … |
//! | `hereafter_job` | the prefix and `job` | the schema, a dot and `job` |
//! | `THEN JOIN t AS a ON (c)` | `CROSS JOIN`, which fixes the order | a lateral subquery, which does too |
//! | `THEN LEFT JOIN t AS a ON (c)` | `LEFT JOIN` | a lateral subquery |
//! | `EXISTS (SELECT …)` | as it is | with `OFFSET 0`, which has it asked row by row |
//! | `least(a, b)`, `greatest(a, b)` | `min`, `max` | as they are |
//! | `{ids}`, `{names}` | a list as one JSON text | a list as one array |
//! | `IN (SELECT seq FROM input)` | as it is | `= ANY` of the array that `input` is made of |
//! | `UPDATE t … FROM input WHERE t.seq = input.seq` | as it is | by the places of these rows |
//! | `IN LIST (SELECT …)` | `IN (SELECT …)` | `= ANY (ARRAY (SELECT …))` |
//! | `{settings}`, `{lock}`, `{schema}` | | what a pooled transaction sets, numbers and names |
//!
//! The last three lines and the third to the fifth are why no plan depends on statistics: a planner that believes a
//! table to be empty, because it was when it last looked, has no other way to read it than by the
//! key that it is given.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::bulk::Columns;

/// A database that statements are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    #[cfg(feature = "sqlite")]
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres,
}

impl Kind {
    /// The broker's name in errors, spans and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => "sqlite",
            #[cfg(feature = "postgres")]
            Self::Postgres => "postgres",
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
}

impl Statement {
    pub(crate) const fn new(text: &'static str) -> Self {
        Self {
            #[cfg(feature = "sqlite")]
            sqlite: text,
            #[cfg(feature = "postgres")]
            postgres: text,
        }
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

    fn text(&self, kind: Kind) -> &'static str {
        match kind {
            #[cfg(feature = "sqlite")]
            Kind::Sqlite => self.sqlite,
            #[cfg(feature = "postgres")]
            Kind::Postgres => self.postgres,
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
            let head = columns.head(self.kind, rows);
            let text = self.translate(text, Some(columns));
            let separator = if text.starts_with(',') { "" } else { " " };
            number(self.kind, &format!("{head}{separator}{text}"))
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
        let text = text.replace("hereafter_", &self.prefix);
        let text = text.replace("{schema}", self.prefix.trim_end_matches('.'));
        let text = text.replace("{settings}", &self.settings);
        let text = text.replace("{lock}", &self.lock.to_string());
        let text = lists(self.kind, &joins(self.kind, &text));
        let text = match self.kind {
            #[cfg(feature = "sqlite")]
            Kind::Sqlite => text
                .replace("least(", "min(")
                .replace("greatest(", "max(")
                .replace("{ids}", "(SELECT key AS place, unhex(value) AS id FROM json_each(?))")
                .replace("{names}", "(SELECT value AS name FROM json_each(?))"),
            #[cfg(feature = "postgres")]
            Kind::Postgres => {
                let text = row_by_row(&text)
                    .replace("{ids}", POSTGRES_IDS)
                    .replace("{names}", "(SELECT name FROM unnest(?::text[]) AS listed (name))");
                match columns {
                    Some(columns) => by_key(&text, columns),
                    None => text,
                }
            }
        };
        if columns.is_some() { text } else { number(self.kind, &text) }
    }
}

#[cfg(feature = "postgres")]
const POSTGRES_IDS: &str = "(SELECT place - 1 AS place, id
     FROM unnest(?::uuid[]) WITH ORDINALITY AS listed (id, place))";

/// Turns `THEN JOIN t AS a ON (c)` into what keeps the order of the tables.
fn joins(kind: Kind, text: &str) -> String {
    let mut parts = text.split("THEN ");
    let mut joined = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (side, part) = match (part.strip_prefix("JOIN "), part.strip_prefix("LEFT JOIN ")) {
            (Some(part), _) => ("", part),
            (_, Some(part)) => ("LEFT ", part),
            // That of a `CASE`.
            _ => {
                joined.push_str("THEN ");
                joined.push_str(part);
                continue;
            }
        };
        match kind {
            #[cfg(feature = "sqlite")]
            Kind::Sqlite => {
                joined.push_str(if side.is_empty() { "CROSS JOIN " } else { "LEFT JOIN " });
                joined.push_str(part);
            }
            #[cfg(feature = "postgres")]
            Kind::Postgres => {
                let (table, rest) = part.split_once(" ON (").expect("a join says by what");
                let (condition, rest) = rest.split_at(closing(rest));
                let (_, alias) = table.split_once(" AS ").expect("a joined table has an alias");
                joined.push_str(&format!(
                    "{side}JOIN LATERAL (SELECT * FROM {table} WHERE {condition} OFFSET 0) AS {alias} \
                     ON true{}",
                    &rest[1..]
                ));
            }
        }
    }
    joined
}

/// Turns `IN LIST (SELECT …)` into what is read before the table that it is about.
fn lists(kind: Kind, text: &str) -> String {
    match kind {
        #[cfg(feature = "sqlite")]
        Kind::Sqlite => text.replace("IN LIST", "IN"),
        #[cfg(feature = "postgres")]
        Kind::Postgres => {
            let mut parts = text.split("IN LIST");
            let mut listed = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                let list = part.trim_start().strip_prefix('(').expect("a list is in parentheses");
                let (list, rest) = list.split_at(closing(list));
                listed.push_str(&format!("= ANY(ARRAY({list})){}", &rest[1..]));
            }
            listed
        }
    }
}

/// Keeps `EXISTS` from becoming a join, or a list of all rows that there are.
#[cfg(feature = "postgres")]
fn row_by_row(text: &str) -> String {
    const EXISTS: &str = "EXISTS (SELECT ";
    let mut text = text.to_owned();
    let mut from = 0;
    while let Some(found) = text[from..].find(EXISTS) {
        from += found + EXISTS.len();
        let end = from + closing(&text[from..]);
        text.insert_str(end, " OFFSET 0");
    }
    text
}

/// Where the parenthesis that is open closes.
#[cfg(feature = "postgres")]
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
    panic!("a condition of a join is not closed: {text}")
}

/// Gives tables by their keys where the text gives them by `input`.
#[cfg(feature = "postgres")]
fn by_key(text: &str, columns: &Columns) -> String {
    let mut text = text.to_owned();
    for (number, column) in (1..).zip(columns.names()) {
        let array = format!("= ANY(${number})");
        text = text.replace(&format!("IN (SELECT {column} FROM input)"), &array);
    }
    let key = columns.names().next().unwrap_or_default();
    let table = text.strip_prefix("UPDATE ").and_then(|rest| rest.split_whitespace().next());
    let Some(table) = table.map(str::to_owned) else { return text };
    // The rows are looked up one by one and then updated where they are: joined by its key, the table
    // may be compared with the input row by row. Nobody else changes these rows meanwhile, for
    // their leases are locked before, or the store is.
    let by_place = format!(
        "JOIN LATERAL (SELECT ctid AS place FROM {table} AS own WHERE own.{key} = input.{key} \
         OFFSET 0) AS found ON true WHERE {table}.ctid = found.place"
    );
    text.replace(&format!("WHERE {table}.{key} = input.{key}"), &by_place)
}

/// Numbers the parameters, where they have numbers. Those that have one already come first.
fn number(kind: Kind, text: &str) -> String {
    match kind {
        #[cfg(feature = "sqlite")]
        Kind::Sqlite => text.to_owned(),
        #[cfg(feature = "postgres")]
        Kind::Postgres => {
            let before = (1..).take_while(|number| text.contains(&format!("${number}"))).count();
            let mut parts = text.split('?');
            let mut numbered = parts.next().unwrap_or_default().to_owned();
            for (number, part) in (before + 1..).zip(parts) {
                numbered.push_str(&format!("${number}{part}"));
            }
            numbered
        }
    }
}
