//! What the shop stores, in SQLite or in PostgreSQL, beside the jobs of its store.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hereafter::JobId;
use hereafter::prelude::*;
use serde::Serialize;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{PgPool, SqlitePool};

/// The shop's database, which is that of its jobs too.
#[derive(Debug, Clone)]
pub(crate) enum Shop {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// The same lines for either database.
macro_rules! on_either {
    ($shop:expr, $pool:ident => $lines:expr) => {
        match $shop {
            Shop::Sqlite($pool) => $lines,
            Shop::Postgres($pool) => $lines,
        }
    };
}

/// How an order and its job are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storing {
    /// In one transaction.
    Together,
    /// In one after the other: the mistake that this example is about.
    Apart,
}

/// An order that is stored.
#[derive(Debug, Serialize)]
pub(crate) struct Order {
    pub(crate) id: i64,
    /// The job for its mail.
    pub(crate) job: JobId,
}

/// What there is in all.
#[derive(Debug, Serialize)]
pub(crate) struct Counts {
    pub(crate) orders: i64,
    pub(crate) mails: i64,
}

/// A row of `orders`: id, customer, job.
pub(crate) type OrderRow = (i64, String, Option<String>);

/// Sends the confirmation of an order, by writing it into a table.
#[register_task(retries = 20, backoff = "exponential(100ms, max = 5s)")]
pub(crate) async fn confirm(
    cx: Context,
    State(shop): State<Shop>,
    order: i64,
) -> anyhow::Result<()> {
    on_either!(&shop, pool => {
        let mut transaction = pool.begin_with(shop.begin()).await?;
        let written = sqlx::query(MAIL).bind(order).execute(&mut *transaction).await?;
        ensure!(written.rows_affected() == 1, "there is no order {order}");
        // The mail and the end of this job are one commit: no crash leaves one without the other.
        cx.complete_in(&mut transaction, &()).await?;
        transaction.commit().await?;
    });
    Ok(())
}

impl Shop {
    /// Opens the tables, and makes them if they are missing.
    pub(crate) async fn open(url: &str) -> anyhow::Result<Self> {
        let shop = Self::connect(url).await.with_context(|| "cannot open the shop's database")?;
        let made = match &shop {
            Self::Sqlite(pool) => sqlx::raw_sql(SQLITE_TABLES).execute(pool).await.map(drop),
            Self::Postgres(pool) => sqlx::raw_sql(POSTGRES_TABLES).execute(pool).await.map(drop),
        };
        made.context("cannot make the shop's tables")?;
        Ok(shop)
    }

    async fn connect(url: &str) -> Result<Self, sqlx::Error> {
        if !url.starts_with("sqlite:") {
            return Ok(Self::Postgres(PgPool::connect(url).await?));
        }
        // The options after `?` are for the store of jobs.
        let file = url.split('?').next().unwrap_or(url);
        let options = SqliteConnectOptions::from_str(file)?.busy_timeout(Duration::from_secs(30));
        // One writes at a time anyway: so they wait in this pool, in order, not for the file's lock.
        let pool = SqlitePoolOptions::new().max_connections(1);
        Ok(Self::Sqlite(pool.connect_with(options).await?))
    }

    /// Stores an order, and the job for its mail.
    pub(crate) async fn order(&self, customer: &str, storing: Storing) -> anyhow::Result<Order> {
        on_either!(self, pool => {
            let mut transaction = pool.begin_with(self.begin()).await?;
            let id = sqlx::query_scalar(ORDER).bind(customer).fetch_one(&mut *transaction).await?;
            let job = match storing {
                Storing::Together => confirm(id).delay_in(&mut transaction).await?.id(),
                Storing::Apart => {
                    transaction.commit().await?;
                    let job = confirm(id).delay().await?.id();
                    transaction = pool.begin_with(self.begin()).await?;
                    job
                }
            };
            sqlx::query(NOTE_JOB).bind(job.to_string()).bind(id).execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(Order { id, job })
        })
    }

    /// How many orders and mails there are.
    pub(crate) async fn counts(&self) -> Result<Counts, sqlx::Error> {
        let (orders, mails) =
            on_either!(self, pool => sqlx::query_as(COUNTS).fetch_one(pool).await?);
        Ok(Counts { orders, mails })
    }

    /// All orders.
    pub(crate) async fn orders(&self) -> Result<Vec<OrderRow>, sqlx::Error> {
        on_either!(self, pool => sqlx::query_as(ORDERS).fetch_all(pool).await)
    }

    /// The order of each mail.
    pub(crate) async fn mails(&self) -> Result<Vec<i64>, sqlx::Error> {
        on_either!(self, pool => sqlx::query_scalar(MAILS).fetch_all(pool).await)
    }

    /// How a transaction that writes begins. On SQLite it takes the lock at once: one that reads
    /// before it writes could otherwise find that it may not write any more.
    fn begin(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "BEGIN IMMEDIATE",
            Self::Postgres(_) => "BEGIN",
        }
    }
}

/// No index keeps a second mail of an order away: that is to be shown.
const SQLITE_TABLES: &str = "
    CREATE TABLE IF NOT EXISTS orders
        (id INTEGER PRIMARY KEY AUTOINCREMENT, customer TEXT NOT NULL, job TEXT);
    CREATE TABLE IF NOT EXISTS mail (order_id INTEGER NOT NULL, recipient TEXT NOT NULL)";

/// As above. Locked, because of two that make a table at the same time one would fail.
const POSTGRES_TABLES: &str = "
    BEGIN;
    SELECT pg_advisory_xact_lock(20380119);
    CREATE TABLE IF NOT EXISTS orders
        (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer text NOT NULL, job text);
    CREATE TABLE IF NOT EXISTS mail (order_id bigint NOT NULL, recipient text NOT NULL);
    COMMIT";

const ORDER: &str = "INSERT INTO orders (customer) VALUES ($1) RETURNING id";

const NOTE_JOB: &str = "UPDATE orders SET job = $1 WHERE id = $2";

const MAIL: &str =
    "INSERT INTO mail (order_id, recipient) SELECT id, customer FROM orders WHERE id = $1";

const COUNTS: &str = "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM mail)";

const ORDERS: &str = "SELECT id, customer, job FROM orders ORDER BY id";

const MAILS: &str = "SELECT order_id FROM mail";
