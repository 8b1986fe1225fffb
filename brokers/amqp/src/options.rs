//! [`AmqpOptions`]: a URL, parsed.

use std::time::Duration;

use lapin::uri::AMQPUri;
use taskcore::Clock;
use taskcore::broker::{ConnectError, check_password, shown_url};
use url::Url;

use crate::hosts::{self, Host};

/// Where the server is and how it is used.
///
/// As a URL: `amqp://user:password@host:port/vhost`, or `amqps://` for TLS with the certificates
/// that the system trusts. Without a path, and with `/`, it is the virtual host `/`; else the path
/// is its name, percent-encoded. Then options as a query:
///
/// | option | values | default |
/// | --- | --- | --- |
/// | `prefix` | how the names of our queues begin: letters, digits, `_` and `-`, at most 40 | `hereafter` |
/// | `consumer_timeout` | the server's own limit on how long it waits for an acknowledgement: `30m`, or `off` | `30m` |
/// | `heartbeat` | seconds after which a silent connection is given up, 1 to 600 | 10 |
/// | `hosts` | further nodes of the same cluster, tried in turn after the URL's own: `host:port,host:port` | none |
/// | `results` | the URL of the store that keeps jobs and results, percent-encoded | none |
#[derive(Clone)]
pub struct AmqpOptions {
    uri: AMQPUri,
    hosts: Vec<Host>,
    pub(crate) prefix: String,
    pub(crate) consumer_timeout: Option<Duration>,
    pub(crate) results: Option<String>,
    pub(crate) if_missing: IfMissing,
    pub(crate) clock: Clock,
}

/// What to do about queues that are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfMissing {
    Declare,
    /// For programs that only look: nothing is declared before a job is stored.
    Wait,
}

impl AmqpOptions {
    /// Parses a URL.
    ///
    /// # Errors
    ///
    /// [`ConnectError::InvalidUrl`] if it is no AMQP URL, or one of the options listed above has
    /// another value. The error does not show the password.
    pub fn parse(url: &str) -> Result<Self, ConnectError> {
        Self::try_parse(url)
            .map_err(|reason| ConnectError::InvalidUrl { url: shown_url(url), reason })
    }

    /// The URL `url`, with the store `results` as its option of that name.
    ///
    /// # Errors
    ///
    /// [`ConnectError::InvalidUrl`] if `url` is none or has that option already, or if `results` is
    /// no URL. The error shows no password, and nothing of `results`.
    pub fn url_with_results(url: &str, results: &str) -> Result<String, ConnectError> {
        try_with_results(url, results)
            .map_err(|reason| ConnectError::InvalidUrl { url: shown_url(url), reason })
    }

    /// The URL of the store that keeps jobs and results, if there is one.
    #[must_use]
    pub fn results(&self) -> Option<&str> {
        self.results.as_deref()
    }

    /// Where the names of our queues begin with this, so that several systems fit into one virtual
    /// host.
    ///
    /// # Errors
    ///
    /// [`ConnectError::InvalidUrl`] if it has other characters than letters, digits, `_` and `-`,
    /// or more than 40, or none.
    pub fn prefix(self, prefix: &str) -> Result<Self, ConnectError> {
        let url = self.shown();
        self.with("prefix", prefix).map_err(|reason| ConnectError::InvalidUrl { url, reason })
    }

    /// The server and the virtual host, without the password.
    pub(crate) fn shown(&self) -> String {
        let AMQPUri { scheme, authority, vhost, .. } = &self.uri;
        format!("{scheme}://{}:{}/{vhost}", authority.host, authority.port)
    }

    /// Where to connect, in the order in which it is tried.
    pub(crate) fn nodes(&self) -> Vec<AMQPUri> {
        hosts::in_turn(&self.uri, &self.hosts)
    }

    /// Whether it is known to be a cluster.
    pub(crate) fn names_several_nodes(&self) -> bool {
        !self.hosts.is_empty()
    }

    fn try_parse(url: &str) -> Result<Self, String> {
        check_password(url)?;
        let mut parsed = Url::parse(url).map_err(|error| format!("{error}: {WRONG}"))?;
        if !["amqp", "amqps"].contains(&parsed.scheme()) || parsed.cannot_be_a_base() {
            return Err(WRONG.to_owned());
        }
        if parsed.host_str().is_none_or(str::is_empty) {
            return Err(format!("it names no host: {WRONG}"));
        }
        let options: Vec<(String, String)> = parsed.query_pairs().into_owned().collect();
        parsed.set_query(None);
        parsed.set_fragment(None);
        if ["", "/"].contains(&parsed.path()) {
            parsed.set_path("/%2f");
        }
        let mut uri: AMQPUri =
            parsed.as_str().parse().map_err(|error| format!("{error}: {WRONG}"))?;
        uri.query.heartbeat = Some(HEARTBEAT);
        uri.query.connection_timeout = Some(CONNECT_TIMEOUT_MS);
        let plain = Self {
            uri,
            hosts: Vec::new(),
            prefix: PREFIX.to_owned(),
            consumer_timeout: Some(CONSUMER_TIMEOUT),
            results: None,
            if_missing: IfMissing::Declare,
            clock: Clock::system(),
        };
        options.iter().try_fold(plain, |all, (name, value)| all.with(name, value))
    }

    fn with(mut self, name: &str, value: &str) -> Result<Self, String> {
        match name {
            "prefix" if is_prefix(value) => value.clone_into(&mut self.prefix),
            "prefix" => {
                return Err(format!(
                    "`prefix` is 1 to 40 letters, digits, `_` or `-`, not `{value}`"
                ));
            }
            "consumer_timeout" => self.consumer_timeout = parse_limit(value)?,
            "heartbeat" => {
                let seconds = value.parse().ok().filter(|seconds| (1..=600).contains(seconds));
                let wrong = || format!("`heartbeat` is 1 to 600 seconds, not `{value}`");
                self.uri.query.heartbeat = Some(seconds.ok_or_else(wrong)?);
            }
            "hosts" => self.hosts = hosts::parse(value, &self.uri.scheme)?,
            "results" if value.contains(':') => self.results = Some(value.to_owned()),
            "results" => {
                return Err("`results` is the URL of a store, percent-encoded, such as \
                            `results=postgres%3A%2F%2Fhost%2Fdatabase`"
                    .to_owned());
            }
            _ => {
                return Err(format!(
                    "it has an option `{name}`, which is none of `prefix`, `consumer_timeout`, \
                     `heartbeat`, `hosts` and `results`"
                ));
            }
        }
        Ok(self)
    }

    /// Leases are counted by this clock, so that tests need not wait for their end. Due times are
    /// the server's, and no clock of ours moves them.
    #[must_use]
    pub fn lease_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Opened by a program that only looks.
    #[must_use]
    pub fn existing(self) -> Self {
        Self { if_missing: IfMissing::Wait, ..self }
    }
}

impl std::fmt::Debug for AmqpOptions {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AmqpOptions")
            .field("server", &self.shown())
            .field("hosts", &self.hosts)
            .field("prefix", &self.prefix)
            .field("consumer_timeout", &self.consumer_timeout)
            .finish_non_exhaustive()
    }
}

fn try_with_results(url: &str, results: &str) -> Result<String, String> {
    check_password(url)?;
    let mut parsed = Url::parse(url).map_err(|error| format!("{error}: {WRONG}"))?;
    if parsed.query_pairs().any(|(name, _)| name == "results") {
        return Err("it has an option `results`, and a store is named beside it, too \
                    (`--results`, HEREAFTER_RESULTS or the key `results`): remove one of the two"
            .to_owned());
    }
    if !results.contains(':') {
        return Err("what is to be its store (`--results`, HEREAFTER_RESULTS or the key \
                    `results`) is no URL: write one such as `postgres://host/database`"
            .to_owned());
    }
    parsed.query_pairs_mut().append_pair("results", results);
    Ok(parsed.into())
}

/// A span with a unit, such as `30m`.
fn parse_limit(value: &str) -> Result<Option<Duration>, String> {
    if value == "off" {
        return Ok(None);
    }
    let wrong = || {
        format!(
            "`consumer_timeout` is a span of at least 10 s, such as `30m`, or `off`, not `{value}`"
        )
    };
    let span: jiff::SignedDuration = value.parse().map_err(|_| wrong())?;
    let span = Duration::try_from(span).map_err(|_| wrong())?;
    if span < Duration::from_secs(10) { Err(wrong()) } else { Ok(Some(span)) }
}

fn is_prefix(text: &str) -> bool {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=40).contains(&text.len()) && text.bytes().all(is_safe)
}

/// What to do about a URL that is none.
const WRONG: &str = "write `amqp://user:password@host/vhost`";

const PREFIX: &str = "hereafter";

/// The server's default, since RabbitMQ 3.8.17.
const CONSUMER_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// In seconds. The server's own proposal is 60; jobs of a host that is gone come back after two.
const HEARTBEAT: u16 = 10;

const CONNECT_TIMEOUT_MS: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        AmqpOptions::parse(url).unwrap_err().to_string()
    }

    #[test]
    fn a_url_without_a_path_means_the_virtual_host_slash() {
        for url in ["amqp://host", "amqp://host/", "amqp://host/%2f"] {
            assert_eq!(AmqpOptions::parse(url).unwrap().uri.vhost, "/", "{url}");
        }
        assert_eq!(AmqpOptions::parse("amqp://host/jobs").unwrap().uri.vhost, "jobs");
    }

    #[test]
    fn options_have_defaults_and_are_read() {
        let plain = AmqpOptions::parse("amqp://host").unwrap();
        assert_eq!((plain.prefix.as_str(), plain.uri.query.heartbeat), ("hereafter", Some(10)));
        assert_eq!(plain.consumer_timeout, Some(Duration::from_secs(1_800)));
        let url = "amqps://host?prefix=a-b&consumer_timeout=60s&heartbeat=3&results=sqlite%3A%2F%2Fx.db%3Fa%3D1";
        let set = AmqpOptions::parse(url).unwrap();
        assert_eq!(set.uri.scheme, lapin::uri::AMQPScheme::AMQPS);
        assert_eq!((set.prefix.as_str(), set.uri.query.heartbeat), ("a-b", Some(3)));
        assert_eq!(set.consumer_timeout, Some(Duration::from_secs(60)));
        assert_eq!(set.results(), Some("sqlite://x.db?a=1"));
        let off = AmqpOptions::parse("amqp://host?consumer_timeout=off").unwrap();
        assert_eq!(off.consumer_timeout, None);
    }

    #[test]
    fn a_wrong_option_is_named_with_what_to_write() {
        assert!(refusal("amqp://h?prefix=a.b").contains("`prefix` is 1 to 40"));
        assert!(refusal("amqp://h?consumer_timeout=1s").contains("at least 10 s"));
        assert!(refusal("amqp://h?heartbeat=0").contains("1 to 600 seconds"));
        assert!(refusal("amqp://h?hosts=a:b").contains("`hosts` names further nodes"));
        assert!(refusal("amqp://h?pool=3").contains("an option `pool`"));
        assert!(refusal("amqp://h?results=x").contains("percent-encoded"));
        assert!(refusal("amqp://").contains("write `amqp://user:password@host/vhost`"));
    }

    #[test]
    fn a_store_that_is_named_beside_the_url_becomes_its_option() {
        let store = "postgres://me:a%20b@host/jobs?schema=x&events=0";
        for url in ["amqp://host", "amqps://me:secret@host/vhost?prefix=a-b"] {
            let both = AmqpOptions::url_with_results(url, store).unwrap();
            assert!(both.starts_with(url), "{both}");
            assert_eq!(AmqpOptions::parse(&both).unwrap().results(), Some(store));
        }
    }

    #[test]
    fn two_stores_are_refused_without_a_word_of_their_passwords() {
        let url = "amqp://me:secret@host?results=postgres%3A%2F%2Fa%3Asecret%40b";
        let refused = AmqpOptions::url_with_results(url, "postgres://a:secret@c").unwrap_err();
        let refused = refused.to_string();
        assert!(refused.contains("remove one of the two"), "{refused}");
        assert!(!refused.contains("secret"), "{refused}");
    }

    #[test]
    fn a_store_that_is_no_url_is_refused_with_what_to_write() {
        let refused = AmqpOptions::url_with_results("amqp://host", "jobs").unwrap_err();
        assert!(refused.to_string().contains("`postgres://host/database`"), "{refused}");
    }

    #[test]
    fn no_password_is_shown() {
        let url = "amqp://me:secret@host/x?results=postgres%3A%2F%2Fa%3Asecret%40b";
        let options = AmqpOptions::parse(url).unwrap();
        assert!(!format!("{options:?} {}", options.shown()).contains("secret"));
        assert!(!refusal(&format!("{url}&a=b")).contains("secret"));
    }
}
