//! [`QueueName`] and [`Priority`]: parsed once, safe in every broker.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a queue: 1 to 64 characters out of `a-z A-Z 0-9 _ - .`.
///
/// The alphabet is the one that is safe unquoted in a SQL literal, a Redis key, an AMQP
/// routing key and a URL, so no broker has to escape it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QueueName(Cow<'static, str>);

impl QueueName {
    /// The queue of calls that name none: `default`.
    pub const DEFAULT: Self = Self(Cow::Borrowed("default"));

    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 64;

    /// Parses a name.
    ///
    /// # Errors
    ///
    /// [`InvalidQueueName`] if it is empty, longer than 64 bytes, or has another character.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidQueueName> {
        let name = name.into();
        if is_valid(&name) { Ok(Self(Cow::Owned(name))) } else { Err(InvalidQueueName { name }) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name that the attribute macro checked at compile time.
    pub(crate) const fn from_static(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }
}

impl Default for QueueName {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueueName({})", self.0)
    }
}

impl FromStr for QueueName {
    type Err = InvalidQueueName;

    fn from_str(name: &str) -> Result<Self, InvalidQueueName> {
        Self::new(name)
    }
}

impl TryFrom<String> for QueueName {
    type Error = InvalidQueueName;

    fn try_from(name: String) -> Result<Self, InvalidQueueName> {
        Self::new(name)
    }
}

impl TryFrom<&str> for QueueName {
    type Error = InvalidQueueName;

    fn try_from(name: &str) -> Result<Self, InvalidQueueName> {
        Self::new(name)
    }
}

impl From<QueueName> for String {
    fn from(name: QueueName) -> Self {
        name.0.into_owned()
    }
}

/// A text that cannot name a queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{name}` is not a queue name: use 1 to 64 characters out of a-z, A-Z, 0-9, `_`, `-` and `.`"
)]
pub struct InvalidQueueName {
    name: String,
}

/// How urgent a job is within its queue: -2 to 2, higher first, 0 by default.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(try_from = "i8", into = "i8")]
pub struct Priority(i8);

impl Priority {
    /// The most urgent: 2.
    pub const MAX: Self = Self(2);
    /// The least urgent: -2.
    pub const MIN: Self = Self(-2);

    /// Checks the range.
    ///
    /// # Errors
    ///
    /// [`InvalidPriority`] outside of -2 to 2.
    pub const fn new(priority: i8) -> Result<Self, InvalidPriority> {
        if priority < -2 || priority > 2 {
            Err(InvalidPriority { priority })
        } else {
            Ok(Self(priority))
        }
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> i8 {
        self.0
    }
}

impl TryFrom<i8> for Priority {
    type Error = InvalidPriority;

    fn try_from(priority: i8) -> Result<Self, InvalidPriority> {
        Self::new(priority)
    }
}

impl From<Priority> for i8 {
    fn from(priority: Priority) -> Self {
        priority.0
    }
}

/// A number that is no priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("priority {priority} is out of range: use -2 (last) to 2 (first)")]
pub struct InvalidPriority {
    priority: i8,
}

fn is_valid(name: &str) -> bool {
    (1..=QueueName::MAX_LEN).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_unsafe_characters_are_refused() {
        for name in ["", "a b", "a'b", "a;drop", "ü", "a/b", &"x".repeat(65)] {
            assert!(QueueName::new(name).is_err(), "{name:?} was accepted");
        }
        for name in ["a", "mail.high-2_x", &"x".repeat(64)] {
            assert!(QueueName::new(name).is_ok(), "{name:?} was refused");
        }
    }

    #[test]
    fn priorities_outside_the_range_are_refused() {
        assert!(Priority::new(3).is_err());
        assert!(Priority::new(-3).is_err());
        assert_eq!(Priority::new(2), Ok(Priority::MAX));
    }
}
