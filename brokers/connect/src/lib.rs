//! Opens a broker by its URL. The only crate that names all brokers.
//!
//! Each broker is a feature, which adds a scheme to [`connect`] and changes nothing else.

#[cfg(all(test, feature = "sqlite", feature = "postgres", feature = "mysql", feature = "amqp"))]
mod fuzz;

use taskcore::broker::{ConnectError, Connection, Migration, Opener, shown_url};

/// Opens the broker that a URL names.
///
/// | URL | feature | broker |
/// | --- | --- | --- |
/// | `memory://`, `memory://name` | `memory` | jobs in this process |
/// | `sqlite://path`, `sqlite:///path`, `sqlite::memory:` | `sqlite` | jobs in a file |
/// | `postgres://user:password@host/database` | `postgres` | jobs on a PostgreSQL server |
/// | `mysql://user:password@host/database` | `mysql` | jobs on a MariaDB server |
/// | `amqp://user:password@host/vhost` | `amqp` | jobs on a RabbitMQ server |
/// | `amqp://user:password@host/vhost?results=URL` | `amqp`, and that of `URL` | jobs in a database, carried by RabbitMQ; `URL` is percent-encoded |
///
/// # Errors
///
/// - [`ConnectError::UnknownScheme`] if no broker of this build knows the scheme; it lists
///   those that there are, and the feature to add.
/// - [`ConnectError::InvalidUrl`] if the rest of the URL is not understood.
/// - What the broker says if it cannot be opened. No error shows a password.
///
/// ```
/// # #[cfg(feature = "memory")]
/// # async fn example() -> Result<(), taskcore::broker::ConnectError> {
/// let connection = taskbroker_connect::connect("memory://").await?;
/// assert_eq!(connection.broker.name(), "memory");
/// # Ok(())
/// # }
/// ```
pub async fn connect(url: &str) -> Result<Connection, ConnectError> {
    open(url, IfMissing::Create).await
}

/// As [`connect`], but a store that is not there is an error and is not created: for programs
/// that look at a store or operate it, whose user may have mistyped its name.
///
/// # Errors
///
/// As for [`connect`], and [`ConnectError::Unusable`] if there is no such store.
pub async fn connect_existing(url: &str) -> Result<Connection, ConnectError> {
    open(url, IfMissing::Refuse).await
}

/// The URL `url` of a broker that keeps no results itself, with the store at the URL `results`: as if
/// it had the option `results`. For configurations that name the two apart.
///
/// # Errors
///
/// As for [`connect`] where `url` has no scheme or one that this build does not know, and
/// [`ConnectError::InvalidUrl`] if its broker keeps results itself, if it names a store already, or
/// if `results` is no URL. No error shows a password.
///
/// ```
/// # #[cfg(feature = "amqp")]
/// # fn example() -> Result<(), taskcore::broker::ConnectError> {
/// let url = taskbroker_connect::with_results("amqp://host", "sqlite://tasks.db")?;
/// assert_eq!(url, "amqp://host?results=sqlite%3A%2F%2Ftasks.db");
/// # Ok(())
/// # }
/// # #[cfg(feature = "amqp")]
/// # example().unwrap();
/// ```
#[cfg_attr(
    not(feature = "amqp"),
    expect(unused_variables, reason = "every other broker keeps its results itself")
)]
pub fn with_results(url: &str, results: &str) -> Result<String, ConnectError> {
    let scheme = scheme_of(url)?;
    match scheme.as_str() {
        #[cfg(feature = "amqp")]
        "amqp" | "amqps" => taskbroker_amqp::AmqpOptions::url_with_results(url, results),
        "memory" | "sqlite" | "postgres" | "postgresql" | "mysql" | "mariadb" => {
            let reason = "it keeps results itself, and a store for them is named beside it: remove \
                          that (`--results`, HEREAFTER_RESULTS or the key `results`), or use it with \
                          an `amqp://` URL";
            Err(ConnectError::InvalidUrl { url: shown_url(url), reason: reason.to_owned() })
        }
        _ => Err(unknown(scheme)),
    }
}

/// The migrations that [`connect`] would run on this store, in order; none is run. A store that has
/// no tables needs none.
///
/// # Errors
///
/// As for [`connect`].
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres", feature = "mysql", feature = "amqp")),
    expect(clippy::unused_async, reason = "only databases are asked")
)]
pub async fn pending(url: &str) -> Result<Vec<Migration>, ConnectError> {
    let scheme = scheme_of(url)?;
    match scheme.as_str() {
        #[cfg(feature = "memory")]
        "memory" => Ok(Vec::new()),
        #[cfg(feature = "sqlite")]
        "sqlite" => {
            use taskbroker_database::sqlite::{SqliteBroker, SqliteOptions};
            SqliteBroker::pending(SqliteOptions::parse(url)?).await
        }
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => {
            use taskbroker_database::postgres::{PostgresBroker, PostgresOptions};
            PostgresBroker::pending(PostgresOptions::parse(url)?).await
        }
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => {
            use taskbroker_database::mysql::{MysqlBroker, MysqlOptions};
            MysqlBroker::pending(MysqlOptions::parse(url)?).await
        }
        #[cfg(feature = "amqp")]
        "amqp" | "amqps" => match taskbroker_amqp::AmqpOptions::parse(url)?.results() {
            Some(store) => Box::pin(pending(store)).await,
            None => Ok(Vec::new()),
        },
        _ => Err(unknown(scheme)),
    }
}

/// What to do where there is no store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IfMissing {
    Create,
    Refuse,
}

#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres", feature = "mysql", feature = "amqp")),
    expect(unused_variables, reason = "only what is kept can be missing")
)]
async fn open(url: &str, if_missing: IfMissing) -> Result<Connection, ConnectError> {
    let scheme = scheme_of(url)?;
    match scheme.as_str() {
        #[cfg(feature = "memory")]
        "memory" => taskbroker_memory::connect(url),
        #[cfg(feature = "sqlite")]
        "sqlite" => {
            use taskbroker_database::sqlite::{SqliteBroker, SqliteOptions};
            let options = SqliteOptions::parse(url)?;
            let options = match if_missing {
                IfMissing::Create => options,
                IfMissing::Refuse => options.existing(),
            };
            let broker = SqliteBroker::open(options).await?;
            Ok(broker.connection())
        }
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => {
            use taskbroker_database::postgres::{PostgresBroker, PostgresOptions};
            let options = PostgresOptions::parse(url)?;
            let options = match if_missing {
                IfMissing::Create => options,
                IfMissing::Refuse => options.existing(),
            };
            let broker = PostgresBroker::open(options).await?;
            Ok(broker.connection())
        }
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => {
            use taskbroker_database::mysql::{MysqlBroker, MysqlOptions};
            let options = MysqlOptions::parse(url)?;
            let options = match if_missing {
                IfMissing::Create => options,
                IfMissing::Refuse => options.existing(),
            };
            let broker = MysqlBroker::open(options).await?;
            Ok(broker.connection())
        }
        #[cfg(feature = "amqp")]
        "amqp" | "amqps" => {
            use taskbroker_amqp::{AmqpBroker, AmqpOptions, Composed};
            let options = AmqpOptions::parse(url)?;
            let options = match if_missing {
                IfMissing::Create => options,
                IfMissing::Refuse => options.existing(),
            };
            match options.results().map(str::to_owned) {
                None => Ok(AmqpBroker::open(options).await?.connection()),
                Some(store) => {
                    let store = Box::pin(open(&store, if_missing)).await?;
                    Composed::open(options, store).await
                }
            }
        }
        _ => Err(unknown(scheme)),
    }
}

inventory::submit! {
    // So that a `.delay()` without a client can open HEREAFTER_URL, with HEREAFTER_RESULTS.
    Opener { open: |url| Box::pin(async move { connect(&url).await }), with_results }
}

/// The schemes of this build.
const COMPILED_IN: &[&str] = &[
    #[cfg(feature = "memory")]
    "memory",
    #[cfg(feature = "sqlite")]
    "sqlite",
    #[cfg(feature = "postgres")]
    "postgres",
    #[cfg(feature = "mysql")]
    "mysql",
    #[cfg(feature = "amqp")]
    "amqp",
];

/// A scheme that some build of Hereafter knows, and the feature of the crate `hereafter` that
/// adds it.
struct Known {
    scheme: &'static str,
    feature: &'static str,
}

const KNOWN: &[Known] = &[
    Known { scheme: "memory", feature: "memory" },
    Known { scheme: "sqlite", feature: "sqlite" },
    Known { scheme: "postgres", feature: "postgres" },
    Known { scheme: "mysql", feature: "mysql" },
    Known { scheme: "amqp", feature: "amqp" },
    Known { scheme: "amqps", feature: "amqp" },
];

/// Schemes of other systems, and people's other names for ours.
const ALIASES: &[(&str, &str)] = &[
    ("file", "sqlite"),
    ("sqlite3", "sqlite"),
    ("mem", "memory"),
    ("inmemory", "memory"),
    ("postgresql", "postgres"),
    ("pg", "postgres"),
    ("psql", "postgres"),
    ("mariadb", "mysql"),
    ("rabbitmq", "amqp"),
];

/// Schemes of brokers that are planned; none of this version.
const PLANNED: &[&str] = &["redis", "rediss"];

fn scheme_of(url: &str) -> Result<String, ConnectError> {
    let (scheme, _) = url.split_once(':').unwrap_or_default();
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if is_scheme {
        return Ok(scheme.to_owned());
    }
    let reason = format!("it does not start with a scheme: {}", examples());
    Err(ConnectError::InvalidUrl { url: shown_url(url), reason })
}

fn examples() -> String {
    let urls: Vec<String> = COMPILED_IN
        .iter()
        .map(|scheme| match *scheme {
            "sqlite" => "`sqlite://tasks.db`".to_owned(),
            "amqp" => "`amqp://user:password@host/vhost`".to_owned(),
            "postgres" | "mysql" => format!("`{scheme}://user:password@host/database`"),
            scheme => format!("`{scheme}://`"),
        })
        .collect();
    if urls.is_empty() { no_broker().to_owned() } else { format!("write {}", urls.join(" or ")) }
}

fn unknown(scheme: String) -> ConnectError {
    let lower = scheme.to_ascii_lowercase();
    let meant = ALIASES.iter().find(|(alias, _)| *alias == lower).map(|(_, scheme)| *scheme);
    let known = KNOWN.iter().find(|known| known.scheme == meant.unwrap_or(&lower));
    let remedy = match known {
        Some(known) if COMPILED_IN.contains(&known.scheme) => {
            format!("write `{}:` instead", known.scheme)
        }
        Some(known) => format!("add the feature `{}` of the crate `hereafter`", known.feature),
        None if COMPILED_IN.is_empty() => no_broker().to_owned(),
        None if PLANNED.contains(&lower.as_str()) => {
            "this version has no broker for it yet, so use one of these".to_owned()
        }
        None => "use one of these".to_owned(),
    };
    let compiled_in = match COMPILED_IN {
        [] => "none".to_owned(),
        schemes => schemes.join(", "),
    };
    ConnectError::UnknownScheme { scheme, compiled_in, remedy }
}

fn no_broker() -> &'static str {
    "add a feature of the crate `hereafter`, such as `sqlite`"
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refusal(url: &str) -> String {
        connect(url).await.unwrap_err().to_string()
    }

    #[cfg(feature = "memory")]
    #[tokio::test]
    async fn a_memory_url_opens_a_store_in_this_process() {
        let connection = connect("memory://").await.unwrap();
        assert_eq!(connection.broker.name(), "memory");
        assert!(connection.results.is_some() && connection.operate.is_some());
    }

    #[cfg(feature = "sqlite")]
    #[tokio::test]
    async fn a_sqlite_url_opens_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasks.db");
        let connection = connect(&format!("sqlite://{}", path.display())).await.unwrap();
        assert_eq!(connection.broker.name(), "sqlite");
        assert!(path.exists());
        connection.broker.close().await.unwrap();
    }

    #[cfg(all(
        feature = "memory",
        feature = "sqlite",
        feature = "postgres",
        feature = "mysql",
        feature = "amqp"
    ))]
    #[tokio::test]
    async fn an_unknown_scheme_lists_those_compiled_in() {
        let error = refusal("gopher://host").await;
        assert_eq!(
            error,
            "no broker knows the URL scheme `gopher`; compiled in: memory, sqlite, postgres, \
             mysql, amqp; use one of these"
        );
    }

    #[cfg(feature = "postgres")]
    #[tokio::test]
    async fn a_server_that_is_not_there_is_told_without_the_password() {
        let error = connect("postgres://user:secret@127.0.0.1:1/tasks").await.unwrap_err();
        let error = taskcore::error_chain(&error);
        assert!(error.contains("127.0.0.1:1/tasks") && !error.contains("secret"), "{error}");
    }

    #[cfg(all(feature = "memory", feature = "sqlite"))]
    #[tokio::test]
    async fn another_name_of_a_scheme_is_told_what_to_write() {
        assert!(refusal("sqlite3://tasks.db").await.ends_with("write `sqlite:` instead"));
        assert!(refusal("SQLite://tasks.db").await.ends_with("write `sqlite:` instead"));
    }

    #[cfg(feature = "sqlite")]
    #[tokio::test]
    async fn a_planned_scheme_is_told_from_a_mistyped_one() {
        let error = refusal("redis://user:secret@host/tasks").await;
        assert!(error.contains("this version has no broker for it yet"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }

    #[cfg(not(feature = "sqlite"))]
    #[tokio::test]
    async fn a_scheme_that_is_not_compiled_in_names_the_feature_to_add() {
        let error = refusal("sqlite://tasks.db").await;
        assert!(error.ends_with("add the feature `sqlite` of the crate `hereafter`"), "{error}");
    }

    #[tokio::test]
    async fn text_without_a_scheme_is_refused_with_what_to_write() {
        let error = refusal("tasks.db").await;
        assert!(error.contains("`tasks.db`") && error.contains("does not start with a scheme"));
    }

    #[test]
    fn a_broker_that_keeps_results_takes_no_store_for_them() {
        let refused = with_results("postgres://me:secret@host/jobs", "sqlite://x").unwrap_err();
        let refused = refused.to_string();
        for part in ["keeps results itself", "HEREAFTER_RESULTS", "`amqp://`"] {
            assert!(refused.contains(part), "{refused}");
        }
        assert!(!refused.contains("secret"), "{refused}");
    }

    #[cfg(not(feature = "amqp"))]
    #[test]
    fn a_store_for_a_broker_that_is_not_compiled_in_names_the_feature_to_add() {
        let refused = with_results("amqp://host", "sqlite://tasks.db").unwrap_err().to_string();
        assert!(refused.ends_with("add the feature `amqp` of the crate `hereafter`"), "{refused}");
    }

    #[test]
    fn a_delay_without_a_client_finds_the_opener() {
        assert_eq!(inventory::iter::<Opener>.into_iter().count(), 1);
    }
}
