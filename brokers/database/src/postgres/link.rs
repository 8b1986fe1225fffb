//! [`PostgresLink`]: how connections to a server are opened.

use std::sync::Arc;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use taskcore::broker::{ConnectError, Migration};

use super::listen;
use super::options::{PostgresOptions, Wakeups};
use super::statements::SCHEMA;
use crate::database::{
    Dialect, Driver, Held, IfMissing, Kind, Link, Role, Source, Store, StoreClock, Target, Telling,
    Watch, lock_number,
};

/// Where a store is.
#[derive(Debug)]
pub(crate) struct PostgresLink {
    connect: PgConnectOptions,
    schema: String,
    /// Tells our own notifications from those of others.
    sender: String,
    if_missing: IfMissing,
    is_pooled: bool,
}

impl PostgresLink {
    pub(crate) async fn open(&self, _role: Role) -> Result<Driver<'static>, sqlx::Error> {
        let connected = tokio::time::timeout(CONNECT_TIME, self.connect.connect()).await;
        let connected = connected
            .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))?;
        Ok(Driver::Postgres(Held::Owned(Box::new(connected))))
    }

    /// The channel on which commits are told.
    pub(super) fn channel(&self) -> String {
        format!("hereafter:{}", self.schema)
    }

    /// What tells others of commits.
    pub(crate) fn telling(&self) -> Option<Telling> {
        // Behind a pooler it tells those that are not.
        // A transaction that notifies waits for the disk like any other, if it is not told not to.
        let notify = |kind| {
            let (channel, sender) = (self.channel(), &self.sender);
            format!(
                "BEGIN; SET LOCAL synchronous_commit = off; NOTIFY \"{channel}\", '{kind}:{sender}'; \
                 COMMIT"
            )
        };
        Some(Telling::of(notify(listen::NEWS).into(), notify(listen::FOR_READERS).into()))
    }
}

impl PostgresLink {
    /// Tells everybody, this program as well, of what is committed later.
    pub(crate) fn notify_inside(&self) -> Arc<str> {
        format!("NOTIFY \"{}\", '{}:'", self.channel(), listen::NEWS).into()
    }
}

/// Opens a store, creates it if it is missing, and brings its schema up to date.
pub(crate) async fn open(options: PostgresOptions) -> Result<Store, ConnectError> {
    let wakeups = options.wakeups;
    let link = Arc::new(link(options));
    let Target::Postgres(postgres) = &link.target else { unreachable!("it was just made so") };
    let mut first = link.open(Role::First).await.map_err(|error| link.connect_error(error))?;
    SCHEMA.migrate(&mut first, &link, postgres.if_missing).await?;
    // It has done what it was for, whatever becomes of it.
    let _ = first.close().await;
    let watch = match wakeups {
        Wakeups::Poll if postgres.is_pooled => {
            Watch::without_ear(Source::Polling("a pooler passes no notifications on".into()))
        }
        Wakeups::Poll => Watch::without_ear(Source::Polling("the URL says `listen=off`".into())),
        Wakeups::Listen => {
            listen::watch(&postgres.connect, postgres.channel(), postgres.sender.clone())
                .map_err(|error| link.connect_error(sqlx::Error::Io(error)))?
        }
    };
    Store::of(link.clone(), watch).await
}

/// The migrations that opening would run.
pub(crate) async fn pending(options: PostgresOptions) -> Result<Vec<Migration>, ConnectError> {
    let link = link(options);
    let failed = |error| link.connect_error(error);
    let mut sql = link.open(Role::First).await.map_err(failed)?;
    let pending = SCHEMA.pending(&mut sql, &link).await.map_err(failed)?;
    // It has done what it was for, whatever becomes of it.
    let _ = sql.close().await;
    Ok(pending)
}

/// What it takes to open connections.
fn link(options: PostgresOptions) -> Link {
    Link {
        label: options.label().into(),
        clock: StoreClock::of(options.clock.clone()),
        events: options.events,
        dialect: dialect(&options),
        target: Target::Postgres(Box::new(PostgresLink {
            connect: if options.is_pooled {
                // It refuses what it would have to set for a session.
                options.connect.extra_float_digits(None).statement_cache_capacity(0)
            } else {
                options.connect.options(SETTINGS).statement_cache_capacity(STATEMENTS)
            },
            is_pooled: options.is_pooled,
            schema: options.schema,
            sender: format!("{:016x}", rand::random::<u64>()),
            if_missing: options.if_missing,
        })),
    }
}

fn dialect(options: &PostgresOptions) -> Arc<Dialect> {
    let (prefix, lock) = (format!("\"{}\".", options.schema), lock_number(&[&options.schema]));
    if !options.is_pooled {
        return Dialect::new(Kind::Postgres, prefix, lock);
    }
    let set = |(name, value)| format!("SET LOCAL {name} = '{value}'; ");
    Dialect::pooled(Kind::Postgres, prefix, lock, SETTINGS.map(set).concat())
}

/// Of our own sessions. Every statement says in which order it reads its tables and by which keys;
/// a planner that may choose does so by statistics, which are wrong for a queue that was just
/// filled or just emptied: see the module `dialect`.
const SETTINGS: [(&str, &str); 10] = [
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("join_collapse_limit", "1"),
    // Planning each execution anew would cost more than most of them.
    ("plan_cache_mode", "force_generic_plan"),
    ("jit", "off"),
    // Half of the time after which this program gives the connection up.
    ("statement_timeout", "30s"),
    ("lock_timeout", "10s"),
    // A process that stands still in the middle of a transaction holds everybody up. This is half of
    // the time for which they wait: they get on before they give up.
    ("idle_in_transaction_session_timeout", "5s"),
];

/// All that there are, with room.
const STATEMENTS: usize = 300;

const CONNECT_TIME: Duration = Duration::from_secs(15);
