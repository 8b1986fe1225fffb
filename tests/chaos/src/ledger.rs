//! [`Ledger`]: what one process did, in a file outside of the system under test.
//!
//! A line is one `write` to a file that is open for appending: it is whole or not there, and a
//! process that is killed right after it has still written it. Times are microseconds since 1970 on
//! the clock that all processes of the machine share.

use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use hereafter::JobId;
use rustix::time::{ClockId, clock_gettime};

/// The file of one process, to be added to.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    file: Arc<File>,
}

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// In microseconds.
    pub(crate) at: u64,
    /// The number of the call, by which it is known before it has a job.
    pub(crate) call: u64,
    pub(crate) fact: Fact,
}

/// What happened to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fact {
    /// It is about to be stored.
    Attempted,
    /// It is about to be stored, and not to run before this time, in microseconds.
    Delayed(u64),
    /// It was answered with this job.
    Acknowledged(JobId),
    /// It was answered with an error: nobody knows whether it is stored.
    Unknown,
    /// Its handler begins.
    Began(JobId),
    /// Its handler has done its work.
    Ended(JobId),
}

impl Ledger {
    /// Opens the file, and makes it if it is missing.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::options().create(true).append(true).open(path);
        let file = file.with_context(|| format!("cannot open the ledger `{}`", path.display()))?;
        Ok(Self { file: Arc::new(file) })
    }

    /// Adds a line of now.
    pub(crate) fn write(&self, call: u64, fact: Fact) -> std::io::Result<()> {
        self.write_all(std::iter::once((call, fact)))
    }

    /// Adds several, all of now.
    pub(crate) fn write_all(
        &self,
        facts: impl Iterator<Item = (u64, Fact)>,
    ) -> std::io::Result<()> {
        let at = now();
        let lines: String =
            facts.map(|(call, fact)| format!("{}\n", Entry { at, call, fact })).collect();
        (&*self.file).write_all(lines.as_bytes())
    }
}

/// This machine's time, in microseconds. It is asked of the kernel, whatever the library of C says to
/// a process whose clock is to be wrong.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec.cast_unsigned() * 1_000_000 + now.tv_nsec.cast_unsigned() / 1_000
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, call, fact } = self;
        match fact {
            Fact::Attempted => write!(f, "{at} {call} attempted"),
            Fact::Delayed(due) => write!(f, "{at} {call} delayed {due}"),
            Fact::Acknowledged(job) => write!(f, "{at} {call} acknowledged {job}"),
            Fact::Unknown => write!(f, "{at} {call} unknown"),
            Fact::Began(job) => write!(f, "{at} {call} began {job}"),
            Fact::Ended(job) => write!(f, "{at} {call} ended {job}"),
        }
    }
}

impl Entry {
    fn parse(line: &str) -> anyhow::Result<Self> {
        let mut words = line.split(' ');
        let mut next = || words.next().context("it has too few words");
        let (at, call, fact) = (next()?.parse()?, next()?.parse()?, next()?);
        if fact == "delayed" {
            return Ok(Self { at, call, fact: Fact::Delayed(next()?.parse()?) });
        }
        let mut job = || anyhow::Ok(next()?.parse::<JobId>()?);
        let fact = match fact {
            "attempted" => Fact::Attempted,
            "acknowledged" => Fact::Acknowledged(job()?),
            "unknown" => Fact::Unknown,
            "began" => Fact::Began(job()?),
            "ended" => Fact::Ended(job()?),
            other => anyhow::bail!("`{other}` is no fact"),
        };
        Ok(Self { at, call, fact })
    }
}

/// Reads a ledger while another process writes it.
#[derive(Debug)]
pub(crate) struct Reader {
    path: PathBuf,
    /// Up to where it was read.
    read: u64,
    entries: Vec<Entry>,
}

impl Reader {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, read: 0, entries: Vec::new() }
    }

    /// Everything so far.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Reads what was added since; answers it.
    pub(crate) fn read(&mut self) -> anyhow::Result<&[Entry]> {
        let known = self.entries.len();
        let cannot = || format!("cannot read the ledger `{}`", self.path.display());
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            // Its process has not started yet.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(&[]),
            Err(error) => return Err(error).with_context(cannot),
        };
        file.seek(SeekFrom::Start(self.read))?;
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(cannot)?;
        for line in text.split_inclusive('\n') {
            // The rest is on its way.
            let Some(whole) = line.strip_suffix('\n') else { break };
            let entry = Entry::parse(whole).with_context(|| format!("`{whole}` is no entry"))?;
            self.entries.push(entry);
            self.read += line.len() as u64;
        }
        Ok(&self.entries[known..])
    }

    /// Reads the rest, once its process has ended.
    pub(crate) fn finish(&mut self) -> anyhow::Result<()> {
        self.read()?;
        let length = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        ensure!(self.read == length, "`{}` ends in the middle of a line", self.path.display());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_once_and_a_half_line_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let mut reader = Reader::new(path.clone());
        assert_eq!(reader.read().unwrap(), []);
        let (ledger, job) = (Ledger::open(&path).unwrap(), JobId::new());
        let facts = [
            Fact::Attempted,
            Fact::Delayed(12),
            Fact::Acknowledged(job),
            Fact::Unknown,
            Fact::Began(job),
            Fact::Ended(job),
        ];
        ledger.write_all(facts.into_iter().map(|fact| (7, fact))).unwrap();
        let read = reader.read().unwrap();
        assert_eq!(read.iter().map(|entry| entry.fact).collect::<Vec<_>>(), facts);
        assert!(read.iter().all(|entry| entry.call == 7 && entry.at > 0));

        (&*ledger.file).write_all(b"12 8 atte").unwrap();
        assert_eq!(reader.read().unwrap(), []);
        assert!(reader.finish().is_err());
        (&*ledger.file).write_all(b"mpted\n").unwrap();
        let late = Entry { at: 12, call: 8, fact: Fact::Attempted };
        assert_eq!(reader.read().unwrap(), [late]);
        reader.finish().unwrap();
        assert_eq!(reader.entries().len(), 7);
    }
}
