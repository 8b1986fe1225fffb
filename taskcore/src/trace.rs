//! [`TraceParent`]: the W3C trace context that a job carries in its headers.

use std::fmt::{self, Write};
use std::str::FromStr;

use rand::Rng;

/// A `traceparent` of version 00 (W3C Trace Context, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

impl TraceParent {
    /// The name of the header.
    pub const HEADER: &'static str = "traceparent";

    /// A new trace with a new span.
    #[must_use]
    pub fn root() -> Self {
        let mut rng = rand::rng();
        let trace_id = u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64() | 1);
        Self { trace_id, span_id: rng.next_u64() | 1, flags: 1 }
    }

    /// A new span of the same trace.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { span_id: rand::rng().next_u64() | 1, ..*self }
    }

    /// The trace id, 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// The span id, 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.span_id)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

/// Its text, in one allocation.
impl From<TraceParent> for String {
    fn from(parent: TraceParent) -> Self {
        let mut text = Self::with_capacity(LEN);
        write!(text, "{parent}").expect("a string takes any text");
        text
    }
}

/// Bytes of a `traceparent` of version 00.
const LEN: usize = 55;

/// A text that is no `traceparent`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a W3C traceparent: expected 00-<32 hex digits>-<16 hex digits>-<2 hex digits>"
)]
pub struct InvalidTraceParent {
    text: String,
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        parse(text).ok_or_else(|| InvalidTraceParent { text: text.to_owned() })
    }
}

/// Later versions may append fields; the first four keep their place (section 4.1).
fn parse(text: &str) -> Option<TraceParent> {
    let mut fields = text.split('-');
    let version = hex(fields.next()?, 2)?;
    let trace_id = hex(fields.next()?, 32)?;
    let span_id = u64::try_from(hex(fields.next()?, 16)?).ok()?;
    let flags = u8::try_from(hex(fields.next()?, 2)?).ok()?;
    let is_valid = version != 0xff && trace_id != 0 && span_id != 0;
    let is_whole = version != 0 || fields.next().is_none();
    (is_valid && is_whole).then_some(TraceParent { trace_id, span_id, flags })
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (text.len() == digits && is_hex).then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_survives_text() {
        let parent = TraceParent::root();
        assert_eq!(parent.to_string().parse(), Ok(parent));
    }

    #[test]
    fn a_child_keeps_the_trace_and_has_its_own_span() {
        let parent = TraceParent::root();
        let child = parent.child();
        assert_eq!(child.trace_id(), parent.trace_id());
        assert_ne!(child.span_id(), parent.span_id());
    }

    #[test]
    fn broken_texts_are_refused() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(good.parse::<TraceParent>().is_ok());
        for bad in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        ] {
            assert!(bad.parse::<TraceParent>().is_err(), "{bad}");
        }
    }
}
