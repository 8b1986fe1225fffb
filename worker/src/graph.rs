//! [`JobGraph`]: a job with the jobs that its arguments come from, and theirs in turn.

mod mermaid;

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use taskcore::broker::{BrokerError, JobFilter, JobRecord, JobState, Operate};
use taskcore::{Envelope, JobId, Source};

/// A job with the jobs that its arguments come from, and theirs in turn.
///
/// It is read from what the jobs carry, so it is the same before, while and after they run, for
/// as long as the store keeps them.
#[derive(Debug, Clone, Serialize)]
pub struct JobGraph {
    /// Each job once; those that were asked for first, and inputs after what needs them.
    pub nodes: Vec<Node>,
    /// Each pair of jobs once.
    pub edges: Vec<Edge>,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Node {
    /// The job.
    pub id: JobId,
    /// Its task; empty if the store knows nothing of the job.
    pub task: String,
    /// Its state; `None` if the store knows nothing of the job.
    pub state: Option<JobState>,
}

/// The result of one job is an argument of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Edge {
    /// The job that yields it.
    pub from: JobId,
    /// The job that needs it.
    pub to: JobId,
    /// Whether the job runs whatever becomes of this input.
    pub tolerated: bool,
}

/// Jobs looked up at once.
const PAGE: usize = 1_000;

impl JobGraph {
    /// Reads these jobs and all that is upstream of them.
    ///
    /// # Errors
    ///
    /// [`BrokerError`] if the store cannot be read.
    pub async fn upstream(operate: &dyn Operate, jobs: &[JobId]) -> Result<Self, BrokerError> {
        let mut graph = Self { nodes: Vec::new(), edges: Vec::new() };
        let mut seen = HashSet::new();
        let mut next: Vec<JobId> = jobs.iter().copied().filter(|id| seen.insert(*id)).collect();
        while !next.is_empty() {
            let mut level = std::mem::take(&mut next);
            for page in level.chunks_mut(PAGE) {
                let found = records(operate, page).await?;
                for id in page {
                    let inputs = graph.add(*id, found.get(id));
                    next.extend(inputs.into_iter().filter(|id| seen.insert(*id)));
                }
            }
        }
        Ok(graph)
    }

    /// The graph as a [Mermaid](https://mermaid.js.org) flowchart, from inputs to what needs
    /// them; tolerated ones are dashed.
    ///
    /// More than 20 jobs of one task and state that go to the same jobs are one node with their
    /// count.
    #[must_use]
    pub fn mermaid(&self) -> String {
        mermaid::text(self)
    }

    /// Adds a job; answers its inputs.
    fn add(&mut self, id: JobId, record: Option<&JobRecord>) -> Vec<JobId> {
        let task = record.map_or_else(String::new, |record| record.task.clone());
        self.nodes.push(Node { id, task, state: record.map(|record| record.state) });
        let envelope = record.map(|record| Envelope::decode(record.envelope.as_slice()));
        // Bytes that are no job of ours name no input.
        let Some(Ok(envelope)) = envelope else { return Vec::new() };
        let tolerated = tolerated(&envelope);
        let jobs = envelope.input_jobs();
        self.edges.extend(jobs.iter().map(|from| {
            let tolerated = tolerated.get(from).copied().unwrap_or(false);
            Edge { from: *from, to: id, tolerated }
        }));
        jobs
    }
}

async fn records(
    operate: &dyn Operate,
    ids: &[JobId],
) -> Result<HashMap<JobId, JobRecord>, BrokerError> {
    let filter = JobFilter { ids: Some(ids.to_vec()), ..JobFilter::default() };
    let jobs = operate.jobs(&filter).await?;
    Ok(jobs.into_iter().map(|job| (job.id, job)).collect())
}

/// For each input, whether its failure is tolerated wherever it is used.
fn tolerated(envelope: &Envelope<'_>) -> BTreeMap<JobId, bool> {
    let mut tolerated = BTreeMap::new();
    envelope.inputs.values().for_each(|source| {
        each_job(source, &mut |job, is_tolerated| {
            *tolerated.entry(job).or_insert(true) &= is_tolerated;
        });
    });
    tolerated
}

/// Visits the jobs that a source names, in order and as often as it does, with whether it
/// tolerates their failure there.
pub(crate) fn each_job(source: &Source, visit: &mut dyn FnMut(JobId, bool)) {
    walk(source, false, visit);
}

fn walk(source: &Source, is_tolerated: bool, visit: &mut dyn FnMut(JobId, bool)) {
    match source {
        Source::Job(job) => visit(*job, is_tolerated),
        Source::Jobs(jobs) => jobs.iter().for_each(|job| visit(*job, is_tolerated)),
        Source::List(sources) => {
            sources.iter().for_each(|source| walk(source, is_tolerated, visit));
        }
        Source::Map(pairs) => {
            pairs.iter().for_each(|(_, source)| walk(source, is_tolerated, visit));
        }
        Source::Try(source) => walk(source, true, visit),
        // A value, or a failure, that was known when the job was made.
        _ => {}
    }
}
