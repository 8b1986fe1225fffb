//! Under every lint that a user may deny.
#![deny(warnings, missing_docs, unused, unreachable_pub, clippy::all, clippy::pedantic)]
#![forbid(unsafe_code)]

use hereafter::prelude::*;

/// A task.
#[register_task(queue = "media", retries = 3)]
pub async fn thumbnail(
    cx: Context,
    State(store): State<String>,
    path: &str,
    _width: u32,
) -> Result<String, std::io::Error> {
    cx.cancelled().await;
    Ok(store + path)
}

/// A task of nothing.
#[register_task]
pub fn nothing() {}

/// A report.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub struct Report;

#[register_task]
impl Report {
    /// A method.
    #[task]
    pub fn print(&self, copies: Vec<u8>) -> usize {
        let Self = self;
        copies.len()
    }
}

fn main() {
    nothing().call();
    assert_eq!(Report.print([1, 2]).call(), 2);
    let call: Call<String, Result<String, std::io::Error>> = thumbnail("cat.jpg", 200);
    drop(call);
}
