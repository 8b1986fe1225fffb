//! The tasks that bring many counts together.

use hereafter::prelude::*;
use serde::{Deserialize, Serialize};

use crate::count::Counted;

/// What many files hold together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) files: u64,
    pub(crate) words: u64,
    pub(crate) bytes: u64,
    /// The largest files, the largest first.
    pub(crate) largest: Vec<Counted>,
}

/// How many of the largest files are kept.
const LARGEST: usize = 10;

/// Sums the counts of files.
#[register_task]
pub(crate) fn summarise(files: Vec<Counted>) -> Summary {
    Summary {
        files: files.len() as u64,
        words: files.iter().map(|file| file.words).sum(),
        bytes: files.iter().map(|file| file.bytes).sum(),
        largest: largest(files),
    }
}

/// Sums the summaries of parts.
#[register_task]
pub(crate) fn merge(parts: Vec<Summary>) -> Summary {
    Summary {
        files: parts.iter().map(|part| part.files).sum(),
        words: parts.iter().map(|part| part.words).sum(),
        bytes: parts.iter().map(|part| part.bytes).sum(),
        largest: largest(parts.into_iter().flat_map(|part| part.largest).collect()),
    }
}

fn largest(mut files: Vec<Counted>) -> Vec<Counted> {
    files.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
    files.truncate(LARGEST);
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: u64) -> Counted {
        Counted { path: bytes.to_string().into(), words: bytes / 2, bytes }
    }

    #[test]
    fn the_summary_of_parts_is_that_of_the_whole() {
        let files: Vec<_> = (0..100).map(|n| file(n * 37 % 101)).collect();
        let whole = summarise(files.clone()).call();
        let parts = files.chunks(30).map(|part| summarise(part.to_vec()));
        assert_eq!(merge(gather(parts)).call(), Ok(whole.clone()));
        assert_eq!(whole.files, 100);
        assert_eq!(whole.largest.len(), LARGEST);
        assert_eq!(whole.largest[0].bytes, 100);
    }
}
