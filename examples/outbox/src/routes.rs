//! One address: orders go in, and counts come out.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use crate::shop::{Counts, Order, Shop, Storing};

/// The service.
pub(crate) fn routes(shop: Shop, storing: Storing) -> Router {
    Router::new().route("/orders", get(count).post(order)).with_state((shop, storing))
}

/// What a customer sends.
#[derive(Debug, Deserialize)]
struct NewOrder {
    customer: String,
}

/// Stores an order with the job for its mail, and answers 201 once both are durable.
async fn order(
    State((shop, storing)): State<(Shop, Storing)>,
    Json(new): Json<NewOrder>,
) -> Result<(StatusCode, Json<Order>), Refusal> {
    let order = shop.order(&new.customer, storing).await?;
    Ok((StatusCode::CREATED, Json(order)))
}

async fn count(State((shop, _)): State<(Shop, Storing)>) -> Result<Json<Counts>, Refusal> {
    Ok(Json(shop.counts().await?))
}

/// The database did not do it, and this is why.
#[derive(Debug)]
struct Refusal(anyhow::Error);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let reason = Json(json!({ "error": format!("{:#}", self.0) }));
        (StatusCode::SERVICE_UNAVAILABLE, reason).into_response()
    }
}

impl<E: Into<anyhow::Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}
