//! [`Bulk`]: a statement over many rows of input.

use std::sync::Arc;

use super::args::{Args, Value};
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

    /// The same, said in another way on PostgreSQL.
    pub(crate) const fn on_postgres(self, text: &'static str) -> Self {
        Self { columns: self.columns, statement: self.statement.on_postgres(text) }
    }

    /// The executions that take all items; `rest` binds what follows the rows.
    pub(crate) fn chunks<'a, T>(
        &'static self,
        dialect: &'a Dialect,
        items: &'a [T],
        row: &'a impl Fn(&mut Args, &T),
        rest: &'a impl Fn(Args) -> Args,
    ) -> impl Iterator<Item = Chunk> + 'a {
        items.chunks(max_rows(dialect.kind)).map(move |items| {
            let mut args = Args::new();
            for item in items {
                row(&mut args, item);
            }
            let rows = Columns::padded(dialect.kind, items.len());
            let sql = dialect.bulk_text(&self.columns, &self.statement, rows);
            let args = self.columns.input(dialect.kind, args, rows);
            Chunk { sql, args: rest(args) }
        })
    }
}

/// The most rows that one execution takes.
fn max_rows(kind: Kind) -> usize {
    match kind {
        // Texts are cached for each number of rows.
        #[cfg(feature = "sqlite")]
        Kind::Sqlite => Bulk::MAX_ROWS,
        // Bounds the memory of one message.
        #[cfg(feature = "postgres")]
        Kind::Postgres => 8192,
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
    /// array for each column, of any length.
    fn padded(kind: Kind, rows: usize) -> usize {
        match kind {
            #[cfg(feature = "sqlite")]
            Kind::Sqlite => rows.next_power_of_two(),
            #[cfg(feature = "postgres")]
            Kind::Postgres => 0,
        }
    }

    /// What comes before the statement.
    pub(crate) fn head(&self, kind: Kind, rows: usize) -> String {
        let names: Vec<_> = self.names().collect();
        let source = match kind {
            #[cfg(feature = "sqlite")]
            Kind::Sqlite => {
                let row = format!("({})", vec!["?"; names.len()].join(", "));
                format!("VALUES {}", vec![row; rows].join(", "))
            }
            #[cfg(feature = "postgres")]
            Kind::Postgres => {
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
                let _ = rows;
                format!("SELECT * FROM unnest({})", arrays.join(", "))
            }
        };
        format!("WITH RECURSIVE input ({}) AS ({source})", names.join(", "))
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
        }
    }
}
