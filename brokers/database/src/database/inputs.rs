//! Storing jobs that wait for others.

use std::collections::{BTreeMap, HashMap};

use taskcore::broker::{Input, JobState, NewJob};
use taskcore::{Failure, JobError, JobId};

use super::args::Args;
use super::dependants::{self, Fallen};
use super::enqueue::Seqs;
use super::finish::{push_seq, same};
use super::row;
use super::session::Session;
use super::statements::inputs as sql;

/// What the new jobs of a batch wait for.
#[derive(Debug)]
pub(super) struct Links<'a> {
    seqs: Seqs,
    /// The jobs with inputs, by their numbers.
    dependants: HashMap<i64, &'a NewJob>,
    /// Inputs that nothing is known of and that are not tolerated.
    unknown: Vec<Edge>,
}

/// An input of a new job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Edge {
    dependant: i64,
    input: JobId,
}

impl<'a> Links<'a> {
    /// Writes what waits for what, and blocks what has to wait or cannot run. The rows of the
    /// jobs are there, but not yet in any state.
    pub(super) async fn write(
        session: &mut Session<'_>,
        jobs: &'a [NewJob],
        seqs: Seqs,
    ) -> Result<Self, sqlx::Error> {
        let dependants = dependants(session, jobs, seqs).await?;
        let mut links = Self { seqs, dependants, unknown: Vec::new() };
        if links.dependants.is_empty() {
            return Ok(links);
        }
        session.saw_edges(true);
        links.link(session).await?;
        session.sql.execute(sql::BLOCK, seqs.args()).await?;
        links.block_for_unknown(session).await?;
        Ok(links)
    }

    async fn link(&mut self, session: &mut Session<'_>) -> Result<(), sqlx::Error> {
        let mut edges: Vec<(i64, Input)> = Vec::new();
        for (seq, job) in &self.dependants {
            edges.extend(job.inputs.iter().map(|input| (*seq, *input)));
        }
        let push = |args: &mut Args, (dependant, input): &(i64, Input)| {
            args.push(input.job);
            args.push(*dependant);
            args.push(input.tolerant);
            args.push(input.owned);
        };
        let linked = session.sql.execute_bulk(&sql::LINK, &edges, push, same).await?;
        if linked == edges.len() as u64 {
            return Ok(());
        }
        edges.retain(|(_, input)| !input.tolerant);
        let push = |args: &mut Args, (dependant, input): &(i64, Input)| {
            args.push(input.job);
            args.push(*dependant);
        };
        for row in session.sql.fetch_bulk(&sql::UNKNOWN, &edges, push, same).await? {
            let (dependant, input) = (row::integer(&row, "dependant")?, row::job_id(&row, "id")?);
            self.unknown.push(Edge { dependant, input });
        }
        Ok(())
    }

    async fn block_for_unknown(&self, session: &mut Session<'_>) -> Result<(), sqlx::Error> {
        let mut counts: BTreeMap<i64, i64> = BTreeMap::new();
        for edge in &self.unknown {
            *counts.entry(edge.dependant).or_default() += 1;
        }
        let counts: Vec<_> = counts.into_iter().collect();
        let push = |args: &mut Args, (seq, count): &(i64, i64)| {
            args.push(*seq);
            args.push(*count);
        };
        session.sql.execute_bulk(&sql::BLOCK_FOR_UNKNOWN, &counts, push, same).await?;
        Ok(())
    }

    /// Fails what cannot run, and what of the batch waits for that. All of it has its state.
    pub(super) async fn fail_broken(&self, session: &mut Session<'_>) -> Result<(), sqlx::Error> {
        if self.dependants.is_empty() {
            return Ok(());
        }
        let broken = session.sql.fetch(sql::BROKEN, self.seqs.args()).await?;
        if broken.is_empty() {
            return Ok(());
        }
        let seqs = broken
            .iter()
            .map(|row| row::integer(row, "seq"))
            .collect::<Result<Vec<_>, sqlx::Error>>()?;
        let errors = self.errors(session, &seqs).await?;
        let mut fallen = Vec::with_capacity(seqs.len());
        for (row, seq) in broken.iter().zip(&seqs) {
            let (id, task) = (row::job_id(row, "id")?, row::text(row, "task")?);
            let inputs = self.dependants.get(seq).into_iter().flat_map(|job| &job.inputs);
            // The first in the order of the call.
            let error = inputs
                .filter(|input| !input.tolerant)
                .find_map(|input| errors.get(&Edge { dependant: *seq, input: input.job }));
            if let Some(error) = error {
                let failure = Failure::of_input(id, task, error);
                fallen.push(Fallen { seq: *seq, id, failure });
            }
        }
        dependants::fail(session, &fallen).await?;
        dependants::ended(session, &seqs, JobState::Failed).await
    }

    /// Why inputs of these jobs have no result.
    async fn errors(
        &self,
        session: &mut Session<'_>,
        seqs: &[i64],
    ) -> Result<HashMap<Edge, JobError>, sqlx::Error> {
        let unknown = self.unknown.iter().map(|edge| (*edge, JobError::unknown(edge.input)));
        let mut errors: HashMap<_, _> = unknown.collect();
        for row in session.sql.fetch_bulk(&sql::BROKEN_INPUTS, seqs, push_seq, same).await? {
            let (dependant, input) = (row::integer(&row, "dependant")?, row::job_id(&row, "id")?);
            errors.insert(Edge { dependant, input }, row::error(&row)?);
        }
        Ok(errors)
    }
}

/// The jobs of this batch that have inputs and were not stored before.
async fn dependants<'a>(
    session: &mut Session<'_>,
    jobs: &'a [NewJob],
    seqs: Seqs,
) -> Result<HashMap<i64, &'a NewJob>, sqlx::Error> {
    let mut by_id: HashMap<JobId, &NewJob> = HashMap::new();
    for job in jobs {
        // Of two jobs of one id, the second is a duplicate.
        by_id.entry(job.id).or_insert(job);
    }
    let ids: Vec<JobId> =
        by_id.values().filter(|job| !job.inputs.is_empty()).map(|job| job.id).collect();
    let push = |args: &mut Args, id: &JobId| args.push(id);
    let rest = |args: Args| args.with(seqs.first).with(seqs.last);
    let mut dependants = HashMap::new();
    for row in session.sql.fetch_bulk(&sql::STORED, &ids, push, rest).await? {
        if let Some(job) = by_id.get(&row::job_id(&row, "id")?) {
            dependants.insert(row::integer(&row, "seq")?, *job);
        }
    }
    Ok(dependants)
}
