//! What `doctor` says of a store.

use taskcore::broker::{Finding, FindingLevel};

use super::link::MysqlLink;
use super::statements::{self, SCHEMA};
use crate::database::findings::{self, finding};
use crate::database::{Args, Connection, Store, integer, text};

impl MysqlLink {
    pub(crate) async fn check(
        &self,
        sql: &mut Connection<'_>,
        store: &Store,
    ) -> Result<Vec<Finding>, sqlx::Error> {
        let now_ms = store.link.clock.now_ms();
        let mut findings = server(sql).await?;
        findings.push(findings::schema(SCHEMA.version(sql).await?, SCHEMA.supported()));
        findings.push(wakeups());
        findings.push(oldest_transaction(sql, LONG_TRANSACTION_S).await);
        findings.push(findings::oldest_ready(sql, statements::OLDEST_READY, now_ms).await?);
        Ok(findings)
    }
}

/// A transaction that is open for longer is worth a warning; the finding's text says so too.
const LONG_TRANSACTION_S: i64 = 60;

async fn server(sql: &mut Connection<'_>) -> Result<Vec<Finding>, sqlx::Error> {
    let row = sql.one(statements::SERVER).await?;
    let version = text(&row, "version")?;
    let server = if version.contains("MariaDB") {
        finding(FindingLevel::Ok, "MariaDB", format!("version {version}"))
    } else {
        let detail = format!("version {version}: Hereafter is tested on MariaDB only");
        finding(FindingLevel::Warning, "MySQL", detail)
    };
    let subject = "durability";
    let durability = match integer(&row, "flush")? {
        1 => {
            let detail = "`innodb_flush_log_at_trx_commit=1`: every commit waits for the disk";
            finding(FindingLevel::Ok, subject, detail.to_owned())
        }
        level => {
            let detail = format!(
                "`innodb_flush_log_at_trx_commit={level}`: a crash may take the latest jobs back"
            );
            finding(FindingLevel::Warning, subject, detail)
        }
    };
    let role = if integer(&row, "is_read_only")? == 1 {
        let detail = "it is read-only: give the URL of the primary server";
        finding(FindingLevel::Error, "role", detail.to_owned())
    } else {
        finding(FindingLevel::Ok, "role", "primary".to_owned())
    };
    Ok(vec![server, role, durability])
}

/// There is no other way, so it is nothing to warn of.
fn wakeups() -> Finding {
    let detail = "polling, 10 to 250 ms apart: jobs of other processes start as much later";
    finding(FindingLevel::Ok, "wake-ups", detail.to_owned())
}

async fn oldest_transaction(sql: &mut Connection<'_>, seconds: i64) -> Finding {
    let subject = "oldest transaction";
    let asked = sql.fetch(statements::OLDEST_TRANSACTION, Args::new().with(seconds)).await;
    let Ok(rows) = asked else {
        let detail = "not looked at: grant this user `PROCESS`".to_owned();
        return finding(FindingLevel::Ok, subject, detail);
    };
    let of_row = |row| Ok::<_, sqlx::Error>((integer(row, "session")?, integer(row, "seconds")?));
    match rows.first().map(of_row) {
        Some(Ok((session, age))) => {
            let detail = format!(
                "that of session {session} is {age} s old, and no row that was deleted since can \
                 be removed: end it, or claims get slower the longer it stays"
            );
            finding(FindingLevel::Warning, subject, detail)
        }
        _ => finding(FindingLevel::Ok, subject, "younger than a minute".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use taskservers::MariaDb;

    use super::*;
    use crate::database::Role;
    use crate::mysql::MysqlOptions;

    #[tokio::test]
    async fn the_transaction_that_keeps_deleted_rows_is_named() {
        let server = MariaDb::start();
        let options = MysqlOptions::parse(&server.url()).unwrap();
        let store = crate::mysql::open(options).await.unwrap();
        let mut sql = store.link.open(Role::Read).await.unwrap();
        let mut other = store.link.open(Role::Read).await.unwrap();
        let begin = "START TRANSACTION WITH CONSISTENT SNAPSHOT; SELECT connection_id() AS id";
        let row = other.script_text(begin.into()).await.unwrap();
        let session = integer(&row[0], "id").unwrap();
        // It is asked how old it is in whole seconds, and is not one second old yet.
        let found = oldest_transaction(&mut sql, -1).await;
        assert_eq!(found.level, FindingLevel::Warning);
        let expected = format!("that of session {session} is ");
        assert!(found.detail.starts_with(&expected), "{}", found.detail);
        let found = oldest_transaction(&mut sql, LONG_TRANSACTION_S).await;
        assert_eq!(found.level, FindingLevel::Ok, "it is not a minute old");
    }
}
