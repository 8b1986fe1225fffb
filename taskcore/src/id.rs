//! [`JobId`]: made by the client, before the first send.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The identity of one job: a UUID version 7, or version 8 for the tick of a schedule.
///
/// The client makes it before the first send, so a call repeated after an unknown answer
/// carries the same id and is stored once. Ids made by one process ascend (RFC 9562,
/// section 6.2, method 1: a counter within the millisecond), so jobs of one process sort by
/// the time they were made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(Uuid);

impl JobId {
    /// Makes a new id.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "two defaults would differ")]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id of a schedule's job at this tick: the same for everybody who sees the tick come,
    /// so that it is stored once.
    ///
    /// A UUID version 8 that is laid out as version 7: the milliseconds of the tick, then 74 bits
    /// of a hash of the name (SHA-1, as in version 5), so that it sorts among other ids by time.
    #[must_use]
    pub fn of_tick(schedule: &str, tick: Timestamp) -> Self {
        let mut bytes = Uuid::new_v5(&SCHEDULES, schedule.as_bytes()).into_bytes();
        bytes[..6].copy_from_slice(&tick.as_millisecond().to_be_bytes()[2..]);
        bytes[6] = bytes[6] & 0x0f | 0x80;
        Self(Uuid::from_bytes(bytes))
    }

    /// The id of the job that `relay` stores for an item of a run of a stream: the same each time.
    pub(crate) fn of_item(relay: Self, run: u64, index: u64) -> Self {
        let mut bytes = Uuid::new_v5(&relay.0, format!("{run}/{index}").as_bytes()).into_bytes();
        bytes[..6].copy_from_slice(&relay.0.as_bytes()[..6]);
        bytes[6] = bytes[6] & 0x0f | 0x80;
        Self(Uuid::from_bytes(bytes))
    }

    /// Reads the 16 bytes that [`as_bytes`](Self::as_bytes) gave.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The 16 bytes of the UUID, big-endian; they sort as the ids do.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

/// The namespace of the names of schedules (RFC 9562, section 6.5); never to be changed.
const SCHEDULES: Uuid = Uuid::from_u128(0x8c0f_3a52_9d1e_4b7a_a6f4_5e2d_71c8_b093);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({})", self.0)
    }
}

/// A text that is not a job id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a job id: expected a UUID such as 0190a4c6-9f5e-7d10-8b7c-0c1b2d3e4f50")]
pub struct InvalidJobId {
    text: String,
}

impl FromStr for JobId {
    type Err = InvalidJobId;

    fn from_str(text: &str) -> Result<Self, InvalidJobId> {
        Uuid::parse_str(text).map(Self).map_err(|_| InvalidJobId { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_process_ascend() {
        let ids: Vec<JobId> = (0..10_000).map(|_| JobId::new()).collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn the_id_of_a_tick_is_its_own_and_the_same_for_everybody() {
        let tick = |second| Timestamp::from_second(second).unwrap();
        let id = JobId::of_tick("nightly", tick(1_800_000_000));
        assert_eq!(id.to_string(), "01a3185c-5000-82dd-a71e-589e046ad12b");
        assert_eq!(id, JobId::of_tick("nightly", tick(1_800_000_000)));
        assert_ne!(id, JobId::of_tick("nightly", tick(1_800_000_001)));
        assert_ne!(id, JobId::of_tick("hourly", tick(1_800_000_000)));
        assert!(id < JobId::of_tick("hourly", tick(1_800_000_001)));
    }

    #[test]
    fn an_id_survives_text_and_bytes() {
        let id = JobId::new();
        assert_eq!(id.to_string().parse::<JobId>().unwrap(), id);
        assert_eq!(JobId::from_bytes(*id.as_bytes()), id);
    }

    #[test]
    fn a_text_that_is_no_id_is_named_in_the_error() {
        let error = "seven".parse::<JobId>().unwrap_err();
        assert!(error.to_string().starts_with("`seven` is not a job id"));
    }
}
