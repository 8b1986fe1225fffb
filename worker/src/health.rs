//! The health server: `/live`, `/ready`, `/metrics` and `/status` of one worker.

mod prometheus;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::view::{Report, View};
use prometheus::Prometheus;

/// A bound address that answers nothing yet.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: TcpListener,
}

/// A running health server; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Health {
    _serving: AbortOnDropHandle<()>,
}

#[derive(Debug, Clone)]
struct Shared {
    view: Arc<View>,
    prometheus: Arc<Prometheus>,
}

impl Bound {
    /// Takes the address, so that a worker that cannot have it does not start.
    pub(crate) async fn to(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await? })
    }

    /// Starts to answer for this worker, and to count for `/metrics`.
    pub(crate) fn serve(self, view: Arc<View>) -> Health {
        let address = self.listener.local_addr().map(|address| address.to_string());
        let address = address.unwrap_or_default();
        tracing::info!(target: "hereafter::worker", address, "health server listens");
        let prometheus = Arc::new(Prometheus::install());
        let app = router(Shared { view, prometheus: prometheus.clone() });
        let serving = tokio::spawn(async move {
            let keep_up = prometheus.keep_up();
            tokio::select! {
                ended = axum::serve(self.listener, app) => {
                    if let Err(error) = ended {
                        let error = error.to_string();
                        tracing::error!(target: "hereafter::worker", error, "health server ended");
                    }
                }
                () = keep_up => {}
            }
        });
        Health { _serving: AbortOnDropHandle::new(serving) }
    }
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .with_state(shared)
}

/// Answers while the process does; says nothing of the broker, so that a broker that is down
/// restarts no worker.
async fn live() -> &'static str {
    "live\n"
}

async fn ready(State(shared): State<Shared>) -> (StatusCode, String) {
    match shared.view.life().readiness() {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
    }
}

async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    let text = shared.prometheus.render(&shared.view).await;
    match text {
        Ok(text) => (StatusCode::OK, [(CONTENT_TYPE, prometheus::CONTENT_TYPE)], text),
        Err(reason) => {
            let text = format!("{reason}\n");
            (StatusCode::NOT_IMPLEMENTED, [(CONTENT_TYPE, "text/plain; charset=utf-8")], text)
        }
    }
}

async fn status(State(shared): State<Shared>) -> Json<Report> {
    Json(shared.view.report().await)
}
