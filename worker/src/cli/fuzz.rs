//! Fuzz targets: what people write into files, variables and flags. `tests/fuzz` runs them for long.

use std::path::Path;
use std::time::Duration;

use bolero::check;

use super::settings;
use super::text::Span;
use super::times::Moment;
use crate::config::QueueConfig;

/// How long a target runs as a test, after its corpus.
const AS_TEST: Duration = Duration::from_secs(2);

/// A configuration file is read, or refused with the line that is wrong.
#[test]
fn settings() {
    check!(name = "settings").with_test_time(AS_TEST).for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if let Err(error) = settings::parse(Path::new("hereafter.toml"), text) {
            assert!(error.to_string().contains("hereafter.toml"), "{error}");
        }
    });
}

/// Spans, moments and queues are read, or refused by their text.
#[test]
fn flags() {
    check!(name = "flags").with_test_time(AS_TEST).for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let refused = [
            text.parse::<Span>().err().map(|error| error.to_string()),
            text.parse::<Moment>().err().map(|error| error.to_string()),
            text.parse::<QueueConfig>().err().map(|error| error.to_string()),
        ];
        for error in refused.into_iter().flatten() {
            assert!(error.contains(text), "{error}");
        }
        if let Ok(queue) = text.parse::<QueueConfig>() {
            assert_eq!(queue.to_string().parse::<QueueConfig>(), Ok(queue));
        }
    });
}
