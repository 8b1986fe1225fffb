//! Every way to say what is unique.
#![deny(warnings, clippy::all, clippy::pedantic)]

use hereafter::prelude::*;

#[register_task(unique = "daily-report")]
fn constant() {}

#[register_task(unique_by = args, unique_for = "10m", on_conflict = "reuse")]
async fn arguments(id: u64, name: &str) {
    let _ = (id, name);
}

#[register_task(unique_by = keys::of, unique_while = "queued", on_conflict = "replace")]
fn function(cx: Context, id: u64, name: &str, tags: &[String]) {
    let _ = (cx, id, name, tags);
}

#[register_task(unique_by = String::len, unique_while = "unfinished", on_conflict = "fail")]
fn method(name: String) {
    drop(name);
}

mod keys {
    pub(crate) fn of(id: &u64, name: &str, tags: &[String]) -> String {
        format!("{id}-{name}-{}", tags.len())
    }
}

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Account(u32);

#[register_task]
impl Account {
    #[task(unique_by = Self::key)]
    fn close(&self, r#type: u8) {
        let _ = (self.0, r#type);
    }

    fn key(&self, kind: &u8) -> String {
        format!("{}-{kind}", self.0)
    }
}

fn main() {
    let name = constant().task().name;
    assert!(name.ends_with("constant"));
    let calls = (arguments(1, "a"), function(1, "a", &[][..]), method("a"), Account(1).close(2));
    drop(calls);
}
