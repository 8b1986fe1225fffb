//! [`PostgresLink`]: how connections to a server are opened.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::Postgres;
use sqlx::postgres::{PgConnectOptions, PgPool};
use taskcore::broker::{ConnectError, Migration};

use super::listen;
use super::options::{PostgresOptions, Wakeups};
use super::statements::SCHEMA;
use crate::database::{
    Dialect, Driver, Held, IfMissing, Kind, Lender, Link, Notice, Role, Source, Store, StoreClock,
    Target, Telling, Watch, lock_number,
};

/// Where a store is.
pub(crate) struct PostgresLink {
    connect: PgConnectOptions,
    /// Lends all connections but those that must not wait for others.
    lender: Option<Lender<Postgres>>,
    schema: String,
    /// Tells our own notifications from those of others.
    sender: String,
    if_missing: IfMissing,
    is_pooled: bool,
}

impl fmt::Debug for PostgresLink {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresLink").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl PostgresLink {
    pub(crate) async fn open(&self, _role: Role) -> Result<Driver<'static>, sqlx::Error> {
        if let Some(lender) = &self.lender {
            return Ok(Driver::Postgres(Held::Borrowed(lender.borrow().await?)));
        }
        let connected = tokio::time::timeout(CONNECT_TIME, self.connect.connect()).await;
        let connected = connected
            .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))?;
        Ok(Driver::Postgres(Held::Owned(Box::new(connected))))
    }

    /// Whether connections are taken from a pool.
    pub(crate) fn borrows(&self) -> bool {
        self.lender.is_some()
    }

    /// The same store without the pool, if it has one; and how statements are written there.
    pub(crate) fn apart(&self) -> Option<(Self, Arc<Dialect>)> {
        self.lender.as_ref()?;
        let apart = Self {
            connect: self.connect.clone(),
            lender: None,
            schema: self.schema.clone(),
            sender: self.sender.clone(),
            if_missing: self.if_missing,
            is_pooled: self.is_pooled,
        };
        let sessions = if self.is_pooled { Sessions::Shared } else { Sessions::Own };
        let dialect = dialect(&self.schema, sessions);
        Some((apart, dialect))
    }

    /// The channel on which commits are told.
    pub(super) fn channel(&self) -> String {
        format!("hereafter:{}", self.schema)
    }

    /// What tells others of commits.
    pub(crate) fn telling(&self) -> Option<Telling> {
        // Behind a pooler it tells those that are not.
        // A transaction that notifies waits for the disk like any other, if it is not told not to.
        let notify = |kind: &str| {
            let (channel, sender) = (self.channel(), &self.sender);
            let text = format!(
                "BEGIN; SET LOCAL synchronous_commit = off; NOTIFY \"{channel}\", '{kind}:{sender}'; \
                 COMMIT"
            );
            text.into()
        };
        let notice = Notice {
            channel: self.channel().into(),
            text: format!("{}:{}", listen::KINDS.jobs, self.sender).into(),
        };
        Some(Telling::of(notify, listen::KINDS, notice))
    }
}

impl PostgresLink {
    /// Tells everybody, this program as well, of what is committed later.
    pub(crate) fn notify_inside(&self) -> Arc<str> {
        format!("NOTIFY \"{}\", '{}:'", self.channel(), listen::KINDS.news).into()
    }
}

/// Opens a store, creates it if it is missing, and brings its schema up to date.
pub(crate) async fn open(options: PostgresOptions) -> Result<Store, ConnectError> {
    let wakeups = options.wakeups;
    if let Some(pool) = &options.pool {
        check_pool(pool, &options)?;
    }
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
    if let Some(pool) = &options.pool {
        check_pool(pool, &options)?;
    }
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
    let sessions = match options.is_pooled || options.pool.is_some() {
        true => Sessions::Shared,
        false => Sessions::Own,
    };
    Link {
        label: options.label().into(),
        clock: StoreClock::of(options.clock.clone()),
        events: options.events,
        dialect: dialect(&options.schema, sessions),
        target: Target::Postgres(Box::new(PostgresLink {
            connect: if options.is_pooled {
                // It refuses what it would have to set for a session.
                options.connect.extra_float_digits(None).statement_cache_capacity(0)
            } else {
                options.connect.options(SETTINGS).statement_cache_capacity(STATEMENTS)
            },
            is_pooled: options.is_pooled,
            lender: options.pool.map(Lender::new),
            schema: options.schema,
            sender: format!("{:016x}", rand::random::<u64>()),
            if_missing: options.if_missing,
        })),
    }
}

/// A pool that cannot serve is told from one that is busy.
fn check_pool(pool: &PgPool, options: &PostgresOptions) -> Result<(), ConnectError> {
    let unusable = |reason: &str| {
        Err(ConnectError::Unusable { store: options.label(), reason: reason.to_owned() })
    };
    if pool.is_closed() {
        return unusable("its pool is closed: give one that is open");
    }
    if pool.options().get_max_connections() < MIN_CONNECTIONS {
        return unusable(
            "its pool has at most 1 connection, so a transaction that awaits a call would wait for \
             itself: give it `max_connections(2)` or more",
        );
    }
    Ok(())
}

/// Who has the sessions that statements run in.
#[derive(Debug, Clone, Copy)]
enum Sessions {
    /// They are ours, and keep what is set and prepared.
    Own,
    /// Others as well, between our transactions.
    Shared,
}

fn dialect(schema: &str, sessions: Sessions) -> Arc<Dialect> {
    let (prefix, lock) = (format!("\"{schema}\"."), lock_number(&[schema]));
    if let Sessions::Own = sessions {
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

/// Of a pool: one for a transaction of its owner, and one for us.
const MIN_CONNECTIONS: u32 = 2;

const CONNECT_TIME: Duration = Duration::from_secs(15);
