//! Unique keys of calls: where they come from, and what is asked of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::broker::{OnConflict, Unique, UniqueScope};
use crate::plan::ArgsPlan;

/// What the attribute on a task says of the unique keys of its jobs.
#[derive(Debug, Clone, Copy)]
pub struct TaskUnique {
    /// Where the key comes from.
    pub by: UniqueBy,
    /// How long a job holds it.
    pub scope: UniqueScope,
    /// What becomes of a call whose key belongs to another job.
    pub on_conflict: OnConflict,
}

/// Where the unique key of a task's jobs comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UniqueBy {
    /// It is this one for all of them.
    Key(&'static str),
    /// A hash of the encoded arguments.
    Args,
    /// A function of the arguments.
    Function,
}

/// The unique key of one call, as the task and the call's setters say.
#[derive(Debug, Clone, Default)]
pub(crate) struct UniqueOptions {
    source: Option<Source>,
    scope: UniqueScope,
    on_conflict: OnConflict,
    /// A setter that says something of the key, and so needs one.
    refined_by: Option<&'static str>,
}

#[derive(Debug, Clone)]
enum Source {
    Given(Cow<'static, str>),
    Args,
    Function,
}

impl UniqueOptions {
    pub(crate) fn of_task(task: Option<TaskUnique>) -> Self {
        let Some(TaskUnique { by, scope, on_conflict }) = task else { return Self::default() };
        let source = match by {
            UniqueBy::Key(key) => Source::Given(Cow::Borrowed(key)),
            UniqueBy::Args => Source::Args,
            UniqueBy::Function => Source::Function,
        };
        Self { source: Some(source), scope, on_conflict, refined_by: None }
    }

    /// Whether its jobs have keys.
    pub(crate) fn is_set(&self) -> bool {
        self.source.is_some()
    }

    pub(crate) fn set_key(&mut self, key: String) {
        self.source = Some(Source::Given(Cow::Owned(key)));
    }

    pub(crate) fn set_scope(&mut self, scope: UniqueScope, setter: &'static str) {
        self.scope = scope;
        self.refined_by = Some(setter);
    }

    pub(crate) fn set_on_conflict(&mut self, on_conflict: OnConflict, setter: &'static str) {
        self.on_conflict = on_conflict;
        self.refined_by = Some(setter);
    }

    /// The key of a call with these arguments; `function` is what the task's function makes of
    /// them, if they are all here. An error is a text for the caller.
    pub(crate) fn resolve(
        &self,
        args: &ArgsPlan,
        function: impl FnOnce() -> Option<String>,
    ) -> Result<Option<Unique>, String> {
        let key = match (&self.source, self.refined_by) {
            (None, None) => return Ok(None),
            (None, Some(setter)) => {
                return Err(format!(
                    "`{setter}` says how a unique key is used, and this call has none: add `.unique(key)`"
                ));
            }
            (Some(Source::Given(key)), _) => key.clone().into_owned(),
            (Some(Source::Args), _) if !args.inputs.is_empty() => {
                return Err(needs_values("args"));
            }
            (Some(Source::Args), _) => hash(args.given().as_slice()),
            (Some(Source::Function), _) => function().ok_or_else(|| needs_values("a function"))?,
        };
        let (scope, on_conflict) = (self.scope, self.on_conflict);
        if scope == UniqueScope::For(Duration::ZERO) {
            return Err(
                "a unique key cannot be held for 0s: give `.unique_for` a longer span".to_owned()
            );
        }
        match key.len() {
            1..=Unique::KEY_MAX => Ok(Some(Unique { key, scope, on_conflict })),
            bytes => Err(format!(
                "a unique key has 1 to {} bytes and this one has {bytes}: name what is unique, or give a hash of it",
                Unique::KEY_MAX
            )),
        }
    }
}

fn needs_values(by: &str) -> String {
    format!(
        "its unique key comes from its arguments (`unique_by` {by}), and an argument is a call or a handle, of \
         which the value is not known yet: give this call `.unique(key)`"
    )
}

/// A key for these encoded arguments: equal for equal ones, in this release and in later ones.
fn hash(args: &[u8]) -> String {
    let mut canonical = Vec::with_capacity(args.len());
    let args = serde_json::from_slice(args).expect("what serde_json wrote, serde_json reads");
    canonicalise(args, &mut canonical);
    let mut key = "args:".to_owned();
    for byte in Sha256::digest(&canonical) {
        for nibble in [byte >> 4, byte & 0xf] {
            key.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
    key
}

/// Writes what JSON holds, with the keys of each object in order: a `HashMap` has one of its own each time.
/// Numbers and texts stay as they are written.
fn canonicalise(value: &RawValue, into: &mut Vec<u8>) {
    const READ: &str = "a part of what serde_json wrote is JSON too";
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'{') => {
            let object: BTreeMap<String, &RawValue> = serde_json::from_str(text).expect(READ);
            into.push(b'{');
            for (key, value) in object {
                serde_json::to_writer(&mut *into, &key).expect("a text always encodes");
                into.push(b':');
                canonicalise(value, into);
                into.push(b',');
            }
            into.push(b'}');
        }
        Some(b'[') => {
            let list: Vec<&RawValue> = serde_json::from_str(text).expect(READ);
            into.push(b'[');
            for value in list {
                canonicalise(value, into);
                into.push(b',');
            }
            into.push(b']');
        }
        _ => into.extend_from_slice(text.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_arguments_have_one_key_whatever_the_order_of_their_maps() {
        let key =
            hash(br#"{"a":{"y":[1,{"d":null,"c":2.5}],"x":"\u00e9\""},"b":18446744073709551616}"#);
        let same =
            hash(br#"{"b":18446744073709551616,"a":{"x":"\u00e9\"","y":[1,{"c":2.5,"d":null}]}}"#);
        assert_eq!(key, same);
        assert_eq!(key.len(), "args:".len() + 64);
    }

    #[test]
    fn other_arguments_have_another_key() {
        let texts: [&str; 9] = [
            r#"{"a":[1,2]}"#,
            r#"{"a":[2,1]}"#,
            r#"{"a":[[1],2]}"#,
            r#"{"a":[[1,2]]}"#,
            r#"{"a":"1"}"#,
            r#"{"a":{"b":{}}}"#,
            r#"{"a":{},"b":{}}"#,
            r#"{"a":18446744073709551616}"#,
            r#"{"a":18446744073709551617}"#,
        ];
        let keys: std::collections::BTreeSet<_> =
            texts.iter().map(|text| hash(text.as_bytes())).collect();
        assert_eq!(keys.len(), texts.len());
    }

    /// Keys are stored: a program and its next release must agree on them.
    #[test]
    fn the_key_of_arguments_does_not_change() {
        let expected = "args:54561133";
        assert_eq!(&hash(br#"{"path":"cat.jpg","width":200}"#)[..expected.len()], expected);
    }
}
