//! [`Settings`]: flags, then `HEREAFTER_*`, then `hereafter.toml`, then defaults.
//!
//! clap reads the first two, in this order; this module lays them over the file. (figment was
//! looked at: it would parse once more what clap has parsed already, to merge two layers.)

use std::io;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;
use taskcore::broker::ConnectError;

use super::args::{GlobalArgs, WorkerArgs};
use super::processes::Processes;
use super::text::{Span, from_text, from_texts};
use crate::config::{Exit, QueueConfig, WorkerConfig};
use crate::logging::{Color, LogFilter, LogFormat, LogSettings};

/// What holds for every command.
#[derive(Debug)]
pub(crate) struct Settings {
    url: Option<String>,
    results: Option<String>,
    log_level: Option<LogFilter>,
    log_file: Option<PathBuf>,
    log_format: LogFormat,
    pub(crate) color: Color,
    worker: WorkerSection,
}

/// What a worker is started with.
#[derive(Debug)]
pub(crate) struct WorkerSettings {
    pub(crate) config: WorkerConfig,
    pub(crate) health: Option<SocketAddr>,
    pub(crate) processes: Processes,
}

/// The configuration cannot be used; each text says what to change.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error(
        "no broker URL: pass `--url URL`, set HEREAFTER_URL, or write `url = \"…\"` into hereafter.toml"
    )]
    NoUrl,
    #[error("cannot read the configuration file `{}`: correct its path or its permissions", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("cannot use the configuration file `{}`, line {line}: {reason}: correct or remove it", path.display())]
    Invalid { path: PathBuf, line: usize, reason: String },
    #[error("{0}")]
    Value(String),
    #[error(transparent)]
    Results(#[from] ConnectError),
}

/// The name of the file that is read from the current directory.
pub(crate) const FILE_NAME: &str = "hereafter.toml";

/// The shortest lease: below, a pause of the machine would hand jobs out twice.
const MIN_LEASE: Duration = Duration::from_secs(1);

impl Settings {
    /// Lays the flags and variables over the configuration file.
    pub(crate) fn load(args: &GlobalArgs) -> Result<Self, ConfigError> {
        Ok(Self::lay(args, file(args.config.as_deref())?))
    }

    fn lay(args: &GlobalArgs, file: File) -> Self {
        Self {
            url: args.url.clone().or(file.url),
            results: args.results.clone().or(file.results),
            log_level: args.log_level.clone().or(file.log_level),
            log_file: args.log_file.clone().or(file.log_file),
            log_format: args.log_format.or(file.log_format).unwrap_or_default(),
            color: args.color.or(file.color).unwrap_or_default(),
            worker: file.worker,
        }
    }

    /// The broker's URL, with the store of results that was named beside it.
    pub(crate) fn url(&self) -> Result<String, ConfigError> {
        let url = self.url.as_deref().ok_or(ConfigError::NoUrl)?;
        match &self.results {
            Some(results) => Ok(taskbroker_connect::with_results(url, results)?),
            None => Ok(url.to_owned()),
        }
    }

    /// The log; `level` holds where none is set.
    pub(crate) fn log(&self, level: LogFilter) -> LogSettings {
        LogSettings {
            filter: self.log_level.clone().unwrap_or(level),
            format: self.log_format,
            file: self.log_file.clone(),
            color: self.color,
        }
    }

    /// The worker's configuration.
    pub(crate) fn worker(&self, args: &WorkerArgs) -> Result<WorkerSettings, ConfigError> {
        let file = &self.worker;
        let mut config = WorkerConfig::default();
        config.concurrency = args.concurrency.or(file.concurrency).unwrap_or(config.concurrency);
        let queues = if args.queues.is_empty() { &file.queues } else { &args.queues };
        if !queues.is_empty() {
            config.queues = distinct(queues)?;
        }
        let span = |flag: Option<Span>, file: Option<Span>, default: Duration| {
            flag.or(file).map_or(default, |span| span.0)
        };
        config.lease = span(args.lease, file.lease, config.lease);
        if config.lease < MIN_LEASE {
            return Err(ConfigError::Value("the lease is too short: use 1s or more".to_owned()));
        }
        config.grace = span(args.grace, file.grace, config.grace);
        config.exit = match args.idle_exit.or(file.idle_exit) {
            _ if args.burst => Exit::Drained,
            Some(Span(span)) => Exit::Idle(span),
            None => Exit::Never,
        };
        let named = args.name.as_ref().or(file.name.as_ref());
        if let Some(name) = named {
            config.name = checked_name(name)?;
        }
        let processes = Processes {
            count: args.processes.or(file.processes),
            max_jobs: args.max_jobs_per_process.or(file.max_jobs_per_process),
            max_memory: args.max_memory.or(file.max_memory).map(|size| size.as_u64()),
            is_named: named.is_some(),
        };
        processes.check()?;
        Ok(WorkerSettings { config, health: args.health.or(file.health), processes })
    }
}

/// The configuration file, key by key as the flags.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    url: Option<String>,
    results: Option<String>,
    #[serde(deserialize_with = "from_text")]
    log_level: Option<LogFilter>,
    log_file: Option<PathBuf>,
    log_format: Option<LogFormat>,
    color: Option<Color>,
    worker: WorkerSection,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct WorkerSection {
    concurrency: Option<NonZeroU32>,
    #[serde(deserialize_with = "from_texts")]
    queues: Vec<QueueConfig>,
    #[serde(deserialize_with = "from_text")]
    lease: Option<Span>,
    #[serde(deserialize_with = "from_text")]
    grace: Option<Span>,
    #[serde(deserialize_with = "from_text")]
    idle_exit: Option<Span>,
    processes: Option<NonZeroU16>,
    max_jobs_per_process: Option<NonZeroU64>,
    #[serde(deserialize_with = "from_text")]
    max_memory: Option<ByteSize>,
    health: Option<SocketAddr>,
    name: Option<String>,
}

/// The file that was named, else the one of the current directory, else nothing.
fn file(named: Option<&Path>) -> Result<File, ConfigError> {
    let path = named.unwrap_or(Path::new(FILE_NAME));
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text),
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
            Ok(File::default())
        }
        Err(source) => Err(ConfigError::Unreadable { path: path.to_owned(), source }),
    }
}

pub(super) fn parse(path: &Path, text: &str) -> Result<File, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = text.as_bytes().iter().take(start).filter(|byte| **byte == b'\n').count() + 1;
        let reason = error.message().lines().collect::<Vec<_>>().join(", ");
        ConfigError::Invalid { path: path.to_owned(), line, reason }
    })
}

fn distinct(queues: &[QueueConfig]) -> Result<Vec<QueueConfig>, ConfigError> {
    for (index, queue) in queues.iter().enumerate() {
        if queues[..index].iter().any(|earlier| earlier.name == queue.name) {
            let name = &queue.name;
            return Err(ConfigError::Value(format!("queue `{name}` is named twice: name it once")));
        }
    }
    Ok(queues.to_vec())
}

/// The broker stores the name with every delivery, in at most 255 bytes.
fn checked_name(name: &str) -> Result<String, ConfigError> {
    if name.is_empty() || name.len() > 255 {
        let length = name.len();
        return Err(ConfigError::Value(format!(
            "the worker's name has {length} bytes: use 1 to 255"
        )));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse(Path::new("hereafter.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn a_file_may_hold_every_key() {
        let text = "
            url = 'sqlite://tasks.db'
            results = 'sqlite://results.db'
            log-level = 'warning'
            log-file = 'worker.log'
            log-format = 'json'
            color = 'never'
            [worker]
            concurrency = 3
            queues = ['mail:2', 'bulk=5']
            lease = '10s'
            grace = '1m'
            idle-exit = '10m'
            processes = 2
            max-jobs-per-process = 1000
            max-memory = '512MiB'
            health = '127.0.0.1:9000'
            name = 'one'
        ";
        let file = parse(Path::new("hereafter.toml"), text).unwrap();
        let settings = Settings::lay(&GlobalArgs::default(), file);
        assert_eq!(settings.url.as_deref(), Some("sqlite://tasks.db"));
        assert_eq!(settings.results.as_deref(), Some("sqlite://results.db"));
        assert_eq!(settings.log(LogFilter::info()).filter, LogFilter::warn());
        let worker = settings.worker(&WorkerArgs::default()).unwrap();
        assert_eq!(worker.config.queues.len(), 2);
        assert_eq!(worker.config.exit, Exit::Idle(Duration::from_mins(10)));
        assert_eq!(worker.health, Some("127.0.0.1:9000".parse().unwrap()));
        let Processes { count, max_jobs, max_memory, is_named } = worker.processes;
        assert_eq!((count.unwrap().get(), max_jobs.unwrap().get()), (2, 1000));
        assert_eq!((max_memory, is_named), (Some(512 << 20), true));
    }

    #[test]
    fn an_unknown_key_is_named_with_file_line_and_remedy() {
        let error = refused("url = 'memory://'\nconcurency = 3\n");
        for part in ["hereafter.toml", "line 2", "`concurency`", "correct or remove"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_broken_value_is_named_with_its_line() {
        for text in [
            "[worker]\nlease = 'soon'",
            "[worker]\nqueues = ['a b']",
            "[worker]\nconcurrency = 0",
            "[worker]\nhealth = 'here'",
            "[worker]\nprocesses = 0",
            "[worker]\nmax-memory = 'much'",
            "\nlog-level = 'loud'",
            "\nurl = ",
        ] {
            assert!(refused(text).contains("line 2"), "{}", refused(text));
        }
    }

    #[test]
    fn what_replaces_processes_needs_processes() {
        let max_jobs_per_process = NonZeroU64::new(3);
        let args = WorkerArgs { max_jobs_per_process, ..WorkerArgs::default() };
        let settings = Settings::lay(&GlobalArgs::default(), File::default());
        let error = settings.worker(&args).unwrap_err().to_string();
        assert!(error.contains("`--processes"), "{error}");
    }

    #[test]
    fn a_queue_named_twice_is_refused() {
        let queues = ["mail".parse().unwrap(), "mail=3".parse().unwrap()];
        let args = WorkerArgs { queues: queues.to_vec(), ..WorkerArgs::default() };
        let settings = Settings::lay(&GlobalArgs::default(), File::default());
        assert!(settings.worker(&args).unwrap_err().to_string().contains("`mail` is named twice"));
    }
}
