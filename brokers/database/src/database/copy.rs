//! Storing many jobs by [`COPY`](https://www.postgresql.org/docs/current/sql-copy.html), in its binary
//! form: the server neither binds, plans nor unnests anything.

use sqlx::PgConnection;
use taskcore::broker::NewJob;
use taskcore::broker::millis::{due_ms, later};

use super::zeroless;

/// Rows from which on it is faster than an `INSERT`. The client library leaves Nagle's algorithm on, so
/// that the last packet of a `COPY` over TCP waits up to 40 ms for an acknowledgement.
pub(super) const COPY_FROM: usize = 8_000;

/// Sends the rows of jobs, numbered from `first` on, to a statement that has the columns `seq`, `id`,
/// `queue`, `task`, `priority`, `created_at`, `due_at`, `expires_at` and `envelope`; answers how many
/// rows were stored.
pub(super) async fn store(
    sql: &mut PgConnection,
    statement: &str,
    jobs: &[NewJob],
    first: i64,
    now_ms: i64,
) -> Result<u64, sqlx::Error> {
    let mut copy = sql.copy_in_raw(statement).await?;
    let mut rows = Rows(HEAD.to_vec());
    for (seq, job) in (first..).zip(jobs) {
        rows.push(seq, job, now_ms);
        if rows.0.len() >= PIECE_BYTES {
            copy.send(&rows.0[..]).await?;
            rows.0.clear();
        }
    }
    rows.0.extend_from_slice(&END);
    copy.send(&rows.0[..]).await?;
    copy.finish().await
}

/// The signature, no flags, and no extension of the head.
const HEAD: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// In place of a row's number of columns.
const END: [u8; 2] = (-1_i16).to_be_bytes();

const COLUMNS: i16 = 9;

/// About as many bytes are sent at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Rows as they are sent: each column is its length and its bytes.
struct Rows(Vec<u8>);

impl Rows {
    fn push(&mut self, seq: i64, job: &NewJob, now_ms: i64) {
        self.0.extend_from_slice(&COLUMNS.to_be_bytes());
        self.integer(seq);
        self.bytes(job.id.as_bytes());
        self.text(job.queue.as_str());
        self.text(&job.task);
        self.integer(i64::from(job.priority.value()));
        self.integer(now_ms);
        self.integer(due_ms(job.due, now_ms));
        match job.expires_in {
            Some(span) => self.integer(later(now_ms, span)),
            None => self.0.extend_from_slice(&(-1_i32).to_be_bytes()),
        }
        self.bytes(job.envelope.as_slice());
    }

    fn text(&mut self, text: &str) {
        self.bytes(zeroless::encoded(text.to_owned()).as_bytes());
    }

    fn integer(&mut self, value: i64) {
        self.bytes(&value.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        // The server refuses a value of half of this; a longer one does not reach it.
        let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
    }
}
