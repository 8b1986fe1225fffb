//! `#[fetch]`: records as arguments, run here and as a worker does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use futures::stream::{self, Stream};
use hereafter::testing::{assert_delayed, drain};
use hereafter::{FailureKind, scope_state};
use tokio::sync::Barrier;

use super::errors::Opaque;
use super::*;

/// No `Serialize`: nothing of it is stored but the key.
#[derive(Debug, Clone, PartialEq)]
struct User {
    id: u64,
    name: String,
}

/// Where the users are, and how often one was loaded.
#[derive(Clone, Default)]
struct Users {
    rows: Arc<Mutex<HashMap<u64, User>>>,
    loads: Arc<AtomicU32>,
}

impl Users {
    fn of(names: &[(u64, &str)]) -> Self {
        let users = Self::default();
        for (id, name) in names {
            users.save(*id, name);
        }
        users
    }

    fn save(&self, id: u64, name: &str) {
        self.rows.lock().unwrap().insert(id, user(id, name));
    }

    fn loads(&self) -> u32 {
        self.loads.load(Ordering::SeqCst)
    }
}

fn user(id: u64, name: &str) -> User {
    User { id, name: name.to_owned() }
}

impl Record for User {
    type Key = u64;
    type From = Users;
    type Error = std::io::Error;

    fn key(&self) -> u64 {
        self.id
    }

    async fn load(id: u64, users: Users) -> Result<Option<Self>, std::io::Error> {
        users.loads.fetch_add(1, Ordering::SeqCst);
        if id == 500 {
            return Err(std::io::Error::other("the database is down"));
        }
        Ok(users.rows.lock().unwrap().get(&id).cloned())
    }
}

/// A record that needs nothing to be loaded, under a key that is a text. It is not `Clone`.
struct Country(String);

impl Record for Country {
    type Key = String;
    type From = ();
    type Error = Permanent;

    fn key(&self) -> String {
        self.0.to_lowercase()
    }

    async fn load(code: String, (): ()) -> Result<Option<Self>, Permanent> {
        match code.as_str() {
            "" => Err(Permanent::new("a country has a code")),
            "xx" => Ok(None),
            code => Ok(Some(Self(code.to_uppercase()))),
        }
    }
}

#[register_task]
async fn greet(#[fetch] user: User, greeting: &str) -> String {
    format!("{greeting}, {}", user.name)
}

#[register_task]
fn greet_plainly(#[fetch] user: &User, greeting: &str) -> String {
    format!("{greeting}, {}", user.name)
}

#[register_task]
async fn name_of(#[fetch] user: Option<User>) -> Option<String> {
    user.map(|user| user.name)
}

#[register_task]
async fn borrow_name_of(#[fetch] user: &Option<User>) -> Option<String> {
    tokio::task::yield_now().await;
    user.as_ref().map(|user| user.name.clone())
}

#[register_task]
async fn move_to(#[fetch] user: &User, #[fetch] country: Country, year: u16) -> String {
    tokio::task::yield_now().await;
    format!("{} to {} in {year}", user.name, country.0)
}

#[register_task]
fn first_id() -> u64 {
    1
}

#[register_task]
fn no_id() -> Option<u64> {
    None
}

#[register_task]
async fn fail_for(#[fetch] user: User) -> Result<(), std::io::Error> {
    Err(std::io::Error::other(user.name))
}

#[register_task]
fn letters(#[fetch] user: &User) -> impl Stream<Item = char> {
    stream::iter(user.name.chars().collect::<Vec<_>>())
}

#[register_task]
async fn greet_next(#[fetch] user: User) -> Call<String> {
    greet(user.id + 1, "Hi").erase()
}

#[register_task]
fn greet_next_plainly(#[fetch] user: User) -> Call<String> {
    greet(user.id + 1, "Hi").erase()
}

#[register_task(unique_by = welcome_key)]
fn welcome(#[fetch] user: User, #[fetch] country: Option<Country>, year: u16) -> String {
    format!("{} {:?} {year}", user.name, country.map(|country| country.0))
}

fn welcome_key(user: &u64, country: &Option<String>, year: &u16) -> String {
    format!("{user}-{country:?}-{year}")
}

struct Post;

#[register_task]
impl Post {
    #[task]
    async fn send(#[fetch] user: &User, #[fetch] args: Option<User>, frame: &str) -> String {
        format!("{} {frame} {}", user.name, args.is_some())
    }
}

#[tokio::test]
async fn a_record_that_is_given_is_used_as_it_is() {
    let ada = user(1, "Ada");
    // Nothing provides `Users`, so a load would panic.
    let said: String = greet(ada.clone(), "Hello").await;
    assert_eq!(said, "Hello, Ada");
    assert_eq!(greet(&ada, "Hello").await, "Hello, Ada");
    assert_eq!(greet_plainly(&ada, "Hello").call(), "Hello, Ada");
    assert_eq!(greet_plainly(ada.clone(), "Hello").await, "Hello, Ada");
    assert_eq!(name_of(&ada).await, Some("Ada".to_owned()));
    assert_eq!(borrow_name_of(ada.clone()).await, Some("Ada".to_owned()));
    let moved = move_to(&ada, Country("UK".to_owned()), 1815u16).await;
    assert_eq!(moved, "Ada to UK in 1815");
}

#[tokio::test]
async fn a_key_is_loaded_and_so_can_fail() {
    let users = Users::of(&[(1, "Ada")]);
    let said: Result<String, JobError> = greet(1, "Hello").with(users.clone()).await;
    assert_eq!(said.unwrap(), "Hello, Ada");
    let said = scope_state(users.clone(), async { greet_plainly(1, "Hi").await }).await;
    assert_eq!(said.unwrap(), "Hi, Ada");
    assert_eq!(users.loads(), 2);
    // Keys borrow as arguments do.
    let moved = move_to(1, "uk", 1815u16).with(users).await;
    assert_eq!(moved.unwrap(), "Ada to UK in 1815");
}

#[tokio::test]
async fn a_call_that_yields_a_key_is_a_key() {
    let users = Users::of(&[(1, "Ada")]);
    assert_eq!(greet(first_id(), "Hello").with(users.clone()).await.unwrap(), "Hello, Ada");
    assert_eq!(name_of(first_id()).with(users.clone()).await.unwrap().unwrap(), "Ada");
    assert_eq!(name_of(no_id()).with(users.clone()).await.unwrap(), None);
    assert_eq!(users.loads(), 2);
    let ids: Vec<u64> = vec![1, 1];
    let calls = ids.into_iter().map(|id| greet(id, "Hello").with(users.clone()));
    assert_eq!(gather(calls).await.unwrap(), ["Hello, Ada"; 2]);
}

#[tokio::test]
async fn a_record_that_is_gone_is_an_error_that_names_it() {
    let error = greet(7, "Hello").with(Users::default()).await.unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!((failure.kind, failure.permanent), (FailureKind::Arguments, true));
    assert_eq!(failure.task, "register_task::records::greet");
    assert_eq!(
        failure.message,
        "no `register_task::records::User` has the key 7, which parameter `user` names; take an `Option` where it may be \
         gone"
    );
    let error = move_to(user(1, "Ada"), "xx", 1815u16).await.unwrap_err();
    let told = error.to_string();
    assert!(told.contains(r#"Country` has the key "xx", which parameter `country`"#), "{told}");
}

#[tokio::test]
async fn an_option_receives_none_for_what_is_gone_and_for_no_key() {
    let users = Users::of(&[(1, "Ada")]);
    let name_of = async |key: Option<u64>| name_of(key).with(users.clone()).await.unwrap();
    assert_eq!(name_of(Some(1)).await, Some("Ada".to_owned()));
    assert_eq!(name_of(Some(2)).await, None);
    assert_eq!(name_of(None).await, None);
    assert_eq!(super::records::name_of(None).await.unwrap(), None);
    assert_eq!(borrow_name_of(2).with(users.clone()).await.unwrap(), None);
    assert_eq!(users.loads(), 3, "no key needs no load");
}

#[tokio::test]
async fn an_error_of_a_load_carries_its_type_and_causes() {
    let error = greet(500, "Hello").with(Users::default()).await.unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!((failure.kind, failure.permanent), (FailureKind::Error, false));
    assert_eq!(failure.error_type.as_deref(), Some("std::io::error::Error"));
    assert_eq!(
        failure.message,
        "cannot load the `register_task::records::User` with the key 500 for parameter `user`"
    );
    assert_eq!(failure.causes, ["the database is down"]);
    let error = move_to(user(1, "Ada"), "", 1815u16).await.unwrap_err();
    assert!(error.failure().unwrap().permanent, "its error is `Permanent`");
}

#[tokio::test]
async fn the_error_of_a_task_with_a_record_stays_its_own() {
    let error: std::io::Error = fail_for(user(1, "Ada")).await.unwrap_err();
    assert_eq!(error.to_string(), "Ada");
}

#[tokio::test]
#[should_panic(
    expected = "task `register_task::records::greet` needs `register_task::records::Users`, which nothing provides here"
)]
async fn a_load_without_its_state_panics_with_task_type_and_remedy() {
    let _ = greet(1, "Hello").await;
}

/// Its load fails for good.
#[derive(Debug)]
struct Sealed;

impl Record for Sealed {
    type Key = bool;
    type From = ();
    type Error = Opaque;

    fn key(&self) -> bool {
        true
    }

    async fn load(permanent: bool, (): ()) -> Result<Option<Self>, Opaque> {
        Err(Opaque(if permanent { Permanent::new("sealed").into() } else { "stuck".into() }))
    }
}

#[register_task]
fn unseal(#[fetch] sealed: Sealed) -> String {
    format!("{sealed:?}")
}

#[tokio::test]
async fn a_permanent_error_of_a_load_is_found_behind_a_type_that_is_no_error() {
    for permanent in [true, false] {
        let error = unseal(permanent).await.unwrap_err();
        assert_eq!(error.failure().unwrap().permanent, permanent);
    }
}

/// Is there once another one is loaded too.
struct Slow;

impl Record for Slow {
    type Key = u8;
    type From = Arc<Barrier>;
    type Error = std::convert::Infallible;

    fn key(&self) -> u8 {
        0
    }

    async fn load(_: u8, both: Arc<Barrier>) -> Result<Option<Self>, Self::Error> {
        both.wait().await;
        Ok(Some(Self))
    }
}

#[register_task]
async fn meet(#[fetch] one: Slow, then: u8, #[fetch] other: Slow) -> u8 {
    one.key() + then + other.key()
}

#[tokio::test]
async fn records_are_loaded_at_the_same_time() {
    assert_eq!(meet(1, 2, 3).with(Arc::new(Barrier::new(2))).await.unwrap(), 2);
}

#[test]
fn a_job_stores_the_key_alone() {
    let args = |payload: Payload| String::from_utf8(payload.as_slice().to_vec()).unwrap();
    let expected = r#"{"user":1,"greeting":"Hello"}"#;
    assert_eq!(args(greet(1, "Hello").encoded_args().unwrap()), expected);
    assert_eq!(args(greet(user(1, "Ada"), "Hello").encoded_args().unwrap()), expected);
    assert_eq!(args(name_of(user(1, "Ada")).encoded_args().unwrap()), r#"{"user":1}"#);
    assert_eq!(args(name_of(None).encoded_args().unwrap()), r#"{"user":null}"#);
    let moved = move_to(&user(1, "Ada"), Country("UK".to_owned()), 1815u16);
    assert_eq!(args(moved.encoded_args().unwrap()), r#"{"user":1,"country":"uk","year":1815}"#);
}

#[test]
fn what_a_load_needs_is_state_of_the_task() {
    let task = move_to(1, "uk", 1815u16).task();
    assert_eq!(task.params, ["user", "country", "year"]);
    let needs = task.states.iter().map(|need| (need.type_name)());
    assert_eq!(needs.collect::<Vec<_>>(), ["register_task::records::Users", "()"]);
    let states = StateMap::default();
    assert!(states.has((task.states[1].type_id)()), "`()` is always there");
    assert!(!states.has((task.states[0].type_id)()));
}

#[test]
fn keys_of_a_job_are_checked_like_any_argument() {
    let task = greet(1, "").task();
    let told = refusal(task, r#"{"user":"one","greeting":""}"#);
    assert!(told.starts_with("invalid type: string \"one\", expected u64"), "{told}");
    let told = refusal(task, r#"{"greeting":""}"#);
    assert!(told.starts_with("missing field `user`"), "{told}");
    assert!(matches!(run(name_of(1).task(), "{}"), Run::Loading(_)));
}

#[hereafter::test]
async fn a_unique_key_is_made_of_the_keys() {
    let first = welcome(1, "uk", 1815u16).delay().await.unwrap();
    let again = welcome(user(1, "Ada"), Country("UK".to_owned()), 1815u16).delay().await;
    let DelayError::Duplicate { existing, key, .. } = again.unwrap_err() else {
        panic!("the key is taken")
    };
    assert_eq!((existing, key.as_str()), (first.id(), r#"1-Some("uk")-1815"#));
}

#[hereafter::test]
async fn the_record_of_a_job_is_that_of_the_time_it_runs() {
    let users = Users::of(&[(1, "Ada"), (2, "Bob")]);
    scope_state(users.clone(), async {
        let of_record = greet(user(1, "Ada"), "Hello").delay().await.unwrap();
        let of_key = greet_plainly(1, "Hello").delay().await.unwrap();
        let of_call = greet(first_id(), "Hi").delay().await.unwrap();
        let of_handle = name_of(first_id().delay().await.unwrap()).delay().await.unwrap();
        let of_method = Post::send(1, None, "is").delay().await.unwrap();
        let streamed = letters(1).delay().await.unwrap();
        let continued = greet_next(1).delay().await.unwrap();
        let continued_plainly = greet_next_plainly(1).delay().await.unwrap();
        assert_delayed(&greet(1, "Hello"));
        users.save(1, "Ada Lovelace");
        drain().await;
        assert_eq!(of_record.await.unwrap(), "Hello, Ada Lovelace");
        assert_eq!(of_key.await.unwrap(), "Hello, Ada Lovelace");
        assert_eq!(of_call.await.unwrap(), "Hi, Ada Lovelace");
        assert_eq!(of_handle.await.unwrap().unwrap(), "Ada Lovelace");
        assert_eq!(of_method.await.unwrap(), "Ada Lovelace is false");
        assert_eq!(streamed.await.unwrap().len(), 12);
        assert_eq!(continued.await.unwrap(), "Hi, Bob");
        assert_eq!(continued_plainly.await.unwrap(), "Hi, Bob");
    })
    .await;
}

#[tokio::test]
async fn streams_and_continued_tasks_take_records_here() {
    let users = Users::of(&[(1, "Ada"), (2, "Bob")]);
    assert_eq!(letters(&user(1, "Eve")).await, ['E', 'v', 'e']);
    assert_eq!(letters(1).with(users.clone()).await.unwrap(), ['A', 'd', 'a']);
    let next = scope_state(users, async { greet_next(1).await.unwrap() }).await;
    assert_eq!(next, "Hi, Bob");
}

#[tokio::test]
async fn an_eager_client_loads_what_it_is_given() {
    let users = Users::of(&[(1, "Ada Lovelace")]);
    let client = Client::eager();
    let said = greet(user(1, "Ada"), "Hello").with(users.clone()).delay_on(&client).await.unwrap();
    assert_eq!(said.await.unwrap(), "Hello, Ada Lovelace");
    let gone = greet_plainly(7, "Hello").with(users).delay_on(&client).await.unwrap();
    let error = gone.await.unwrap_err();
    assert!(error.failure().unwrap().permanent, "{error}");
}
