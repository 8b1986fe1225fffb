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

#[cfg(test)]
mod tests {
    use super::*;

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
