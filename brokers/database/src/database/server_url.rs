//! URLs of servers: which options are ours.

use url::Url;

/// A URL with the options that the driver has, and ours. What is neither is left out, with a warning
/// that names it: other programs take more options in the same URL, and the driver would log their
/// values.
pub(crate) fn parted(
    mut url: Url,
    ours: &[&str],
    theirs: fn(&str) -> bool,
) -> (Url, Vec<(String, String)>) {
    let (ours, others): (Vec<_>, Vec<_>) =
        url.query_pairs().into_owned().partition(|(name, _)| ours.contains(&name.as_str()));
    let (theirs, unknown): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|(name, _)| theirs(name));
    for (option, _) in unknown {
        tracing::warn!(target: "hereafter", option, "this option of the URL has no effect");
    }
    url.set_query(None);
    if !theirs.is_empty() {
        url.query_pairs_mut().extend_pairs(&theirs);
    }
    (url, ours)
}
