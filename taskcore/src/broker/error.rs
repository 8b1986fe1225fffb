//! [`BrokerError`], sorted by what the caller can do about it.

/// Any error, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a broker call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// The call may or may not have happened; repeat it with the same ids.
    #[error("cannot reach {broker}")]
    Unavailable {
        /// The broker's name.
        broker: &'static str,
        /// The client library's error.
        #[source]
        source: BoxError,
    },
    /// The store refused the call for good: full, read-only, not permitted.
    #[error("{broker} refused the call: {reason}")]
    Refused {
        /// The broker's name.
        broker: &'static str,
        /// What is wrong, and what to do.
        reason: String,
        /// The client library's error.
        #[source]
        source: BoxError,
    },
    /// Something in the call is larger than the broker takes, and can never be stored; what else was in
    /// the call can be, without it.
    #[error("{broker} cannot take that much: {reason}")]
    TooLarge {
        /// The broker's name.
        broker: &'static str,
        /// What is too large, and what to do.
        reason: String,
        /// What was found.
        #[source]
        source: BoxError,
    },
    /// This broker has no such operation; see its capabilities.
    #[error("{broker} does not support {operation}")]
    Unsupported {
        /// The broker's name.
        broker: &'static str,
        /// What was asked for.
        operation: &'static str,
    },
    /// The call did not answer in time; it goes on, and may still happen.
    #[error("{broker} did not answer `{operation}` within {seconds} s")]
    Deadline {
        /// The broker's name.
        broker: &'static str,
        /// The method.
        operation: &'static str,
        /// How long was waited, in seconds.
        seconds: u64,
    },
    /// The broker was closed by this program.
    #[error("{broker} is closed")]
    Closed {
        /// The broker's name.
        broker: &'static str,
    },
}

impl BrokerError {
    /// Whether repeating the call may succeed without anybody's help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Deadline { .. })
    }
}
