//! An order and the job for its mail in one transaction, so that there is never one without the other.
//!
//! ```text
//! $ outbox &
//! listening on http://127.0.0.1:3000
//! $ curl --data '{"customer":"ada@example.org"}' -H 'content-type: application/json' http://127.0.0.1:3000/orders
//! {"id":1,"job":"0190a4c6-9f5e-7d10-8b7c-0c1b2d3e4f50"}
//! $ curl http://127.0.0.1:3000/orders
//! {"orders":1,"mails":1}
//! ```
//!
//! The tables are in `outbox.db`, or where `--url` says: `postgres://user:password@host/database`.
//! `outbox serve` and `outbox work` are the same in two processes. `outbox chaos` kills both of
//! them again and again while orders come in, and checks the books.

mod audit;
mod chaos;
mod clients;
mod keeper;
mod place;
mod routes;
mod shop;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use hereafter::Client;
use hereafter::worker::{Shutdown, Worker, WorkerConfig};
use tokio::net::TcpListener;

use chaos::Chaos;
use shop::{Shop, Storing};

/// A shop that mails a confirmation for each order: exactly one, whatever is killed.
///
/// Without a command it is the service and a worker in one process.
#[derive(Debug, Parser)]
struct Options {
    /// The database of the orders and of their jobs: `sqlite://outbox.db`, or `postgres://…`.
    #[arg(long, env = "HEREAFTER_URL", global = true)]
    url: Option<String>,
    /// Where the service listens; port 0 is any that is free.
    #[arg(long, default_value = "127.0.0.1:3000", global = true)]
    listen: String,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The service alone.
    Serve {
        /// Stores the job after the order, in a transaction of its own: the mistake that `chaos`
        /// must find.
        #[arg(long, hide = true)]
        apart: bool,
    },
    /// A worker alone.
    Work {
        /// For how many seconds a job belongs to a worker that may be dead.
        #[arg(long, default_value_t = 30)]
        lease: u64,
    },
    /// Kills a service and a worker at random, and checks that each order has exactly one mail.
    Chaos(Chaos),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(Options { url, listen, command }: Options) -> anyhow::Result<ExitCode> {
    if let Some(Command::Chaos(chaos)) = command {
        return chaos.run(url.as_deref()).await;
    }
    let url = url.as_deref().unwrap_or("sqlite://outbox.db");
    // First, because it makes the file that the shop's tables are in too.
    let client = hereafter::connect(url).await?;
    let shop = Shop::open(url).await?;
    match command {
        Some(Command::Serve { apart }) => {
            let storing = if apart { Storing::Apart } else { Storing::Together };
            serve(&listen, shop, storing).await?;
        }
        Some(Command::Work { lease }) => work(client, shop, Duration::from_secs(lease)).await?,
        _ => {
            let worker = work(client, shop.clone(), WorkerConfig::default().lease);
            tokio::try_join!(serve(&listen, shop, Storing::Together), worker)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn serve(address: &str, shop: Shop, storing: Storing) -> anyhow::Result<()> {
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, routes::routes(shop, storing))
        .with_graceful_shutdown(interrupted())
        .await?;
    Ok(())
}

async fn work(client: Client, shop: Shop, lease: Duration) -> anyhow::Result<()> {
    let mut config = WorkerConfig::default();
    config.lease = lease;
    let worker = Worker::builder(client).config(config).provide(shop).build();
    let shutdown = Shutdown::new();
    let running = worker.run(&shutdown);
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => return Ok(ended?),
        () = interrupted() => shutdown.request(),
    }
    Ok(running.await?)
}

/// Waits for Ctrl-C.
async fn interrupted() {
    // Without the signal there is nothing to wait for: go on.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
