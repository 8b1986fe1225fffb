//! What `doctor` says of a store.

use taskcore::broker::{Finding, FindingLevel};

use super::link::SqliteLink;
use super::migrate;
use super::statements;
use crate::database::findings::{self, finding};
use crate::database::{Connection, Row, Source, Store, integer, text};

impl SqliteLink {
    pub(crate) async fn check(
        &self,
        sql: &mut Connection<'_>,
        store: &Store,
    ) -> Result<Vec<Finding>, sqlx::Error> {
        check(sql, store, self.is_file()).await
    }
}

async fn check(
    sql: &mut Connection<'_>,
    store: &Store,
    is_file: bool,
) -> Result<Vec<Finding>, sqlx::Error> {
    let now_ms = store.link.clock.now_ms();
    let pages = Pages::of(&sql.one(statements::PAGES).await?)?;
    let mut findings = vec![
        version(sql).await?,
        findings::schema(migrate::version(sql).await?, migrate::SUPPORTED),
        journal(sql, is_file).await?,
        synchronous(sql, is_file).await?,
        wakeups(store),
        pages.finding(),
    ];
    findings.extend(integrity(sql, &pages).await?);
    findings.extend(left_over(sql, &pages).await?);
    findings.push(findings::oldest_ready(sql, statements::OLDEST_READY, now_ms).await?);
    Ok(findings)
}

/// Checking more takes longer than a person waits: about a second per GiB, from a fast disk.
const CHECKED_BYTES: i64 = 1 << 30;

struct Pages {
    count: i64,
    free: i64,
    size: i64,
}

impl Pages {
    fn of(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            count: integer(row, "page_count")?,
            free: integer(row, "freelist_count")?,
            size: integer(row, "page_size")?,
        })
    }

    fn bytes(&self) -> i64 {
        self.count.saturating_mul(self.size)
    }

    fn finding(&self) -> Finding {
        let mib = |pages: i64| pages.saturating_mul(self.size) / (1 << 20);
        let detail = format!(
            "{} MiB, of which {} MiB are free for new jobs",
            mib(self.count),
            mib(self.free)
        );
        finding(FindingLevel::Ok, "file size", detail)
    }
}

async fn version(sql: &mut Connection<'_>) -> Result<Finding, sqlx::Error> {
    let row = sql.one(statements::SQLITE_VERSION).await?;
    Ok(finding(FindingLevel::Ok, "SQLite", format!("version {}", text(&row, "version")?)))
}

async fn journal(sql: &mut Connection<'_>, is_file: bool) -> Result<Finding, sqlx::Error> {
    let row = sql.one(statements::JOURNAL_MODE).await?;
    let mode = text(&row, "mode")?;
    Ok(if mode == "wal" || !is_file {
        finding(FindingLevel::Ok, "journal", mode)
    } else {
        let detail = format!(
            "mode `{mode}` instead of `wal`, set by another program: readers and the writer \
             block each other; close all programs that use the file, then start one"
        );
        finding(FindingLevel::Warning, "journal", detail)
    })
}

async fn synchronous(sql: &mut Connection<'_>, is_file: bool) -> Result<Finding, sqlx::Error> {
    let row = sql.one(statements::SYNCHRONOUS).await?;
    let subject = "durability";
    if !is_file {
        let detail = "jobs live in this process only and end with it: give a path to keep them";
        return Ok(finding(FindingLevel::Warning, subject, detail.to_owned()));
    }
    Ok(match integer(&row, "level")? {
        0 => finding(
            FindingLevel::Warning,
            subject,
            "`synchronous=off`: a loss of power may damage the file".to_owned(),
        ),
        1 => finding(
            FindingLevel::Warning,
            subject,
            "`synchronous=normal`: a loss of power may take the latest jobs back".to_owned(),
        ),
        _ => finding(FindingLevel::Ok, subject, "every commit waits for the disk".to_owned()),
    })
}

fn wakeups(store: &Store) -> Finding {
    if let Some(finding) = findings::polling(&store.watch) {
        return finding;
    }
    let subject = "wake-ups";
    match &store.watch.source {
        Source::Alone => finding(FindingLevel::Ok, subject, "within this process".to_owned()),
        _ => finding(FindingLevel::Ok, subject, "the log file is watched".to_owned()),
    }
}

async fn integrity(
    sql: &mut Connection<'_>,
    pages: &Pages,
) -> Result<Option<Finding>, sqlx::Error> {
    let subject = "integrity";
    if pages.bytes() > CHECKED_BYTES {
        let detail = "not checked, because the file is large: run `PRAGMA quick_check` on a copy";
        return Ok(Some(finding(FindingLevel::Ok, subject, detail.to_owned())));
    }
    let rows = sql.all(statements::QUICK_CHECK).await?;
    let line = rows.first().map(|row| text(row, "quick_check")).transpose()?;
    Ok(line.map(|line| match line.as_str() {
        "ok" => finding(FindingLevel::Ok, subject, "sound".to_owned()),
        _ => {
            let detail = format!("{line}: restore a backup, or salvage it with `.recover`");
            finding(FindingLevel::Error, subject, detail)
        }
    }))
}

/// Rows that say something of jobs that are not there.
async fn left_over(
    sql: &mut Connection<'_>,
    pages: &Pages,
) -> Result<Option<Finding>, sqlx::Error> {
    if pages.bytes() > CHECKED_BYTES {
        return Ok(None);
    }
    let row = sql.one(statements::LEFT_OVER).await?;
    let count = integer(&row, "rows")?;
    let detail = format!(
        "{count} rows of reports and attempts are of no job, because another program has deleted \
         jobs: they take up space and do no harm"
    );
    Ok((count > 0).then(|| finding(FindingLevel::Warning, "left-over rows", detail)))
}
