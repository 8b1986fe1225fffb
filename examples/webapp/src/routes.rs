//! Two addresses: one takes orders, one tells how the report is coming along.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hereafter::{Client, DelayError, JobError, JobId};
use serde_json::json;

use crate::report::sales_report;

/// The service.
pub(crate) fn routes(client: Client) -> Router {
    Router::new()
        .route("/reports", post(order_report))
        .route("/reports/{id}", get(read_report))
        .with_state(client)
}

/// Stores a job and answers 202 with the job's address.
async fn order_report(State(client): State<Client>, orders: String) -> Result<Response, Refusal> {
    let job = sales_report(orders).delay_on(&client).await?;
    let address = format!("/reports/{}", job.id());
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, address)]).into_response())
}

/// Answers the report if it is ready, else the state of its job.
async fn read_report(
    State(client): State<Client>,
    Path(id): Path<JobId>,
) -> Result<Response, Refusal> {
    let job = client.handle::<String>(id);
    let Some(state) = job.state().await? else {
        return Err(Refusal(StatusCode::NOT_FOUND, format!("there is no report {id}")));
    };
    if !state.is_final() {
        return Ok(Json(json!({ "state": state })).into_response());
    }
    let report = job.await?;
    Ok(([(header::CONTENT_TYPE, "text/csv")], report).into_response())
}

/// An answer that is no success, with its reason.
#[derive(Debug)]
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<DelayError> for Refusal {
    fn from(error: DelayError) -> Self {
        let status = match error {
            DelayError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, hereafter::error_chain(&error))
    }
}

impl From<JobError> for Refusal {
    fn from(error: JobError) -> Self {
        let status = match error {
            JobError::Failed(_) => StatusCode::UNPROCESSABLE_ENTITY,
            JobError::NotKept { .. } => StatusCode::GONE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}
