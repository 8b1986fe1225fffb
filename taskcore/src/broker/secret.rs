//! Passwords in URLs.

/// Refuses the URL of a server whose password ends the part that it is in, because it is not
/// percent-encoded: the rest of it would be taken for a database or an option, and shown as such.
///
/// # Errors
///
/// What to write instead. It shows nothing of the URL.
pub fn check_password(url: &str) -> Result<(), &'static str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let behind = rest.find(['/', '?', '#']).map_or("", |end| &rest[end..]);
    if !behind.contains('@') {
        return Ok(());
    }
    Err(
        "there is an `@` behind the host: percent-encode the characters `@` (%40), `/` (%2F), `?` (%3F) \
         and `#` (%23) of the password, and of the database and the options",
    )
}

/// A URL as errors and logs may show it, whether or not it is one: without its password, its options
/// and all behind them.
#[must_use]
pub fn shown_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        // Whatever it is, a password is before an `@`.
        let shown = url.rsplit_once('@').map_or(url.to_owned(), |(_, host)| format!("…@{host}"));
        return shown.split(['?', '#']).next().unwrap_or_default().to_owned();
    };
    if check_password(url).is_err() {
        return format!("{scheme}://…");
    }
    let place = rest.split(['?', '#']).next().unwrap_or_default();
    match place.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}")
        }
        None => format!("{scheme}://{place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_has_no_password_whatever_it_is() {
        for (url, shown) in [
            ("x://user:secret@host/path", "x://user@host/path"),
            ("x://user:secret@se@host", "x://user@host"),
            ("x://host/db?password=secret#secret", "x://host/db"),
            ("x://user:12/secret@host", "x://…"),
            ("://user:secret@host", "://user@host"),
            ("user:secret@host", "…@host"),
            ("x:user:secret@host?password=secret", "…@host"),
            ("sqlite::memory:", "sqlite::memory:"),
            ("tasks.db", "tasks.db"),
        ] {
            assert_eq!(shown_url(url), shown);
        }
    }

    #[test]
    fn a_password_that_is_cut_is_refused_and_one_that_is_encoded_is_not() {
        for url in ["x://u:12/34@h/db", "x://u:12#34@h", "x://u:12?34@h", "x://h/db?a=b@c"] {
            assert!(check_password(url).is_err(), "{url}");
        }
        for url in ["x://u:a@b@h/db", "x://u:1%2F2%40@h/db?a=b", "x://h", "sqlite:file", ""] {
            assert!(check_password(url).is_ok(), "{url}");
        }
    }
}
