//! Fuzz targets: URLs. `tests/fuzz` runs them for long.

use std::fmt::Debug;
use std::time::Duration;

use bolero::{TypeGenerator, check};
use taskbroker_amqp::AmqpOptions;
use taskbroker_database::mysql::MysqlOptions;
use taskbroker_database::postgres::PostgresOptions;
use taskbroker_database::sqlite::SqliteOptions;
use taskcore::broker::{ConnectError, shown_url};

use crate::{scheme_of, unknown, with_results};

/// How long a target runs as a test, after its corpus.
const AS_TEST: Duration = Duration::from_secs(2);

/// A word that is nowhere else in an error.
const PASSWORD: &str = "tr0ub4dor";

/// A URL with a password: `scheme://before:password after@rest`.
#[derive(Debug, TypeGenerator)]
struct WithPassword {
    scheme: Scheme,
    user: String,
    after: String,
    host: String,
    query: Vec<(UrlOption, String)>,
}

#[derive(Debug, TypeGenerator)]
enum Scheme {
    Postgres,
    Mysql,
    Amqp,
    Amqps,
    Other(String),
}

#[derive(Debug, TypeGenerator)]
enum UrlOption {
    Schema,
    Prefix,
    Hosts,
    Results,
    SslMode,
    Heartbeat,
    Events,
    Password,
    Other(String),
}

impl WithPassword {
    fn text(&self) -> String {
        let scheme = match &self.scheme {
            Scheme::Postgres => "postgres",
            Scheme::Mysql => "mysql",
            Scheme::Amqp => "amqp",
            Scheme::Amqps => "amqps",
            Scheme::Other(other) => other,
        };
        // These end the part of a URL that has the password; written there, they are percent-encoded.
        let user_info = |text: &str| text.replace(['/', '?', '#', '\\', '@'], "");
        let (user, after) = (user_info(&self.user), user_info(&self.after));
        let mut url = format!("{scheme}://{user}:{PASSWORD}{after}@{}", self.host);
        for (index, (option, value)) in self.query.iter().enumerate() {
            let mark = if index == 0 { '?' } else { '&' };
            let name = match option {
                UrlOption::Schema => "schema",
                UrlOption::Prefix => "prefix",
                UrlOption::Hosts => "hosts",
                UrlOption::Results => "results",
                UrlOption::SslMode => "ssl-mode",
                UrlOption::Heartbeat => "heartbeat",
                UrlOption::Events => "events",
                UrlOption::Password => {
                    url.extend([mark.to_string().as_str(), "password=", PASSWORD]);
                    continue;
                }
                UrlOption::Other(other) => other,
            };
            url.extend([mark.to_string().as_str(), name, "=", value]);
        }
        url
    }
}

/// Whatever is wrong with a URL, no text about it has its password.
#[test]
fn passwords() {
    check!(name = "passwords").with_type::<WithPassword>().with_test_time(AS_TEST).for_each(
        |url| {
            let url = url.text();
            hides_password(&url, AmqpOptions::parse(&url));
            hides_password(&url, PostgresOptions::parse(&url));
            hides_password(&url, MysqlOptions::parse(&url));
            hides_password(&url, with_results(&url, &url).map(|_| ()));
            hides_password(&url, with_results("amqp://host", &url).map(|_| ()));
            hides_password(&url, scheme_of(&url).map(unknown));
            assert!(!shown_url(&url).contains(PASSWORD), "{url:?}");
        },
    );
}

fn hides_password<T: Debug>(url: &str, parsed: Result<T, ConnectError>) {
    let shown = match parsed {
        Ok(options) => format!("{options:?}"),
        Err(error) => format!("{error:?} {}", taskcore::error_chain(&error)),
    };
    assert!(!shown.contains(PASSWORD), "{url:?} is shown as {shown}");
}

/// Any text is a URL, or is refused with a reason.
#[test]
fn urls() {
    check!(name = "urls").with_test_time(AS_TEST).for_each(|bytes: &[u8]| {
        let Ok(url) = std::str::from_utf8(bytes) else { return };
        has_reason(AmqpOptions::parse(url));
        has_reason(PostgresOptions::parse(url));
        has_reason(MysqlOptions::parse(url));
        has_reason(SqliteOptions::parse(url));
        has_reason(with_results(url, url));
        has_reason(with_results(url, "sqlite://tasks.db"));
    });
}

fn has_reason<T>(parsed: Result<T, ConnectError>) {
    match parsed {
        Ok(_) => {}
        Err(ConnectError::InvalidUrl { reason, .. }) => assert!(!reason.is_empty()),
        Err(ConnectError::UnknownScheme { remedy, .. }) => assert!(!remedy.is_empty()),
        Err(error) => panic!("opening was not tried: {error}"),
    }
}
