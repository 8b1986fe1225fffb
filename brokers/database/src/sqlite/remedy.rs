//! What people can do about an error of SQLite.

/// `None` where a later try may succeed.
pub(crate) fn remedy(error: &sqlx::Error) -> Option<&'static str> {
    let is_missing = |message: &str| message.contains("no such table");
    if error.as_database_error().is_some_and(|error| is_missing(error.message())) {
        return Some("tables of ours are missing or older than this program: run `migrate`");
    }
    Some(match primary_code(error)? {
        // Busy, locked, out of memory, interrupted: a later try may succeed.
        5 | 6 | 7 | 9 => return None,
        8 => "it is read-only: make the file and its folder writable for this user",
        10 => "it cannot be read or written: look at the disk and at the system's log",
        11 => {
            "it is damaged: stop all programs that use it, then restore a backup, or salvage it with `sqlite3 FILE .recover`"
        }
        13 => "it cannot grow: free space on its disk, or raise its quota or `max_size`",
        14 => "it cannot be opened: create its folder, and let this user read and write there",
        23 => "the system denies access: let this user read and write it",
        26 => "it is not a SQLite database: give another path",
        _ => "SQLite does not accept a statement of ours: was the schema changed by hand?",
    })
}

/// SQLite's primary result code; <https://www.sqlite.org/rescode.html>.
fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<u32>().ok().map(|extended| extended & 0xff)
}
