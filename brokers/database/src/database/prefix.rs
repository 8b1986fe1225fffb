//! What the names of our tables start with, where they are not in a schema of their own.

pub(crate) const DEFAULT: &str = "hereafter_";

/// A prefix that is part of a name without quotes; or why it is not.
pub(crate) fn checked(prefix: &str) -> Result<String, String> {
    let is_name = prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !prefix.starts_with(|first: char| first.is_ascii_digit());
    if prefix.is_empty() || prefix.len() > MAX || !is_name {
        return Err(format!(
            "`prefix` is 1 to {MAX} letters, digits and `_`, the first no digit, not `{prefix}`"
        ));
    }
    Ok(prefix.to_owned())
}

/// Names have 64 bytes on MySQL.
const MAX: usize = 40;
