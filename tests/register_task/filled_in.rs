//! `Context` and `State`: where they come from when a task runs here.

use hereafter::scope_state;

use super::*;

#[register_task]
async fn save(cx: Context, State(store): State<Store>, path: String) -> String {
    format!("{}:{} by {} #{}", store.0, path, cx.task(), cx.attempt())
}

#[register_task]
fn save_plain(path: &str, mut store: hereafter::State<Store>, _: Context) -> String {
    store.0.0 = if path.is_empty() { "empty" } else { store.0.0 };
    format!("{}:{path}", store.0.0)
}

#[tokio::test]
async fn state_comes_with_the_call() {
    let saved = save("cat.jpg").with(Store("s3")).await;
    assert_eq!(saved, "s3:cat.jpg by register_task::filled_in::save #1");
    assert_eq!(save_plain("cat.jpg").with(Store("s3")).call(), "s3:cat.jpg");
    assert_eq!(save_plain("").with(Store("s3")).await, "empty:");
}

#[tokio::test]
async fn state_comes_from_the_scope() {
    let within = scope_state(Store("disk"), async {
        (save_plain("a").call(), save_plain("b").await, save("c").await)
    });
    let (called, awaited, saved) = within.await;
    assert_eq!((called.as_str(), awaited.as_str()), ("disk:a", "disk:b"));
    assert!(saved.starts_with("disk:c"));
}

#[tokio::test]
async fn what_comes_with_the_call_wins_over_the_scope() {
    let saved = scope_state(Store("disk"), async { save_plain("a").with(Store("s3")).await }).await;
    assert_eq!(saved, "s3:a");
}

#[tokio::test]
#[should_panic(
    expected = "task `register_task::filled_in::save` needs `register_task::Store`, which nothing provides here: pass it with \
                `.with(value)`, run the call in `hereafter::scope_state(value, future)`"
)]
async fn missing_state_panics_with_task_type_and_remedy() {
    save("cat.jpg").await;
}

#[test]
fn state_is_listed_and_is_no_argument() {
    let call = save("cat.jpg");
    let task = call.task();
    assert_eq!(task.params, ["path"]);
    assert_eq!(task.states.len(), 1);
    assert_eq!((task.states[0].type_name)(), "register_task::Store");
    assert_eq!((task.states[0].type_id)(), std::any::TypeId::of::<Store>());
}

mod own {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, Clone, Serialize, Deserialize)]
    pub(super) struct Context(pub(super) u8);

    #[derive(Debug, Default, Clone, Serialize, Deserialize)]
    pub(super) struct State<T>(pub(super) T);

    #[register_task]
    pub(super) fn unwrap(#[arg] context: Context, #[arg(default)] state: State<u8>) -> u8 {
        context.0 + state.0
    }
}

#[test]
fn the_arg_attribute_makes_a_type_named_context_or_state_an_argument() {
    let call = own::unwrap(own::Context(1), own::State(2));
    assert_eq!(call.task().params, ["context", "state"]);
    assert_eq!(output(call.task(), r#"{"context":1}"#), "1");
    assert_eq!(call.call(), 3);
}
