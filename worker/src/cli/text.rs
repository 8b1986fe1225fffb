//! Values that flags, variables and the configuration file write in the same way.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// A span such as `90s`, `10m` or `1h 30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        let refuse = |source| InvalidSpan { text: text.to_owned(), source };
        humantime::parse_duration(text).map(Self).map_err(refuse)
    }
}

/// A text that is no span.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is no span of time ({source}): write for example `90s`, `10m` or `1h 30m`")]
pub(crate) struct InvalidSpan {
    text: String,
    // Part of the message, because the parsers of flags and files show no chain.
    source: humantime::DurationError,
}

/// Reads any value from its text form; for the configuration file.
pub(crate) fn from_text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

/// Reads a list of values from their text forms; for the configuration file.
pub(crate) fn from_texts<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}
