//! An axum service that does not make its clients wait for a report.
//!
//! ```text
//! $ webapp 127.0.0.1:3000 sqlite://webapp.db &
//! $ curl -i --data-binary @orders.csv http://127.0.0.1:3000/reports
//! HTTP/1.1 202 Accepted
//! location: /reports/0190a4c6-9f5e-7d10-8b7c-0c1b2d3e4f50
//! $ curl http://127.0.0.1:3000/reports/0190a4c6-9f5e-7d10-8b7c-0c1b2d3e4f50
//! customer,orders,amount
//! ```
//!
//! The service works on its own jobs; `webapp run --url …` is a worker of its own, on as many
//! machines as you like.

mod report;
mod routes;

use std::process::ExitCode;

use anyhow::Context;
use hereafter::worker::{Shutdown, Worker};
use tokio::net::TcpListener;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let first = args.next();
    if first.as_deref() == Some("run") {
        return hereafter::worker::main();
    }
    let address = first.unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let url = args.next().unwrap_or_else(|| "sqlite://webapp.db".to_owned());
    let runtime =
        tokio::runtime::Runtime::new().expect("a machine that serves has room for threads");
    match runtime.block_on(serve(&address, &url)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(address: &str, url: &str) -> anyhow::Result<()> {
    let client = hereafter::connect(url).await?;
    let shutdown = Shutdown::new();
    let worker = tokio::spawn({
        let (worker, shutdown) = (Worker::builder(client.clone()).build(), shutdown.clone());
        async move { worker.run(&shutdown).await }
    });
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, routes::routes(client))
        .with_graceful_shutdown(async {
            // Without the signal there is nothing to wait for: serve on.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
        .await?;
    shutdown.request();
    worker.await??;
    Ok(())
}
