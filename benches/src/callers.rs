//! Callers at once: tasks, as the handlers of a web application are, each with one call after the other.

use tokio::task::JoinSet;

/// Makes as many calls, of which `count` are under way.
pub(crate) async fn call_at_once<F>(
    calls: u64,
    count: usize,
    call: impl Fn(u64) -> F + Clone + Send + 'static,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send,
{
    let mut callers = JoinSet::new();
    for caller in 0..count as u64 {
        let call = call.clone();
        callers.spawn(async move {
            for id in (caller..calls).step_by(count) {
                call(id).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(called) = callers.join_next().await {
        called??;
    }
    Ok(())
}
