//! Finds the text files below a folder.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use ignore::WalkBuilder;

/// Bytes looked at to tell text from other files, as git does.
const HEAD: u64 = 8_000;

/// The text files below `folder`, in order of their paths.
pub(crate) fn below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    ensure!(folder.is_dir(), "`{}` is no folder", folder.display());
    let folder = folder.canonicalize().context("cannot resolve the folder")?;
    // What git would list: `.gitignore` counts inside of a repository, hidden files are files.
    let walk = WalkBuilder::new(&folder)
        .hidden(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .sort_by_file_name(Ord::cmp)
        .build();
    let mut files = Vec::new();
    for entry in walk {
        let entry = entry.context("cannot list a folder")?;
        let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
        // A file that cannot be read is a job's failure, not the listing's.
        if is_file && is_text(entry.path()).unwrap_or(true) {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

fn is_text(path: &Path) -> std::io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    Ok(!head.contains(&0))
}
