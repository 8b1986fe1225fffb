//! [`Numbering`]: numbers for rows that readers follow, in the order in which they became visible.
//!
//! Where transactions run beside each other, none of them can know its place among the others
//! before it is committed, and a reader that has seen the fifth row would miss a fourth that comes
//! later. So rows come without a number, and get it from whoever reads first: one at a time, and
//! each commits before the next one begins.

use super::args::Args;
use super::dialect::{Kind, Statement};
use super::row;
use super::session::Session;
use super::statements::{history, numbering as statements};
#[cfg(feature = "mysql")]
use super::steps;
use super::store::{Store, read};
use super::writer::Write;
use crate::error::SharedError;

/// A table of rows that are numbered when they are read.
#[derive(Debug)]
pub(super) struct Numbering {
    has_new: Statement,
    number: Statement,
    /// Whether the oldest go when there are too many.
    is_trimmed: bool,
}

pub(super) static FINISHED: Numbering = Numbering {
    has_new: statements::HAS_NEW_FINISHED,
    number: statements::NUMBER_FINISHED,
    is_trimmed: false,
};

pub(super) static CANCELLED: Numbering = Numbering {
    has_new: statements::HAS_NEW_CANCELLED,
    number: statements::NUMBER_CANCELLED,
    is_trimmed: false,
};

pub(super) static EVENTS: Numbering = Numbering {
    has_new: statements::HAS_NEW_EVENTS,
    number: statements::NUMBER_EVENTS,
    is_trimmed: true,
};

impl Store {
    /// Numbers what is new, before it is read.
    pub(super) async fn number(&self, numbering: &'static Numbering) -> Result<(), SharedError> {
        if self.link.dialect.is_serial() {
            return Ok(());
        }
        let row = read!(self, "number", |sql| sql.fetch_one(numbering.has_new, Args::new()))?;
        let has_new = row::is_set(&row, "has_new");
        if has_new.map_err(|source| self.error("number", source))? {
            self.write(Number(numbering)).await?;
        }
        Ok(())
    }
}

/// Numbers the rows of a table that have none.
struct Number(&'static Numbering);

impl Write for Number {
    const NAME: &'static str = "number";
    const IS_DURABLE: bool = false;
    type Answer = ();

    async fn apply(&mut self, session: &mut Session<'_>) -> Result<(), sqlx::Error> {
        number(session, self.0).await
    }
}

async fn number(session: &mut Session<'_>, numbering: &Numbering) -> Result<(), sqlx::Error> {
    session.sql.fetch(statements::NUMBER_ALONE, Args::new()).await?;
    // Positions are microseconds at least, so one that a crash of the server has taken back is not
    // given again. Events count by one and ignore it.
    let args = Args::new().with(session.now_ms.saturating_mul(1000));
    session.sql.execute(numbering.number, args).await?;
    let kept = i64::from(session.kept_events());
    if numbering.is_trimmed && kept > 0 {
        let row = session.sql.fetch_one(history::EVENTS_LAST, Args::new()).await?;
        let oldest = row::integer(&row, "last")? - kept;
        session.sql.execute(history::TRIM_EVENTS, Args::new().with(oldest)).await?;
    }
    Ok(())
}

/// Whether this transaction does the upkeep now, and no other.
pub(super) async fn has_turn(session: &mut Session<'_>) -> Result<bool, sqlx::Error> {
    let row = session.sql.fetch_one(statements::UPKEEP_TURN, Args::new()).await?;
    row::is_set(&row, "has_turn")
}

/// Adds up what transactions have noted, and numbers events, so that old ones are deleted.
pub(super) async fn tidy(session: &mut Session<'_>) -> Result<(), sqlx::Error> {
    if session.sql.dialect.is_serial() {
        return Ok(());
    }
    match session.sql.dialect.kind {
        #[cfg(feature = "mysql")]
        Kind::Mysql => steps::add_sums(session).await?,
        _ => {
            session.sql.execute(statements::ADD_SUMS, Args::new()).await?;
        }
    }
    if session.kept_events() > 0 {
        number(session, &EVENTS).await?;
    }
    Ok(())
}
