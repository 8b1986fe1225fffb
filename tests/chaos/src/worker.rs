//! What worker processes run: a task that writes down that it ran, and does nothing else.

use std::io::{Read, stdin};
use std::path::PathBuf;
use std::process::exit;

use anyhow::Context as _;
use hereafter::prelude::*;

use crate::ledger::{Fact, Ledger};

/// The variable that names the ledger of a worker.
pub(crate) const LEDGER: &str = "TASKCHAOS_LEDGER";

/// The name of [`note`] in the store.
pub(crate) const TASK: &str = "taskchaos::note";

/// Writes into the ledger of its process.
#[register_task(name = "taskchaos::note")]
pub(crate) async fn note(
    cx: Context,
    State(ledger): State<Ledger>,
    call: u64,
) -> std::io::Result<()> {
    ledger.write(call, Fact::Began(cx.id()))?;
    ledger.write(call, Fact::Ended(cx.id()))
}

#[on_start]
fn open_ledger(start: &mut Start) -> anyhow::Result<()> {
    let path = std::env::var_os(LEDGER).with_context(|| format!("`{LEDGER}` names no ledger"))?;
    start.provide(Ledger::open(&PathBuf::from(path))?);
    end_with_parent();
    Ok(())
}

/// Ends this process when the one that started it is gone, which holds the other end of its input.
pub(crate) fn end_with_parent() {
    std::thread::spawn(|| {
        // An error is an end too.
        let _ = stdin().read_to_end(&mut Vec::new());
        exit(ORPHAN);
    });
}

const ORPHAN: i32 = 3;
