//! The log: level, format and place.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use clap::ValueEnum;
use serde::Deserialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

/// What is logged: a level, or a filter in the syntax of `tracing`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFilter(String);

impl LogFilter {
    /// What a worker logs where nothing else is said.
    pub(crate) fn info() -> Self {
        Self("info".to_owned())
    }

    /// What the other commands log where nothing else is said.
    pub(crate) fn warn() -> Self {
        Self("warn".to_owned())
    }
}

impl LogFilter {
    /// For `tracing`. The driver of RabbitMQ logs as errors what its caller handles and tells, such as
    /// the end of a connection; who wants that asks for it.
    fn directives(&self) -> String {
        match self.0.as_str() {
            level @ ("error" | "warn" | "info") => format!("{level},lapin=off"),
            filter => filter.to_owned(),
        }
    }
}

impl FromStr for LogFilter {
    type Err = InvalidLogFilter;

    fn from_str(text: &str) -> Result<Self, InvalidLogFilter> {
        let refuse = |reason: String| InvalidLogFilter { text: text.to_owned(), reason };
        let level = text.trim().to_ascii_lowercase();
        match level.as_str() {
            "off" | "error" | "warn" | "info" | "debug" | "trace" => return Ok(Self(level)),
            "warning" => return Ok(Self::warn()),
            _ => {}
        }
        // `tracing` reads a lone word that is no level as the name of a module to log in full,
        // which is what a misspelt level would silently become.
        if !text.contains('=') {
            return Err(refuse("no such level".to_owned()));
        }
        EnvFilter::builder().parse(text).map_err(|error| refuse(error.to_string()))?;
        Ok(Self(text.to_owned()))
    }
}

/// A text that is no level and no filter.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{text}` is no log level ({reason}): use off, error, warn, info, debug or trace, or a filter such as \
     `info,sqlx=debug`"
)]
pub(crate) struct InvalidLogFilter {
    text: String,
    reason: String,
}

/// The form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The log of this process.
#[derive(Debug, Clone)]
pub(crate) struct LogSettings {
    pub(crate) filter: LogFilter,
    pub(crate) format: LogFormat,
    /// The standard error stream if `None`.
    pub(crate) file: Option<PathBuf>,
    pub(crate) color: Color,
}

/// Whether output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Color {
    /// Where it goes to a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Whether to colour what goes to `stream`.
    pub(crate) fn is_on(self, stream: &impl IsTerminal) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            // https://no-color.org: set and not empty.
            Self::Auto => {
                stream.is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        }
    }
}

/// The log file cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the log file `{}`, so nothing was started", path.display())]
pub(crate) struct CannotLog {
    path: PathBuf,
    source: io::Error,
}

/// Starts logging. A subscriber that the program has installed already stays.
pub(crate) fn install(settings: &LogSettings) -> Result<(), CannotLog> {
    let (writer, is_coloured) = match &settings.file {
        Some(path) => (BoxMakeWriter::new(Arc::new(open(path)?)), false),
        None => (BoxMakeWriter::new(io::stderr), settings.color.is_on(&io::stderr())),
    };
    // Read again because a filter cannot be cloned; `LogFilter` has checked the text.
    let filter = EnvFilter::builder().parse_lossy(settings.filter.directives());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(is_coloured)
        .with_writer(writer);
    // An error means that the program has a subscriber of its own.
    let _ = match settings.format {
        LogFormat::Text => subscriber.finish().try_init(),
        LogFormat::Json => subscriber
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(true)
            .finish()
            .try_init(),
    };
    Ok(())
}

/// Sends panics through the log where the default hook would break its lines.
pub(crate) fn log_panics(settings: &LogSettings) {
    if settings.format == LogFormat::Text && settings.file.is_none() {
        return;
    }
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("a value that is no text");
        tracing::error!(target: "hereafter::panic", location, message, "panicked");
    }));
}

fn open(path: &Path) -> Result<File, CannotLog> {
    let refuse = |source| CannotLog { path: path.to_owned(), source };
    OpenOptions::new().create(true).append(true).open(path).map_err(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_read_in_any_case_and_by_its_other_name() {
        assert_eq!("WARNING".parse::<LogFilter>().unwrap(), LogFilter::warn());
        assert_eq!("Info".parse::<LogFilter>().unwrap(), LogFilter::info());
        assert_eq!("off".parse::<LogFilter>().unwrap().0, "off");
    }

    #[test]
    fn a_filter_is_taken_as_it_is() {
        let text = "info,my_app::mail=debug";
        assert_eq!(text.parse::<LogFilter>().unwrap().0, text);
    }

    #[test]
    fn a_misspelt_level_is_no_module_name() {
        for text in ["inof", "", "my_app", "a=b=c", "a=loud"] {
            let error = text.parse::<LogFilter>().unwrap_err().to_string();
            assert!(error.contains("use off, error, warn"), "{error}");
        }
    }
}
