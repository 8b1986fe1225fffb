//! URLs of servers: which options are ours, and how they are shown.

use url::Url;

/// A URL without our options, and these.
pub(crate) fn parted(mut url: Url, ours: &[&str]) -> (Url, Vec<(String, String)>) {
    let (ours, theirs): (Vec<_>, Vec<_>) =
        url.query_pairs().into_owned().partition(|(name, _)| ours.contains(&name.as_str()));
    url.set_query(None);
    if !theirs.is_empty() {
        url.query_pairs_mut().extend_pairs(&theirs);
    }
    (url, ours)
}

/// A URL without its password and its options.
pub(crate) fn shown(mut url: Url) -> String {
    // It fails for a URL that cannot have a password, and then has none.
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string()
}
