//! What a replay does to jobs that had failed because of the replayed ones.

use std::collections::HashSet;

use super::dependants::{self, Count, End};
use super::finish::{self, push_seq, same};
use super::row;
use super::statements::{self, inputs as sql};
use super::transact::Session;

/// Puts replayed jobs where they wait: for their inputs, if these are replayed too, or for a
/// worker. What had failed because of them is blocked again, and what had because of that.
pub(super) async fn wait_again(session: &mut Session, seqs: &[i64]) -> Result<(), sqlx::Error> {
    if !session.has_edges().await? {
        return finish::make_ready(session, seqs).await;
    }
    revive(session, seqs).await?;
    let rows = session.sql.fetch_bulk(&sql::BLOCK_AGAIN, seqs, push_seq, same).await?;
    let blocked =
        rows.iter().map(|row| row::integer(row, "seq")).collect::<Result<HashSet<_>, _>>()?;
    let ready: Vec<i64> = seqs.iter().copied().filter(|seq| !blocked.contains(seq)).collect();
    finish::make_ready(session, &ready).await
}

/// These jobs are open inputs again. One round mends what each of them had broken alone, all the
/// way; what several had broken together takes another.
async fn revive(session: &mut Session, seqs: &[i64]) -> Result<(), sqlx::Error> {
    let mut inputs = seqs.to_vec();
    while !inputs.is_empty() {
        let mut mended = HashSet::new();
        for row in session.sql.fetch_bulk(&sql::MENDED, &inputs, push_seq, same).await? {
            mended.insert(row::integer(&row, "seq")?);
        }
        let open = inputs.iter().chain(&mended).map(|seq| End { seq: *seq, has_result: false });
        let changes = dependants::changes(session, &open.collect::<Vec<_>>()).await?;
        let (mut counts, mut next) = (Vec::with_capacity(changes.len()), Vec::new());
        for (seq, change) in changes {
            // Rows that somebody changed by hand do not make it fail.
            let broken = (change.broken - change.breaks).max(0);
            counts.push(Count { seq, open: change.open + change.edges, broken });
            if broken == 0 && change.broken > 0 && mended.insert(seq) {
                next.push(seq);
            }
        }
        dependants::count(session, &counts).await?;
        let mended: Vec<i64> = mended.into_iter().collect();
        session.sql.execute_bulk(&sql::REVIVE, &mended, push_seq, same).await?;
        session.sql.execute_bulk(&statements::DELETE_OUTCOME, &mended, push_seq, same).await?;
        session.sql.execute_bulk(&statements::EXPIRE_AGAIN, &mended, push_seq, same).await?;
        inputs = next;
    }
    Ok(())
}
