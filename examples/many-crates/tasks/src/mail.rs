//! Tasks of one part of an application.

use hereafter::prelude::*;

/// Sends a mail, or would.
#[register_task(queue = "mail")]
pub async fn send(address: String) -> String {
    format!("sent to {address}")
}
