//! What a replay does to jobs that had failed because of the replayed ones.

use std::collections::HashSet;

use taskcore::broker::EventKind;

use super::dependants::{self, Change, Count, End};
use super::finish::{self, push_seq, same};
use super::row;
use super::session::Session;
use super::statements::{self, inputs as sql};
use super::unique;

/// Puts replayed jobs where they wait: for their inputs, if these are replayed too, or for a
/// worker. What had failed because of them is blocked again, and what had because of that.
pub(super) async fn wait_again(session: &mut Session<'_>, seqs: &[i64]) -> Result<(), sqlx::Error> {
    if !session.has_edges().await? {
        return finish::make_ready(session, seqs).await;
    }
    revive(session, seqs).await?;
    session.sql.execute_bulk(&sql::BLOCK_AGAIN, seqs, push_seq, same).await?;
    let rows = session.sql.fetch_bulk(&sql::BLOCKED, seqs, push_seq, same).await?;
    let blocked =
        rows.iter().map(|row| row::integer(row, "seq")).collect::<Result<HashSet<_>, _>>()?;
    let ready: Vec<i64> = seqs.iter().copied().filter(|seq| !blocked.contains(seq)).collect();
    finish::make_ready(session, &ready).await
}

/// These jobs are open inputs again. One round mends what each of them had broken alone, all the
/// way; what several had broken together takes another.
async fn revive(session: &mut Session<'_>, seqs: &[i64]) -> Result<(), sqlx::Error> {
    let mut inputs = seqs.to_vec();
    while !inputs.is_empty() {
        let mut mended = HashSet::new();
        for row in session.sql.fetch_bulk(&sql::MENDED, &inputs, push_seq, same).await? {
            mended.insert(row::integer(&row, "seq")?);
        }
        let seqs: Vec<i64> = mended.iter().copied().collect();
        if unique::are_wanted(session, &seqs).await? {
            // Whoever does not get its key again mends nothing further: one step at a time.
            mended.clear();
        }
        let open = inputs.iter().chain(&mended).map(|seq| End { seq: *seq, has_result: false });
        let changes = dependants::changes(session, &open.collect::<Vec<_>>()).await?;
        let (mut counts, mut next) = (Vec::with_capacity(changes.len()), Vec::new());
        let would_mend = |(seq, change): (&i64, &Change)| {
            let is_mended = change.broken > 0 && change.broken <= change.breaks;
            (is_mended && !mended.contains(seq)).then_some(*seq)
        };
        let candidates: Vec<i64> = changes.iter().filter_map(would_mend).collect();
        let keyed: HashSet<i64> =
            unique::retake(session, candidates.clone()).await?.into_iter().collect();
        let refused: HashSet<i64> =
            candidates.into_iter().filter(|seq| !keyed.contains(seq)).collect();
        for (seq, change) in changes {
            // Rows that somebody changed by hand do not make it fail. One that did not get its
            // key again stays broken for good.
            let broken = (change.broken - change.breaks).max(i64::from(refused.contains(&seq)));
            counts.push(Count { seq, open: change.open + change.edges, broken });
            if broken == 0 && change.broken > 0 && mended.insert(seq) {
                next.push(seq);
            }
        }
        dependants::count(session, &counts).await?;
        let mended: Vec<i64> = mended.into_iter().collect();
        session.sql.execute_bulk(&sql::REVIVE, &mended, push_seq, same).await?;
        for row in &session.sql.fetch_bulk(&sql::IDS, &mended, push_seq, same).await? {
            session.happened(EventKind::Replayed, row::job_id(row, "id")?);
        }
        session.sql.execute_bulk(&statements::DELETE_OUTCOME, &mended, push_seq, same).await?;
        session.sql.execute_bulk(&statements::EXPIRE_AGAIN, &mended, push_seq, same).await?;
        inputs = next;
    }
    Ok(())
}
