use futures::{StreamExt, TryStreamExt};
use hereafter::prelude::*;
use std::time::Instant;
#[register_task(name = "rig::nothing")]
async fn nothing(_n: u64, _s: String) {}
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let a: Vec<String> = std::env::args().collect();
    let (url, callers, jobs): (&str, u64, u64) = (&a[1], a[2].parse()?, a[3].parse()?);
    let client = Client::open(url).await?;
    let since = Instant::now();
    if callers == 0 {
        let calls: Vec<_> = (0..jobs).map(|n| nothing(n, "short")).collect();
        let max = client.connection().unwrap().broker.capabilities().max_batch.min(100_000);
        let mut calls = calls.into_iter();
        loop {
            let part: Vec<_> = calls.by_ref().take(max).collect();
            if part.is_empty() {
                break;
            }
            client.delay_all(part).await?;
        }
    } else if a.len() > 4 {
        futures::stream::iter((0..jobs).map(|n| nothing(n, "short").delay_on(&client)))
            .buffer_unordered(callers as usize)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await?;
    } else {
        let mut all = tokio::task::JoinSet::new();
        for c in 0..callers {
            let client = client.clone();
            all.spawn(async move {
                for n in 0..jobs / callers {
                    nothing(c * 1_000_000 + n, "short").delay_on(&client).await.unwrap();
                }
            });
        }
        while let Some(x) = all.join_next().await {
            x?;
        }
    }
    println!("{:.0} jobs/s", jobs as f64 / since.elapsed().as_secs_f64());
    client.close().await.ok();
    Ok(())
}
