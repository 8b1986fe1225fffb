//! The steps: read each file, join what could be read, look at it in two ways, write the report.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::PathBuf;

use hereafter::prelude::*;
use serde::{Deserialize, Serialize};

/// How often each word is there.
pub(crate) type Words = BTreeMap<String, u64>;

/// What all files hold together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Corpus {
    pub(crate) files: u64,
    /// Files that could not be read.
    pub(crate) failed: u64,
    /// Why the first of them could not.
    pub(crate) failures: Vec<String>,
    pub(crate) words: Words,
}

/// As many different words of one file are kept, the most frequent ones.
const KEPT: usize = 1_000;

/// As many reasons for failures are kept.
const TOLD: usize = 20;

/// Counts the words of one file, which must be UTF-8. Bytes do not get better by reading them
/// again.
#[register_task(retries = 2, backoff = "fixed(200ms)", retry_if = is_worth_a_retry)]
pub(crate) fn tally(path: PathBuf) -> io::Result<Words> {
    let text = std::fs::read_to_string(&path).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot read `{}`: {error}", path.display()))
    })?;
    let mut words = Words::new();
    for word in text.split(|letter: char| !letter.is_alphanumeric()).filter(|it| !it.is_empty()) {
        *words.entry(word.to_lowercase()).or_default() += 1;
    }
    Ok(most_frequent(words, KEPT).into_iter().collect())
}

fn is_worth_a_retry(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, NotFound, PermissionDenied};
    !matches!(error.kind(), InvalidData | NotFound | PermissionDenied)
}

/// Joins what could be read; a file that could not be is counted, and is not the end of it.
#[register_task]
pub(crate) fn join(tallies: Vec<Result<Words, JobError>>) -> Corpus {
    let mut corpus = Corpus { files: 0, failed: 0, failures: Vec::new(), words: Words::new() };
    for tally in tallies {
        match tally {
            Ok(words) => {
                corpus.files += 1;
                for (word, count) in words {
                    *corpus.words.entry(word).or_default() += count;
                }
            }
            Err(error) => {
                corpus.failed += 1;
                corpus.failures.push(error.to_string());
            }
        }
    }
    // A result must not grow with the folder.
    corpus.failures.truncate(TOLD);
    corpus.words = most_frequent(corpus.words, 10 * KEPT).into_iter().collect();
    corpus
}

/// The words that are there most often.
#[register_task]
pub(crate) fn frequent(corpus: Corpus, most: usize) -> Vec<(String, u64)> {
    most_frequent(corpus.words, most)
}

/// The longest words.
#[register_task]
pub(crate) fn longest(corpus: Corpus, most: usize) -> Vec<String> {
    let mut words: Vec<String> = corpus.words.into_keys().collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.chars().count()));
    words.truncate(most);
    words
}

/// Writes the report, where both ways meet.
#[register_task]
pub(crate) fn compose(frequent: Vec<(String, u64)>, longest: Vec<String>) -> String {
    let mut report = "most frequent words:\n".to_owned();
    for (word, count) in frequent {
        // A `String` takes whatever is written to it.
        let _ = writeln!(report, "{count:>8}  {word}");
    }
    report += "longest words:\n";
    longest.iter().for_each(|word| report += &format!("{:>8}  {word}\n", word.chars().count()));
    report
}

fn most_frequent(words: Words, most: usize) -> Vec<(String, u64)> {
    let mut words: Vec<_> = words.into_iter().collect();
    // Stable, so that words of one count stay in order.
    words.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    words.truncate(most);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Words {
        text.split(' ').map(|word| (word.to_owned(), 1)).collect()
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_the_rest_is_joined() {
        let error = JobError::Disabled { task: "tally".to_owned() };
        let corpus = join(vec![Ok(words("a b")), Err(error), Ok(words("b c"))]).call();
        assert_eq!((corpus.files, corpus.failed), (2, 1));
        assert_eq!(frequent(corpus, 1).call(), [("b".to_owned(), 2)]);
    }

    #[test]
    fn the_whole_runs_in_place_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let (good, bad) = (folder.path().join("good"), folder.path().join("bad"));
        std::fs::write(&good, "one two, two").unwrap();
        std::fs::write(&bad, b"\xff\xfe").unwrap();
        let corpus = join(gather_results([good, bad].map(tally))).call().unwrap();
        assert_eq!((corpus.files, corpus.failed), (1, 1));
        assert!(corpus.failures[0].contains("bad"), "{:?}", corpus.failures);
        let report = compose(frequent(corpus.clone(), 5), longest(corpus, 1)).call().unwrap();
        assert!(report.starts_with("most frequent words:\n       2  two\n"), "{report}");
    }
}
