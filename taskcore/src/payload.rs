//! [`Payload`]: bytes that are cheap to clone.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::id::JobId;
use crate::json;

/// Bytes of arguments, of a result or of a whole envelope; a clone shares them.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Payload(Bytes);

impl Payload {
    /// Wraps bytes as they are.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Stands for the result of a task that returned a stream: the items of this job, so many,
    /// which are read one by one. No JSON begins with this byte.
    #[must_use]
    pub fn of_stream(job: JobId, count: u64) -> Self {
        Self::from(format!("{STREAM}{count}/{job}").into_bytes())
    }

    /// How many items the stream has that this stands for.
    #[must_use]
    pub fn streamed(&self) -> Option<u64> {
        self.stream().map(|(_, count)| count)
    }

    /// Whose items they are, and how many. The job is another one than the result's where that was
    /// continued.
    #[must_use]
    pub fn stream(&self) -> Option<(JobId, u64)> {
        let stream = self.0.strip_prefix(STREAM.as_bytes())?;
        let (count, job) = std::str::from_utf8(stream).ok()?.split_once('/')?;
        Some((job.parse().ok()?, count.parse().ok()?))
    }

    /// The shared bytes.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// The control character "record separator".
const STREAM: &str = "\u{1e}";

impl fmt::Debug for Payload {
    /// Shows the size only: payloads may be long, and may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

/// Turns values into bytes and back.
///
/// The stored form names no codec: version 1 of the envelope is JSON, and another codec is
/// another envelope version.
pub trait Codec {
    /// Encodes one value.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if the value has no form in this codec, such as a map with keys that are
    /// not text in JSON, or could not be read back.
    fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Payload, CodecError>;

    /// Decodes one value, which must take up all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if the bytes are not that value.
    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError>;
}

/// The codec of every envelope so far: JSON (RFC 8259).
///
/// It refuses NaN and infinities, which have no JSON form, and values nested deeper than 127
/// levels, which could not be read back.
#[derive(Debug, Clone, Copy)]
pub struct Json;

impl Codec for Json {
    fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Payload, CodecError> {
        json::to_vec(value).map(Payload::from).map_err(CodecError)
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
        serde_json::from_slice(bytes).map_err(CodecError)
    }
}

/// A value that cannot be encoded, or bytes that cannot be decoded.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct CodecError(pub(crate) serde_json::Error);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_comes_back_bit_by_bit() {
        for value in (1..=1_000).map(|n| 6.0 / f64::from(n * 7)) {
            let payload = Json::encode(&value).unwrap();
            let read: f64 = Json::decode(payload.as_slice()).unwrap();
            assert_eq!(read.to_bits(), value.to_bits(), "{value}");
        }
    }
}
