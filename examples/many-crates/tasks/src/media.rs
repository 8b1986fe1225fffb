//! Tasks of another part; equal short names do not clash.

use hereafter::prelude::*;

/// Sends a picture, or would.
#[register_task(queue = "media")]
pub fn send(path: String) -> String {
    format!("sent {path}")
}
