//! Fuzz targets: values on their way into statements, and texts on their way back. `tests/fuzz` runs
//! them for long.

use std::time::Duration;

use bolero::{TypeGenerator, check};
use taskcore::broker::millis::timestamp;
use taskcore::broker::{Due, NewJob};
use taskcore::{JobId, Payload, Priority, QueueName};

use super::{Dialect, Kind, script, zeroless};

/// How long a target runs as a test, after its corpus.
const AS_TEST: Duration = Duration::from_secs(2);

#[derive(Debug, TypeGenerator)]
struct Given {
    id: [u8; 16],
    task: String,
    #[generator(-2..=2)]
    priority: i8,
    due: When,
    expires_in: Option<u64>,
    envelope: Vec<u8>,
}

#[derive(Debug, TypeGenerator)]
enum When {
    Now,
    After(u64),
    At(i64),
}

impl Given {
    fn job(&self) -> NewJob {
        NewJob {
            id: JobId::from_bytes(self.id),
            queue: QueueName::DEFAULT,
            task: self.task.clone().into(),
            priority: Priority::new(self.priority).unwrap(),
            due: match self.due {
                When::Now => Due::Now,
                When::After(ms) => Due::After(Duration::from_millis(ms)),
                When::At(ms) => Due::At(timestamp(ms)),
            },
            expires_in: self.expires_in.map(Duration::from_millis),
            inputs: Vec::new(),
            unique: None,
            with_next: false,
            envelope: Payload::from(self.envelope.clone()),
        }
    }
}

/// Nothing of a job can be taken for SQL: besides numbers, all of it lies in hexadecimal literals.
#[test]
fn script() {
    let dialect = Dialect::new(Kind::Mysql, "hereafter_".to_owned(), 1);
    let jobs = bolero::produce::<Vec<Given>>().with().len(1..=3_usize);
    check!(name = "script").with_generator(jobs).with_test_time(AS_TEST).for_each(|given| {
        let jobs: Vec<NewJob> = given.iter().map(Given::job).collect();
        let text = script::text(&dialect, &jobs, 0, 10);
        // The one text of ours.
        let text = text.replace("'1970-01-01'", "");
        let mut parts = text.split("X'");
        let mut rest = parts.next().unwrap().to_owned();
        for part in parts {
            let (literal, behind) = part.split_once('\'').expect("a literal ends");
            assert!(hex::decode(literal).is_ok(), "{literal}");
            rest.push_str(behind);
        }
        assert!(rest.is_ascii() && !rest.contains(['\'', '"', '\\', '#', '?', '\0']), "{rest}");
        for comment in ["--", "/*"] {
            assert!(!rest.contains(comment), "{rest}");
        }
    });
}

/// Every text comes back from where no zeros can be stored, and none is read with a panic.
#[test]
fn zeros() {
    check!(name = "zeros").with_test_time(AS_TEST).for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let stored = zeroless::encoded(text.to_owned());
        assert!(!stored.contains('\0'));
        assert_eq!(zeroless::decoded(stored), text);
        let _ = zeroless::decoded(text.to_owned());
    });
}
