//! What was stored is read for ever: the bytes of every version of the envelope.
//!
//! A line here is never changed; a new version adds lines.

use std::time::Duration;

use taskcore::broker::Keep;
use taskcore::{Backoff, Envelope, EnvelopeError, RetryPolicy};

/// Version 1, with every field at its default.
const V1_SHORT: &str =
    r#"{"hereafter":1,"task":"app::mail::send","args":{"address":"ada@example.org","copies":2}}"#;

/// Version 1, with every field set.
const V1_FULL: &str = r#"{"hereafter":1,"task":"app::mail::send","args":{},"retries":0,"backoff":{"linear":{"ms":1500,"max_ms":60000}},"timeout_ms":120000,"keep_ms":0,"headers":{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","x":"ü"}}"#;

/// Version 1, with arguments that other jobs yield.
const V1_INPUTS: &str = r#"{"hereafter":1,"task":"app::report","args":{"title":"x"},"inputs":{"a":{"job":"0190c0de-0000-7000-8000-000000000001"},"b":{"list":[{"jobs":["0190c0de-0000-7000-8000-000000000001","0190c0de-0000-7000-8000-000000000002"]},{"map":[["k",{"try":{"job":"0190c0de-0000-7000-8000-000000000003"}}]]}]},"c":{"value":[1, 2]},"d":{"error":{"disabled":{"task":"app::t"}}}}}"#;

#[test]
fn an_envelope_with_inputs_decodes() {
    let envelope = Envelope::decode(V1_INPUTS.as_bytes()).unwrap();
    let jobs: Vec<String> = envelope.input_jobs().iter().map(ToString::to_string).collect();
    let last_digits: Vec<&str> = jobs.iter().map(|job| &job[job.len() - 1..]).collect();
    assert_eq!(last_digits, ["1", "2", "3"]);
    assert_eq!(envelope.args.get(), r#"{"title":"x"}"#);
}

#[test]
fn a_short_envelope_of_version_1_decodes() {
    let envelope = Envelope::decode(V1_SHORT.as_bytes()).unwrap();
    assert_eq!(envelope.task, "app::mail::send");
    assert_eq!(envelope.args.get(), r#"{"address":"ada@example.org","copies":2}"#);
    assert_eq!(envelope.retry_policy(), RetryPolicy::default());
    assert_eq!(envelope.timeout(), None);
    assert_eq!(envelope.keep(), Keep::For(Duration::from_secs(3600)));
    assert!(envelope.headers.is_empty());
}

#[test]
fn a_full_envelope_of_version_1_decodes() {
    let envelope = Envelope::decode(V1_FULL.as_bytes()).unwrap();
    let backoff = Backoff::linear(Duration::from_millis(1500)).max(Duration::from_secs(60));
    assert_eq!(envelope.retry_policy(), RetryPolicy { retries: 0, backoff });
    assert_eq!(envelope.timeout(), Some(Duration::from_secs(120)));
    assert_eq!(envelope.keep(), Keep::Nothing);
    assert_eq!(envelope.headers["x"], "ü");
}

#[test]
fn an_envelope_is_written_as_the_bytes_say() {
    for golden in [V1_SHORT, V1_FULL, V1_INPUTS] {
        let written = Envelope::decode(golden.as_bytes()).unwrap().encode();
        assert_eq!(String::from_utf8_lossy(written.as_slice()), golden);
    }
}

#[test]
fn a_field_that_a_later_minor_version_added_is_passed_over() {
    let later = r#"{"hereafter":1,"task":"t","args":{},"colour":"blue"}"#;
    assert_eq!(Envelope::decode(later.as_bytes()).unwrap().task, "t");
}

#[test]
fn a_higher_version_is_refused_with_the_remedy() {
    let later = r#"{"hereafter":2,"shape":["unknown"]}"#;
    let error = Envelope::decode(later.as_bytes()).unwrap_err();
    assert!(matches!(error, EnvelopeError::Version { found: 2, supported: 1 }));
    assert!(error.to_string().contains("upgrade the worker"), "{error}");
}

#[test]
fn foreign_bytes_are_told_from_envelopes() {
    let foreign: [&[u8]; 6] =
        [b"", b"\xff\xfe\x00", b"null", b"{}", b"[1,2]", br#"{"hereafter":1,"task":7}"#];
    for bytes in foreign {
        let error = Envelope::decode(bytes).unwrap_err();
        assert!(matches!(error, EnvelopeError::Foreign { .. }), "{bytes:?}: {error}");
    }
}
