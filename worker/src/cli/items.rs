//! `jobs show ID --items`: the items of a stream that are there.

use std::time::Duration;

use serde_json::value::RawValue;
use taskcore::broker::{Items, ReadItems};
use taskcore::{JobId, Payload};

use super::error::CliError;
use super::output::{print, shown_json};
use super::settings::Settings;
use super::show;
use super::store::Store;

/// Items in one answer.
const PAGE: u32 = 1_000;

/// Prints the items that are there, each on one line.
pub(crate) fn show(settings: &Settings, id: JobId) -> Result<(), CliError> {
    Store::with(settings, async |store| print_all(store, id).await)
}

async fn print_all(store: &Store, job: JobId) -> Result<(), CliError> {
    let reports = store.reports()?;
    let mut read = ReadItems { job, run: None, from: 0, max: PAGE };
    loop {
        let Items { run, first, items, total, state } =
            reports.items(&read, Duration::ZERO).await?;
        if state.is_none() {
            return Err(show::not_stored(job));
        }
        if run.is_none() {
            return Err(no_stream(job));
        }
        if read.run.is_some() && run != read.run {
            let text =
                format!("the stream of job {job} has begun anew: what was read of it is void");
            return Err(CliError::Unsuccessful(text));
        }
        print(&items.iter().map(line).collect::<String>())?;
        let next = first + items.len() as u64;
        if items.is_empty() || next >= total {
            return Ok(());
        }
        read = ReadItems { run, from: next, ..read };
    }
}

/// An item as its task encoded it. Foreign bytes are shown as a JSON string.
fn line(item: &Payload) -> String {
    let bytes = item.as_slice();
    match serde_json::from_slice::<&RawValue>(bytes) {
        Ok(json) => format!("{}\n", shown_json(json.get())),
        Err(_) => {
            let text = serde_json::Value::from(String::from_utf8_lossy(bytes));
            format!("{}\n", shown_json(&text.to_string()))
        }
    }
}

fn no_stream(job: JobId) -> CliError {
    let text = format!("job {job} has published no items: it is no stream, or has not begun");
    CliError::Unsuccessful(text)
}
