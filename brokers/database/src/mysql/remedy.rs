//! What people can do about an error of MySQL, and what to do without them.

use sqlx::mysql::MySqlDatabaseError;

/// `None` where a later try may succeed. The numbers are of
/// <https://mariadb.com/kb/en/mariadb-error-code-reference/>.
pub(crate) fn remedy(error: &sqlx::Error) -> Option<&'static str> {
    let is_untrusted = match error {
        sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => true,
        // A certificate that is not accepted is no error of TLS to sqlx 0.9, but of what it reads.
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    };
    if is_untrusted {
        return Some(
            "it cannot be connected to so: look at the URL, and `ssl-mode` and certificates",
        );
    }
    Some(match number(error)? {
        1044 | 1045 | 1698 => "it does not let this user in: look at user, password and grants",
        1049 => "there is no such database: create it, or name another one in the URL",
        1142 if is_about_trigger(error) => {
            "this user may not make the trigger that notes which jobs became ready: grant it \
             `TRIGGER` on the database, or start the program once as somebody who may"
        }
        1419 => {
            "while the server has a binary log, it lets no ordinary user make the trigger that notes \
             which jobs became ready: have an administrator set `log_bin_trust_function_creators`, or \
             start the program once as somebody who may"
        }
        1142 | 1143 | 1227 | 1370 => {
            "this user may not do that: grant it the database and its tables"
        }
        1054 | 1146 => "tables of ours are missing or older than this program: run `migrate`",
        1290 | 1792 | 1836 => "it takes no writes: give the URL of the primary server",
        1114 | 1021 => "its disk is full, or a limit of its size is reached: make room there",
        1153 | 1301 | 3170 => {
            "a value is larger than it takes in one message: raise `max_allowed_packet`, or store \
             the data elsewhere and pass a reference"
        }
        1406 => {
            "the name of a worker or a schedule has more than 1000 bytes, or a unique key more than 2000: shorten it"
        }
        // Connections, resources, an administrator, locks and time-outs, other transactions.
        1020
        | 1040
        | 1041
        | 1053
        | 1077
        | 1152
        | 1158..=1161
        | 1184
        | 1203
        | 1205
        | 1213
        | 1226
        | 1317
        | 1927
        | 1969
        | 3024
        | 3572
        | 4031 => return None,
        _ => "MySQL does not accept a statement of ours: were the tables changed by hand?",
    })
}

/// Whether the server ended a transaction because of another one, and it may be run again: a
/// deadlock, a lock that was waited for in vain, or a row that has changed.
pub(crate) fn is_transient(error: &sqlx::Error) -> bool {
    matches!(number(error), Some(1020 | 1205 | 1213))
}

/// Whether a value is larger than a message to the server, or than its column, may be.
pub(crate) fn is_too_large(error: &sqlx::Error) -> bool {
    matches!(number(error), Some(1153 | 1301 | 1406 | 3170))
}

/// Whether the connection is lost, or the server is about to end it.
pub(crate) fn is_lost(error: &sqlx::Error) -> bool {
    matches!(number(error), Some(1053 | 1077 | 1152 | 1158..=1161 | 1184 | 1927 | 4031))
}

/// Of all that may be refused, the message tells.
fn is_about_trigger(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.message().starts_with("TRIGGER "))
}

fn number(error: &sqlx::Error) -> Option<u16> {
    let error = error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?;
    Some(error.number())
}
