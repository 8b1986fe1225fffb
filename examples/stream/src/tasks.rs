//! The generators: hits of a search, and all prime numbers.

use std::path::{Path, PathBuf};
use std::process;

use futures::stream::{self, Stream, StreamExt};
use hereafter::prelude::*;
use ignore::WalkBuilder;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

/// A line that has the text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Hit {
    pub(crate) path: PathBuf,
    /// From 1.
    pub(crate) line: u64,
    pub(crate) text: String,
    /// The process that found it.
    pub(crate) found_by: u32,
}

/// Looks for a text in the files below a folder, one after the other. A file that is no UTF-8 has
/// no hits.
#[register_task]
pub(crate) async fn search(cx: Context, folder: PathBuf, text: String) -> impl Stream<Item = Hit> {
    let files = spawn_blocking(move || files_below(&folder)).await.unwrap_or_default();
    let total = files.len() as u64;
    stream::iter(files.into_iter().zip(1..))
        .then(move |(path, done)| {
            let (cx, text) = (cx.clone(), text.clone());
            async move {
                cx.message(path.display().to_string());
                let hits = spawn_blocking(move || hits_in(&path, &text)).await;
                cx.progress(done, total);
                stream::iter(hits.unwrap_or_default())
            }
        })
        .flatten()
}

/// All prime numbers. Nobody could wait for all of them: they are made as they are asked for, and
/// a second after the last reader has left, no more.
#[register_task(on_demand, window = 4, patience = "1s")]
pub(crate) fn primes() -> impl Stream<Item = u64> {
    stream::iter((2..).filter(|n| (2..).take_while(|d| d * d <= *n).all(|d| n % d != 0)))
}

/// The files below a folder, in order of their paths; what a `.gitignore` names is left out.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let walk = WalkBuilder::new(folder).sort_by_file_name(Ord::cmp).build();
    let files =
        walk.filter_map(Result::ok).filter(|it| it.file_type().is_some_and(|it| it.is_file()));
    files.map(ignore::DirEntry::into_path).collect()
}

fn hits_in(path: &Path, text: &str) -> Vec<Hit> {
    let content = std::fs::read_to_string(path).unwrap_or_default();
    let lines = content.lines().zip(1..).filter(|(line, _)| line.contains(text));
    lines
        .map(|(line, number)| Hit {
            path: path.to_owned(),
            line: number,
            text: line.trim().to_owned(),
            found_by: process::id(),
        })
        .collect()
}
