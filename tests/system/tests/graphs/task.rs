//! The tasks of the expressions, and [`Runs`]: which of them were run.

use std::collections::{BTreeMap, HashMap};

use hereafter::JobId;
use hereafter::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::graph::{Given, Lists, failure, mix};

/// Which node a call is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Spot {
    pub(crate) place: usize,
    pub(crate) fails: bool,
}

/// Which jobs ran for which node, as often as they did.
#[derive(Debug, Clone)]
pub(crate) struct Runs(watch::Sender<Vec<(usize, JobId)>>);

impl Runs {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Vec::new()))
    }

    /// All runs so far.
    pub(crate) fn all(&self) -> Vec<(usize, JobId)> {
        self.0.borrow().clone()
    }

    /// Waits until there are so many.
    pub(crate) async fn until(&self, count: usize) {
        // The sender lives in `self`, so the channel is open.
        let _ = self.0.subscribe().wait_for(|runs| runs.len() >= count).await;
    }
}

#[register_task(name = "graphs.pair")]
pub(crate) async fn pair(
    cx: Context,
    State(runs): State<Runs>,
    spot: Spot,
    left: u64,
    right: u64,
) -> Result<u64, String> {
    end(&cx, &runs, spot, &Given { needed: vec![left, right], ..no_lists() }).await
}

#[register_task(name = "graphs.either")]
pub(crate) async fn either(
    cx: Context,
    State(runs): State<Runs>,
    spot: Spot,
    tried: Result<u64, JobError>,
    needed: u64,
) -> Result<u64, String> {
    let given = Given { needed: vec![needed], tried: vec![tried.ok()], ..no_lists() };
    end(&cx, &runs, spot, &given).await
}

#[register_task(name = "graphs.lists")]
pub(crate) async fn lists(
    cx: Context,
    State(runs): State<Runs>,
    spot: Spot,
    needed: Vec<u64>,
    tried: Vec<Result<u64, JobError>>,
    whole: Result<Vec<u64>, JobError>,
    rows: Vec<Vec<u64>>,
    keyed: HashMap<String, u64>,
) -> Result<u64, String> {
    let given = Given {
        needed,
        tried: tried.into_iter().map(Result::ok).collect(),
        whole: whole.ok(),
        rows,
        keyed: keyed.into_iter().collect::<BTreeMap<_, _>>(),
    };
    end(&cx, &runs, spot, &given).await
}

/// What a call without lists is given as lists.
fn no_lists() -> Given {
    Lists { whole: Some(Vec::new()), ..Given::default() }
}

async fn end(cx: &Context, runs: &Runs, spot: Spot, given: &Given) -> Result<u64, String> {
    let Spot { place, fails } = spot;
    runs.0.send_modify(|runs| runs.push((place, cx.id())));
    // Others get a turn, so that a worker dies with jobs inside.
    tokio::task::yield_now().await;
    if fails { Err(failure(place)) } else { Ok(mix(place, given)) }
}
