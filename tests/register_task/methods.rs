//! `#[register_task]` on an `impl` block.

use std::io;

use serde::{Deserialize, Serialize};

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Report {
    title: String,
}

#[register_task]
impl Report {
    const SEPARATOR: &str = ": ";

    fn new(title: &str) -> Self {
        Self { title: title.to_owned() }
    }

    /// Makes one.
    #[task(queue = "reports")]
    async fn make(title: String) -> Self {
        Self::new(&title)
    }

    #[task(retry_if = Self::is_transient, name = "report.line")]
    fn line(&self, State(store): State<Store>, text: &str) -> Result<String, io::Error> {
        if text.is_empty() {
            return Err(io::Error::other(Self::SEPARATOR));
        }
        Ok(self.title.clone() + Self::SEPARATOR + text + store.0)
    }

    #[task]
    pub(crate) async fn renamed(mut self, title: String) -> Option<Self> {
        if title.is_empty() {
            return None;
        }
        self.title = title;
        Some(self)
    }

    #[task]
    async fn shortened(&self) -> Self {
        match self.title.char_indices().nth(3) {
            Some((end, _)) => Self::new(&self.title[..end]),
            None => self.clone(),
        }
    }

    #[task]
    async fn shortest(&self) -> Self {
        self.shortened().await
    }

    /// It is away, with all that belongs to it.
    #[task]
    #[cfg(any())]
    fn configured_away(&self, n: Missing) {}

    fn is_transient(error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::TimedOut
    }
}

#[tokio::test]
async fn methods_are_tasks() {
    let report = Report::make("Sales").await;
    assert_eq!(report, Report::new("Sales"));
    assert_eq!(report.line("up").with(Store("!")).call().unwrap(), "Sales: up!");
    assert_eq!(report.shortest().await, Report::new("Sal"));
    assert_eq!(report.renamed("Costs").await, Some(Report::new("Costs")));
}

#[test]
fn a_method_stores_the_value_it_is_called_on() {
    let report = Report::new("Sales");
    let call = report.line("up");
    assert_eq!(call.task().params, ["self", "text"]);
    let json = r#"{"self":{"title":"Sales"},"text":"up"}"#;
    assert_eq!(call.encoded_args().unwrap().as_slice(), json.as_bytes());

    let mut states = StateMap::default();
    states.insert(Store("!"));
    let Ok(Run::Plain(run)) = prepare(call.task(), json, states) else { panic!("it is plain") };
    assert_eq!(result(run()).unwrap().unwrap().as_slice(), br#""Sales: up!""#);
}

#[test]
fn methods_are_named_by_module_type_and_method() {
    assert_eq!(Report::make("").task().name, "register_task::methods::Report::make");
    assert_eq!(Report::make("").task().options.queue, "reports");
    assert_eq!(Report::new("").line("").task().name, "report.line");
}

#[test]
fn an_attribute_of_a_method_holds_for_all_that_it_becomes() {
    let names: Vec<_> = hereafter::registry().tasks().map(|task| task.name).collect();
    assert!(names.contains(&"register_task::methods::Report::make"));
    assert!(!names.contains(&"register_task::methods::Report::configured_away"));
}

#[test]
fn options_of_a_method_may_name_its_type() {
    let mut states = StateMap::default();
    states.insert(Store(""));
    let json = r#"{"self":{"title":""},"text":""}"#;
    let task = Report::new("").line("").task();
    let Ok(Run::Plain(run)) = prepare(task, json, states) else { panic!("it is plain") };
    assert!(run().unwrap_err().permanent, "`Self::is_transient` says no");
}
