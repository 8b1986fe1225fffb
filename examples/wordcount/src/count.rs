//! The task of each file: counts it.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use hereafter::prelude::*;
use serde::{Deserialize, Serialize};

/// What one file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counted {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Maximal runs of bytes that are not white space.
    pub(crate) words: u64,
    /// Its size.
    pub(crate) bytes: u64,
}

/// Counts the words and bytes of a file.
#[register_task(retries = 2, backoff = "fixed(200ms)")]
pub(crate) fn count(path: PathBuf) -> io::Result<Counted> {
    let (words, bytes) = count_file(&path).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot count `{}`: {error}", path.display()))
    })?;
    Ok(Counted { path, words, bytes })
}

fn count_file(path: &Path) -> io::Result<(u64, u64)> {
    count_in(BufReader::with_capacity(64 * 1024, File::open(path)?))
}

/// Words and bytes.
fn count_in(mut reader: impl BufRead) -> io::Result<(u64, u64)> {
    let (mut words, mut size) = (0, 0);
    let mut in_word = false;
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok((words, size));
        }
        for &byte in bytes {
            let is_space = is_space(byte);
            words += u64::from(!is_space && !in_word);
            in_word = !is_space;
        }
        size += bytes.len() as u64;
        let read = bytes.len();
        reader.consume(read);
    }
}

/// The white space of C's `isspace`; `u8::is_ascii_whitespace` leaves out the vertical tab.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_run_without_white_space() {
        let cases = [("", 0), ("  \n", 0), ("one", 1), (" one\ttwo\x0bthree\n", 3), ("a b ", 2)];
        for (text, words) in cases {
            assert_eq!(count_in(text.as_bytes()).unwrap().0, words, "{text:?}");
        }
    }

    #[test]
    fn a_word_across_two_reads_is_one_word() {
        let reader = BufReader::with_capacity(3, "ab cdefgh ij".as_bytes());
        assert_eq!(count_in(reader).unwrap(), (3, 12));
    }
}
