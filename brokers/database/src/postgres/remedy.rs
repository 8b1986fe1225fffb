//! What people can do about an error of PostgreSQL.

/// `None` where a later try may succeed. The codes are of
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
pub(crate) fn remedy(error: &sqlx::Error) -> Option<&'static str> {
    let is_untrusted = match error {
        sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => true,
        // A certificate that is not accepted is no error of TLS to sqlx 0.9, but of what it reads.
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    };
    if is_untrusted {
        return Some(
            "it cannot be connected to so: look at the URL, and `sslmode` and certificates",
        );
    }
    let error = error.as_database_error()?;
    if error.message().contains("unsupported startup parameter") {
        return Some(
            "a pooler stands before it: add `pooler=transaction` to the URL, or go around it",
        );
    }
    let code = error.code()?;
    Some(match &*code {
        "28P01" | "28000" => "it does not let this user in: look at user and password",
        "3D000" => "there is no such database: create it, or name another one in the URL",
        "42501" => "this user may not do that: grant it the schema and its tables",
        "3F000" | "42P01" | "42703" | "42883" => {
            "tables of ours are missing or older than this program: run `migrate`"
        }
        "25006" => "it takes no writes: give the URL of the primary server",
        "53100" => "its disk is full: free space there",
        "54000" | "54001" | "54011" | "54023" => "a limit of the server is too low for a statement",
        code => match &code[..2] {
            // Connections, resources, an administrator, locks and time-outs, other transactions.
            "08" | "53" | "57" | "55" | "40" | "25" | "58" => return None,
            _ => "PostgreSQL does not accept a statement of ours: was the schema changed by hand?",
        },
    })
}
