//! RabbitMQ servers of one's own.

use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use futures::{Stream, StreamExt};
use lapin::options::{BasicConsumeOptions, BasicGetOptions};
use lapin::tcp::OwnedTLSConfig;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties, Event};
use taskservers::RabbitMq;

use client::{PLENTY, connect, declare, in_time, publish, take};

mod client;

/// A server with a message in the quorum queue `kept`.
async fn with_one_message() -> RabbitMq {
    let rabbitmq = RabbitMq::start();
    let connection = connect(&rabbitmq.url()).await;
    let channel = declare(&connection, "kept").await;
    publish(&channel, "kept", "7").await;
    rabbitmq.save_queues();
    rabbitmq
}

async fn kept(rabbitmq: &RabbitMq) -> Option<String> {
    let connection = connect(&rabbitmq.url()).await;
    take(&connection, "kept").await
}

/// The first event about which `told` has something to tell.
async fn event<T>(events: impl Stream<Item = Event>, told: impl Fn(Event) -> Option<T>) -> T {
    let events = events.filter_map(|event| std::future::ready(told(event)));
    in_time(Box::pin(events).next()).await.expect("the connection is there")
}

fn error(event: Event) -> Option<String> {
    match event {
        Event::Error(error) => Some(error.to_string()),
        _ => None,
    }
}

#[tokio::test]
async fn a_message_goes_in_and_out() {
    let rabbitmq = with_one_message().await;
    assert_eq!(kept(&rabbitmq).await.as_deref(), Some("7"));
}

#[tokio::test]
async fn a_setting_reaches_the_server() {
    let rabbitmq = RabbitMq::start_with(&[("consumer_timeout", "1000")]);
    let connection = connect(&rabbitmq.url()).await;
    let channel = declare(&connection, "late").await;
    publish(&channel, "late", "never acknowledged").await;
    let events = connection.events_listener();
    let consume = BasicConsumeOptions::default();
    let consumer =
        channel.basic_consume("late".into(), "".into(), consume, FieldTable::default()).await;
    let _consumer = consumer.unwrap();
    let error = event(events, error).await;
    assert!(error.contains("delivery acknowledgement on channel 1 timed out"), "{error}");
}

#[tokio::test]
async fn a_restart_keeps_what_was_confirmed_and_the_port() {
    let mut rabbitmq = with_one_message().await;
    let url = rabbitmq.url();
    rabbitmq.restart();
    assert_eq!(rabbitmq.url(), url);
    assert_eq!(kept(&rabbitmq).await.as_deref(), Some("7"));
}

#[tokio::test]
async fn a_killed_server_recovers_what_was_confirmed() {
    let mut rabbitmq = with_one_message().await;
    rabbitmq.kill();
    assert!(TcpStream::connect(address(&rabbitmq)).is_err());
    rabbitmq.start_again();
    assert_eq!(kept(&rabbitmq).await.as_deref(), Some("7"));
}

#[test]
fn a_frozen_server_leaves_a_question_hanging_and_a_thawed_one_answers_it() {
    let rabbitmq = RabbitMq::start();
    rabbitmq.freeze();
    let (answer, answered) = channel();
    std::thread::scope(|scope| {
        scope.spawn(|| answer.send(rabbitmq.eval("1 + 1")));
        let early = answered.recv_timeout(Duration::from_millis(500));
        rabbitmq.thaw();
        assert_eq!(early, Err(RecvTimeoutError::Timeout));
        assert_eq!(answered.recv_timeout(PLENTY).as_deref(), Ok("2"));
    });
}

#[test]
fn a_dropped_server_is_gone_with_its_folder_whatever_state_it_was_in() {
    type Change = fn(&mut RabbitMq);
    let changes: [(&str, Change); 4] = [
        ("running", |_| {}),
        ("stopped", RabbitMq::stop),
        ("killed", RabbitMq::kill),
        ("frozen", |rabbitmq| rabbitmq.freeze()),
    ];
    for (state, change) in changes {
        let mut rabbitmq = RabbitMq::start();
        let folder = rabbitmq.eval("list_to_atom(os:getenv(\"HOME\"))");
        let folder = folder.trim_matches('\'').to_owned();
        assert!(std::fs::exists(&folder).unwrap(), "{folder}");
        let address = address(&rabbitmq);
        change(&mut rabbitmq);
        drop(rabbitmq);
        assert!(TcpStream::connect(address).is_err(), "the {state} server listens");
        assert!(!std::fs::exists(&folder).unwrap(), "the {state} server left {folder}");
    }
}

#[tokio::test]
async fn a_server_that_serves_no_more_ends_connections_until_it_serves_again() {
    let rabbitmq = with_one_message().await;
    let connection = connect(&rabbitmq.url()).await;
    let events = connection.events_listener();
    rabbitmq.stop_serving();
    event(events, error).await;
    assert!(TcpStream::connect(address(&rabbitmq)).is_err());
    rabbitmq.serve_again();
    assert_eq!(kept(&rabbitmq).await.as_deref(), Some("7"));
}

#[tokio::test]
async fn an_alarm_blocks_who_publishes_until_it_is_cleared() {
    let rabbitmq = with_one_message().await;
    let connection = connect(&rabbitmq.url()).await;
    let channel = declare(&connection, "kept").await;
    let mut events = Box::pin(connection.events_listener());
    rabbitmq.raise_alarm();
    let published = tokio::spawn(async move { publish(&channel, "kept", "8").await });
    let blocked = |event| matches!(event, Event::ConnectionBlocked(_)).then_some(());
    event(&mut events, blocked).await;
    rabbitmq.clear_alarm();
    event(&mut events, |event| matches!(event, Event::ConnectionUnblocked).then_some(())).await;
    in_time(published).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_is_closed_by_an_operator_is_told_why() {
    let rabbitmq = RabbitMq::start();
    let connection = connect(&rabbitmq.url()).await;
    let events = connection.events_listener();
    assert_eq!(rabbitmq.close_connections("a \"test\""), 1);
    let error = event(events, error).await;
    assert!(error.contains("a \"test\""), "{error}");
}

#[tokio::test]
async fn after_a_change_of_the_password_the_old_one_is_refused() {
    let rabbitmq = RabbitMq::start();
    rabbitmq.change_password("another");
    let refused = Connection::connect(&rabbitmq.url(), ConnectionProperties::default()).await;
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("ACCESS_REFUSED") || error.contains("ACCESS-REFUSED"), "{error}");
    connect(&rabbitmq.url().replace("guest:guest", "guest:another")).await;
}

#[tokio::test]
async fn a_deleted_queue_is_gone() {
    let rabbitmq = with_one_message().await;
    rabbitmq.delete_queue("kept");
    let connection = connect(&rabbitmq.url()).await;
    let channel = connection.create_channel().await.unwrap();
    let error = channel.basic_get("kept".into(), BasicGetOptions::default()).await.unwrap_err();
    assert!(error.to_string().contains("no queue 'kept'"), "{error}");
}

#[tokio::test]
async fn a_sealed_server_is_reached_by_who_trusts_its_authority() {
    let rabbitmq = RabbitMq::start_sealed();
    let url = rabbitmq.sealed_url();
    let trusting = |cert_chain| {
        let config = OwnedTLSConfig { cert_chain, ..OwnedTLSConfig::default() };
        let runtime = lapin::runtime::default_runtime().unwrap();
        let properties = ConnectionProperties::default();
        in_time(Connection::connect_with_config(&url, properties, config, runtime))
    };
    let authority = std::fs::read_to_string(rabbitmq.authority()).unwrap();
    let connection = trusting(Some(authority)).await.unwrap();
    declare(&connection, "sealed").await;
    let error = trusting(None).await.unwrap_err().to_string();
    assert!(error.contains("UnknownIssuer"), "{error}");
}

#[test]
fn the_servers_own_tool_sees_this_server() {
    let rabbitmq = RabbitMq::start();
    rabbitmq.ctl(&["add_vhost", "another"]);
    let listed = rabbitmq.ctl(&["list_vhosts", "--no-table-headers"]);
    assert!(listed.lines().any(|line| line == "another"), "{listed}");
}

#[test]
fn an_error_of_the_server_is_the_panic() {
    let rabbitmq = RabbitMq::start();
    for (wrong, said) in [("1 = 2", "badmatch"), ("1 +", "syntax error"), ("throw(ball)", "ball")] {
        let panic = catch_unwind(AssertUnwindSafe(|| rabbitmq.eval(wrong))).unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.contains(said), "{text}");
    }
}

fn address(rabbitmq: &RabbitMq) -> String {
    let url = rabbitmq.url();
    url.strip_prefix("amqp://guest:guest@").unwrap().strip_suffix("/%2f").unwrap().to_owned()
}
