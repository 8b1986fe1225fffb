//! `jobs show ID --graph`: the jobs upstream of one.

use taskcore::JobId;

use super::error::CliError;
use super::output::Output;
use super::settings::Settings;
use super::show;
use super::store::Store;
use crate::graph::JobGraph;

/// Prints a job and all that it needs: as a Mermaid flowchart, or as JSON with every job.
pub(crate) fn show(settings: &Settings, output: Output, id: JobId) -> Result<(), CliError> {
    let graph =
        Store::with(settings, async |store| Ok(JobGraph::upstream(&*store.operate, &[id]).await?))?;
    if graph.nodes.iter().all(|node| node.state.is_none()) {
        return Err(show::not_stored(id));
    }
    output.show(&graph, JobGraph::mermaid)
}
