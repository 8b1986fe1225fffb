//! [`Bulk`]: a statement over many rows of input.

use std::sync::Arc;

use super::args::{Args, Value};
#[cfg(feature = "mysql")]
use super::dialect::mysql;
use super::dialect::{Dialect, Kind, Statement};

/// A statement over many rows of input, which it reads as a table `input`.
#[derive(Debug)]
pub(crate) struct Bulk {
    columns: Columns,
    statement: Statement,
}

/// The columns of `input`: each a name and a type, of `int`, `text`, `bytes` and `id`.
#[derive(Debug)]
pub(crate) struct Columns(&'static str);

/// One execution of a [`Bulk`].
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) sql: Arc<str>,
    pub(crate) args: Args,
}

impl Bulk {
    /// The most rows that one step of the walks over dependants takes.
    pub(crate) const MAX_ROWS: usize = 512;

    pub(crate) const fn new(columns: &'static str, text: &'static str) -> Self {
        Self { columns: Columns(columns), statement: Statement::new(text) }
    }

    /// One that is never run where nobody says how.
    pub(crate) const fn nowhere(columns: &'static str) -> Self {
        Self { columns: Columns(columns), statement: Statement::nowhere() }
    }

    /// The same, said in another way on PostgreSQL.
    pub(crate) const fn on_postgres(self, text: &'static str) -> Self {
        Self { columns: self.columns, statement: self.statement.on_postgres(text) }
    }

    /// The same, said in another way on MySQL.
    pub(crate) const fn on_mysql(self, text: &'static str) -> Self {
        Self { columns: self.columns, statement: self.statement.on_mysql(text) }
    }

    /// The same, said in another way on every server.
    pub(crate) const fn on_servers(self, text: &'static str) -> Self {
        Self { columns: self.columns, statement: self.statement.on_servers(text) }
    }

    /// The most rows of few bytes that one execution takes.
    pub(crate) fn rows_at_once(dialect: &Dialect) -> usize {
        limits(dialect.kind).rows
    }

    /// Whether this database has such a statement.
    pub(crate) fn is_said_in(&self, dialect: &Dialect) -> bool {
        !self.statement.text(dialect.kind).is_empty()
    }

    /// The executions that take all items; `rest` binds what follows the rows.
    pub(crate) fn chunks<'a, T>(
        &'static self,
        dialect: &'a Dialect,
        items: &'a [T],
        row: &'a impl Fn(&mut Args, &T),
        rest: &'a impl Fn(Args) -> Args,
    ) -> impl Iterator<Item = Chunk> + 'a {
        let Limits { rows: max_rows, bytes: max_bytes } = limits(dialect.kind);
        let mut items = items.iter().peekable();
        std::iter::from_fn(move || {
            items.peek()?;
            let (mut args, mut count) = (Args::new(), 0);
            while count < max_rows && args.bytes() < max_bytes {
                let Some(item) = items.next() else { break };
                row(&mut args, item);
                count += 1;
            }
            let rows = Columns::padded(dialect.kind, count);
            let sql = dialect.bulk_text(&self.columns, &self.statement, rows);
            let args = self.columns.input(dialect.kind, args, rows);
            Some(Chunk { sql, args: rest(args) })
        })
    }
}

/// What one execution takes.
struct Limits {
    rows: usize,
    /// It ends with the row that reaches it.
    bytes: usize,
}

fn limits(kind: Kind) -> Limits {
    match kind {
        // Texts are cached for each number of rows.
        #[cfg(feature = "sqlite")]
        Kind::Sqlite => Limits { rows: Bulk::MAX_ROWS, bytes: usize::MAX },
        // Bounds the memory of one message.
        #[cfg(feature = "postgres")]
        Kind::Postgres => Limits { rows: 8192, bytes: usize::MAX },
        // A message takes 16 MiB by default, and a third more than the bytes that it is made of.
        #[cfg(feature = "mysql")]
        Kind::Mysql => Limits { rows: 8192, bytes: 2 * 1024 * 1024 },
    }
}

impl Columns {
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.each().map(|(name, _)| name)
    }

    fn each(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.0
            .split(',')
            .map(|column| column.trim().split_once(' ').expect("a column has a name and a type"))
    }

    /// How many rows the text is for.
    ///
    /// sqlx caches prepared statements by their text. SQLite takes a list of `VALUES`, so there
    /// is one text for each power of two, and a shorter batch is padded with rows of nulls: each
    /// statement joins its input by a key or asks for one that is not null. PostgreSQL takes an
    /// array for each column, and MySQL all rows as one JSON text, of any length.
    fn padded(kind: Kind, rows: usize) -> usize {
        match kind {
            #[cfg(feature = "sqlite")]
            Kind::Sqlite => rows.next_power_of_two(),
            #[cfg(feature = "postgres")]
            Kind::Postgres => 0,
            #[cfg(feature = "mysql")]
            Kind::Mysql => 0,
        }
    }

    /// A statement with what it reads as `input`.
    pub(crate) fn with_input(&self, kind: Kind, text: &str, rows: usize) -> String {
        let source = match kind {
            #[cfg(feature = "sqlite")]
            Kind::Sqlite => {
                let row = format!("({})", vec!["?"; self.names().count()].join(", "));
                format!("VALUES {}", vec![row; rows].join(", "))
            }
            #[cfg(feature = "postgres")]
            Kind::Postgres => self.arrays(),
            #[cfg(feature = "mysql")]
            Kind::Mysql => self.json_rows(),
        };
        let names: Vec<_> = self.names().collect();
        let head = format!("WITH RECURSIVE input ({}) AS ({source})", names.join(", "));
        #[cfg(feature = "mysql")]
        if kind == Kind::Mysql {
            let head = mysql::quoted(&head);
            return match text.split_once(" SELECT ") {
                // Its rows stand in it already.
                _ if text.starts_with("UPDATE ") || text.starts_with("DELETE ") => text.to_owned(),
                Some((insert, rest)) if insert.starts_with("INSERT ") => {
                    format!("{insert} {head} SELECT {rest}")
                }
                _ => after(&head, text),
            };
        }
        let _ = rows;
        after(&head, text)
    }

    #[cfg(feature = "postgres")]
    fn arrays(&self) -> String {
        let array = |(number, (_, kind)): (usize, (_, &str))| {
            let kind = match kind {
                "int" => "bigint",
                "text" => "text",
                "bytes" => "bytea",
                "id" => "uuid",
                other => panic!("`{other}` is no type of a column"),
            };
            format!("${number}::{kind}[]")
        };
        let arrays: Vec<_> = (1..).zip(self.each()).map(array).collect();
        format!("SELECT * FROM unnest({})", arrays.join(", "))
    }

    /// A query that reads rows from a list of lists, of which it is the only parameter.
    #[cfg(feature = "mysql")]
    pub(crate) fn json_rows(&self) -> String {
        let (mut values, mut columns) = (Vec::new(), Vec::new());
        for (place, (name, kind)) in self.each().enumerate() {
            let (value, kind) = match kind {
                "int" => (format!("listed.{name}"), "BIGINT"),
                "text" => (format!("listed.{name}"), "LONGTEXT CHARACTER SET utf8mb4"),
                "bytes" => {
                    (format!("FROM_BASE64(listed.{name})"), "LONGTEXT CHARACTER SET utf8mb4")
                }
                "id" => (format!("UNHEX(listed.{name})"), "VARCHAR(32)"),
                other => panic!("`{other}` is no type of a column"),
            };
            values.push(format!("{value} AS {name}"));
            columns.push(format!("{name} {kind} PATH '$[{place}]'"));
        }
        format!(
            "SELECT {} FROM JSON_TABLE(?, '$[*]' COLUMNS ({})) AS listed",
            values.join(", "),
            columns.join(", ")
        )
    }

    /// Rows as the text takes them.
    fn input(&self, kind: Kind, args: Args, rows: usize) -> Args {
        match kind {
            #[cfg(feature = "sqlite")]
            Kind::Sqlite => {
                let mut args = args;
                let columns = self.names().count();
                while args.len() < rows * columns {
                    args.push(None::<i64>);
                }
                args
            }
            #[cfg(feature = "postgres")]
            Kind::Postgres => {
                let _ = rows;
                let mut columns: Vec<Vec<Value>> = self.names().map(|_| Vec::new()).collect();
                let count = columns.len();
                for (place, value) in args.into_values().enumerate() {
                    columns[place % count].push(value);
                }
                let kinds = self.each().map(|(_, kind)| kind);
                kinds.zip(columns).fold(Args::new(), |args, (kind, values)| {
                    args.with(Value::Column { kind, values })
                })
            }
            #[cfg(feature = "mysql")]
            Kind::Mysql => {
                let _ = rows;
                let columns = self.names().count();
                Args::new().with(Value::Rows { columns, values: args.into_values().collect() })
            }
        }
    }
}

fn after(head: &str, text: &str) -> String {
    // Some name further tables that a statement reads.
    let separator = if text.starts_with(',') { "" } else { " " };
    format!("{head}{separator}{text}")
}
