//! [`Bulk`]: a statement over many rows of input.

use std::sync::OnceLock;

use super::args::Args;

/// A statement over many rows of input, given as one `VALUES` list.
///
/// sqlx caches prepared statements by their text, so there is one text for each power of two
/// up to [`Bulk::MAX_ROWS`], and a shorter batch is padded with rows of nulls: each statement
/// joins its input by a key or asks for one that is not null.
#[derive(Debug)]
pub(super) struct Bulk {
    head: &'static str,
    columns: usize,
    tail: &'static str,
    texts: [OnceLock<String>; Self::SIZES],
}

/// One execution of a [`Bulk`].
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) sql: &'static str,
    pub(super) args: Args,
}

impl Bulk {
    /// The most rows that one execution takes.
    pub(super) const MAX_ROWS: usize = 512;
    const SIZES: usize = Self::MAX_ROWS.ilog2() as usize + 1;

    /// `head`, then a list of rows of so many columns, then `tail`.
    pub(super) const fn new(head: &'static str, columns: usize, tail: &'static str) -> Self {
        Self { head, columns, tail, texts: [const { OnceLock::new() }; Self::SIZES] }
    }

    /// The executions that take all items; `rest` binds what follows the rows.
    pub(super) fn chunks<'a, T>(
        &'static self,
        items: &'a [T],
        row: &'a impl Fn(&mut Args, &T),
        rest: &'a impl Fn(Args) -> Args,
    ) -> impl Iterator<Item = Chunk> + 'a {
        items.chunks(Self::MAX_ROWS).map(move |items| {
            let rows = items.len().next_power_of_two();
            let mut args = Args::new();
            for item in items {
                row(&mut args, item);
            }
            for _ in 0..(rows - items.len()) * self.columns {
                args.push(None::<i64>);
            }
            Chunk { sql: self.sql(rows), args: rest(args) }
        })
    }

    /// The text for so many rows, a power of two.
    fn sql(&'static self, rows: usize) -> &'static str {
        self.texts[rows.ilog2() as usize].get_or_init(|| {
            let row = format!("({})", vec!["?"; self.columns].join(", "));
            format!("{} (VALUES {}) {}", self.head, vec![row; rows].join(", "), self.tail)
        })
    }
}
