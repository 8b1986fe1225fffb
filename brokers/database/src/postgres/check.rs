//! What `doctor` says of a store.

use std::time::Duration;

use taskcore::broker::{Finding, FindingLevel};

use super::link::PostgresLink;
use super::statements::{self, SCHEMA};
use crate::database::findings::{self, finding};
use crate::database::{Args, Connection, Source, Store, integer, text};

impl PostgresLink {
    pub(crate) async fn check(
        &self,
        sql: &mut Connection<'_>,
        store: &Store,
    ) -> Result<Vec<Finding>, sqlx::Error> {
        let now_ms = store.link.clock.now_ms();
        let mut findings = server(sql).await?;
        let version = SCHEMA.version(sql).await?;
        findings.push(findings::schema(version, SCHEMA.supported()));
        listening(store).await;
        findings.push(wakeups(store));
        findings.push(oldest_transaction(sql, LONG_TRANSACTION_S).await?);
        findings.push(dead_rows(sql, MANY_ROWS).await?);
        findings.push(bloat(sql, MANY_BYTES).await?);
        findings.push(findings::oldest_ready(sql, statements::OLDEST_READY, now_ms).await?);
        Ok(findings)
    }
}

/// A transaction that is open for longer is worth a warning; the finding's text says so too.
const LONG_TRANSACTION_S: i64 = 60;

/// Autovacuum cleans our busy tables after 2,000: it does not, if so many have died.
const MANY_ROWS: i64 = 100_000;

/// A busy table may have been as large once and needs it again.
const MANY_BYTES: i64 = 256 * 1024 * 1024;

async fn server(sql: &mut Connection<'_>) -> Result<Vec<Finding>, sqlx::Error> {
    let row = sql.one(statements::SERVER).await?;
    let version = format!("version {}", text(&row, "version")?);
    let subject = "durability";
    let durability = if text(&row, "fsync")? == "off" {
        let detail = "`fsync=off`: a loss of power may damage the database";
        finding(FindingLevel::Warning, subject, detail.to_owned())
    } else {
        match text(&row, "synchronous_commit")?.as_str() {
            "off" => {
                let detail = "`synchronous_commit=off`: a crash may take the latest jobs back";
                finding(FindingLevel::Warning, subject, detail.to_owned())
            }
            level => finding(FindingLevel::Ok, subject, format!("`synchronous_commit={level}`")),
        }
    };
    let role = if integer(&row, "is_standby")? == 1 {
        let detail = "it is a standby and takes no writes: give the URL of the primary server";
        finding(FindingLevel::Error, "role", detail.to_owned())
    } else {
        finding(FindingLevel::Ok, "role", "primary".to_owned())
    };
    Ok(vec![finding(FindingLevel::Ok, "PostgreSQL", version), role, durability])
}

/// A store that was just opened sets up its `LISTEN` still.
async fn listening(store: &Store) {
    let mut tries = 0;
    while matches!(store.watch.source, Source::Listening) && store.watch.wake.is_deaf() {
        tries += 1;
        if tries > 50 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn wakeups(store: &Store) -> Finding {
    if let Some(finding) = findings::polling(&store.watch) {
        return finding;
    }
    let subject = "wake-ups";
    if store.watch.wake.is_deaf() {
        let detail = "`LISTEN` is being set up, or does not succeed: polling until it does";
        return finding(FindingLevel::Warning, subject, detail.to_owned());
    }
    finding(FindingLevel::Ok, subject, "by `LISTEN`".to_owned())
}

async fn oldest_transaction(
    sql: &mut Connection<'_>,
    seconds: i64,
) -> Result<Finding, sqlx::Error> {
    let subject = "oldest transaction";
    let rows = sql.fetch(statements::OLDEST_TRANSACTION, Args::new().with(seconds)).await?;
    let Some(row) = rows.first() else {
        return Ok(finding(FindingLevel::Ok, subject, "younger than a minute".to_owned()));
    };
    let detail = format!(
        "that of process {} ({}, {}) is {} s old, and no row that died since can be removed: end \
         it, or claims get slower the longer it stays",
        integer(row, "pid")?,
        text(row, "who")?,
        text(row, "state")?,
        integer(row, "seconds")?,
    );
    Ok(finding(FindingLevel::Warning, subject, detail))
}

async fn dead_rows(sql: &mut Connection<'_>, many: i64) -> Result<Finding, sqlx::Error> {
    let subject = "dead rows";
    let rows = sql.fetch(statements::DEAD_ROWS, Args::new().with(many)).await?;
    let Some(row) = rows.first() else {
        return Ok(finding(FindingLevel::Ok, subject, "few".to_owned()));
    };
    let detail = format!(
        "table `{}` has {} beside {} that live: is autovacuum on, and is there an old transaction?",
        text(row, "name")?,
        integer(row, "dead")?,
        integer(row, "live")?,
    );
    Ok(finding(FindingLevel::Warning, subject, detail))
}

/// Tables whose rows live for seconds, and that are much larger than those that live now.
async fn bloat(sql: &mut Connection<'_>, many: i64) -> Result<Finding, sqlx::Error> {
    let subject = "bloat";
    let rows = sql.fetch(statements::BLOAT, Args::new().with(many)).await?;
    let Some(row) = rows.first() else {
        return Ok(finding(FindingLevel::Ok, subject, "little".to_owned()));
    };
    let (name, live) = (text(row, "name")?, integer(row, "live")?);
    let detail = format!(
        "table `{name}` has {} MiB with its indexes, and {live} rows: once the workers are stopped, \
         `VACUUM FULL` makes it small again",
        integer(row, "bytes")? / (1 << 20),
    );
    Ok(finding(FindingLevel::Warning, subject, detail))
}

#[cfg(test)]
mod tests {
    use taskservers::Postgres;

    use super::*;
    use crate::database::Role;
    use crate::postgres::PostgresOptions;

    async fn store_on(server: &Postgres) -> Store {
        let options = PostgresOptions::parse(&server.url()).unwrap().polling();
        crate::postgres::open(options).await.unwrap()
    }

    async fn run(sql: &mut Connection<'_>, text: &str) {
        sql.script_text(text.into()).await.unwrap();
    }

    #[tokio::test]
    async fn the_transaction_that_keeps_dead_rows_is_named() {
        let server = Postgres::start();
        let store = store_on(&server).await;
        let mut sql = store.link.open(Role::Read).await.unwrap();
        let mut other = store.link.open(Role::Read).await.unwrap();
        run(&mut other, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").await;
        let found = oldest_transaction(&mut sql, 0).await.unwrap();
        let pid = server.psql("SELECT pid FROM pg_stat_activity WHERE state LIKE 'idle in %'");
        assert_eq!(found.level, FindingLevel::Warning);
        let expected = format!("that of process {} (postgres, idle in transaction)", pid.trim());
        assert!(found.detail.starts_with(&expected), "{}", found.detail);
        let found = oldest_transaction(&mut sql, LONG_TRANSACTION_S).await.unwrap();
        assert_eq!(found.level, FindingLevel::Ok, "it is not a minute old");
        run(&mut other, "ROLLBACK").await;
        assert_eq!(oldest_transaction(&mut sql, 0).await.unwrap().level, FindingLevel::Ok);
    }

    /// A store whose table of ready jobs had so many rows, of which nine live.
    async fn store_with_dead_rows(server: &Postgres, rows: u32) -> Store {
        let store = store_on(server).await;
        let mut sql = store.link.open(Role::Read).await.unwrap();
        let fill = format!(
            "INSERT INTO hereafter.ready SELECT 'q', 0, 0, n FROM generate_series(1, {rows}) AS n;
             DELETE FROM hereafter.ready WHERE seq > 9"
        );
        run(&mut sql, &fill).await;
        // The server tells itself only after a while.
        sql.close().await.unwrap();
        store
    }

    /// Asks again and again until it is a warning.
    async fn warning(mut look: impl AsyncFnMut() -> Finding) -> Finding {
        loop {
            let found = look().await;
            if found.level == FindingLevel::Warning {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn the_table_with_many_dead_rows_is_named() {
        let server = Postgres::start_with(&[("autovacuum", "off")]);
        let store = store_with_dead_rows(&server, 99).await;
        let mut sql = store.link.open(Role::Read).await.unwrap();
        let found = warning(async || dead_rows(&mut sql, 50).await.unwrap()).await;
        assert!(found.detail.starts_with("table `ready` has 90 beside 9"), "{}", found.detail);
        assert_eq!(dead_rows(&mut sql, MANY_ROWS).await.unwrap().level, FindingLevel::Ok);
    }

    #[tokio::test]
    async fn the_table_that_is_larger_than_its_rows_is_named() {
        let server = Postgres::start_with(&[("autovacuum", "off")]);
        let store = store_with_dead_rows(&server, 20_000).await;
        let mut sql = store.link.open(Role::Read).await.unwrap();
        let found = warning(async || bloat(&mut sql, 1 << 20).await.unwrap()).await;
        assert!(found.detail.starts_with("table `ready` has "), "{}", found.detail);
        assert!(found.detail.contains("and 9 rows"), "{}", found.detail);
        assert_eq!(bloat(&mut sql, MANY_BYTES).await.unwrap().level, FindingLevel::Ok);
    }
}
