//! The floor in memory: a locked list of encoded jobs, and a locked table of outcomes.
//!
//! A job is encoded as JSON when it is stored and decoded when it is taken. A drain takes 500 at once
//! and notes their outcomes together.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::ensure;
use async_trait::async_trait;
use hereafter::JobId;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::interval;

use super::{Floor, Leave, Manner, RoundTrip, TASK, pieces};
use crate::percentiles::{ms_since, now};

/// Jobs that are taken at once.
const CLAIM: usize = 500;

/// What is kept, in this process.
#[derive(Debug, Default)]
pub(super) struct Memory(Arc<Kept>);

#[derive(Debug, Default)]
struct Kept {
    waiting: Mutex<VecDeque<(JobId, Vec<u8>)>>,
    /// When each job was done, in ns since 1970.
    done: Mutex<HashMap<JobId, u64>>,
    /// What is sent one by one, with the time.
    channel: Mutex<Option<mpsc::UnboundedSender<Sent>>>,
}

/// When it was sent, in ns since 1970, and the encoded job.
type Sent = (u64, Vec<u8>);

/// What of a stored job is written and read.
#[derive(Debug, Serialize, Deserialize)]
struct Job<'a> {
    hereafter: u32,
    task: &'a str,
    args: Args,
}

#[derive(Debug, Serialize, Deserialize)]
struct Args {
    id: u64,
    name: String,
}

fn encode(id: u64) -> anyhow::Result<Vec<u8>> {
    let args = Args { id, name: format!("user_{id}") };
    Ok(serde_json::to_vec(&Job { hereafter: 1, task: TASK, args })?)
}

fn check(encoded: &[u8]) -> anyhow::Result<()> {
    let job: Job<'_> = serde_json::from_slice(encoded)?;
    ensure!(job.task == TASK && !job.args.name.is_empty(), "job {} is broken", job.args.id);
    Ok(())
}

#[async_trait(?Send)]
impl Floor for Memory {
    async fn prepare(&self) -> anyhow::Result<()> {
        lock(&self.0.waiting).clear();
        lock(&self.0.done).clear();
        Ok(())
    }

    async fn enqueue(&self, jobs: u64, manner: Manner) -> anyhow::Result<Duration> {
        let since = Instant::now();
        for piece in pieces(jobs, manner.size()) {
            let encoded = piece.map(|id| Ok((JobId::new(), encode(id)?)));
            let encoded = encoded.collect::<anyhow::Result<Vec<_>>>()?;
            lock(&self.0.waiting).extend(encoded);
        }
        Ok(since.elapsed())
    }

    async fn drain(&self, _share: u64, leave: Leave) -> anyhow::Result<()> {
        let kept = self.0.clone();
        spawn_blocking(move || kept.drain(leave)).await?
    }

    fn round_trip(&self) -> Option<&dyn RoundTrip> {
        Some(self)
    }
}

impl Kept {
    fn drain(&self, leave: Leave) -> anyhow::Result<()> {
        loop {
            let mut waiting = lock(&self.waiting);
            let count = waiting.len().min(CLAIM);
            let claimed: Vec<_> = waiting.drain(..count).collect();
            drop(waiting);
            if claimed.is_empty() {
                return Ok(());
            }
            for (_, encoded) in &claimed {
                check(encoded)?;
            }
            if leave == Leave::Outcome {
                let now = now();
                lock(&self.done).extend(claimed.iter().map(|(id, _)| (*id, now)));
            }
        }
    }
}

#[async_trait(?Send)]
impl RoundTrip for Memory {
    async fn send(&self, count: u64, gap: Duration) -> anyhow::Result<()> {
        let mut ticks = interval(gap);
        for id in 0..count {
            ticks.tick().await;
            let called = now();
            let encoded = encode(id)?;
            if let Some(channel) = &*lock(&self.0.channel) {
                channel.send((called, encoded))?;
            }
        }
        Ok(())
    }

    async fn receive(&self, count: u64, is_ready: &dyn Fn()) -> anyhow::Result<Vec<f64>> {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        *lock(&self.0.channel) = Some(sender);
        is_ready();
        let mut took = Vec::new();
        while (took.len() as u64) < count
            && let Some((called, encoded)) = receiver.recv().await
        {
            check(&encoded)?;
            took.push(ms_since(called));
        }
        Ok(took)
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
