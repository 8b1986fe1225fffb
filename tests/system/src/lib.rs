//! What whole-system tests share: a [`World`] for each broker, tasks, worker processes.

mod journal;
pub mod poison;
mod process;
mod queues;
pub mod refused;
pub mod tasks;
mod world;

pub use journal::Journal;
pub use process::{Store, WorkerProcess};
pub use world::{Running, World, run};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("the system has a temporary folder")
}

/// Makes each `async fn name(world: World)` one test for each broker.
///
/// After `carried;` also for RabbitMQ with a store, after `carried, alone;` for RabbitMQ without one,
/// too. After `carried, keeping EVENTS;` with stores that keep so many events.
#[macro_export]
macro_rules! on_each_broker {
    (carried, alone; $($cases:tt)+) => {
        $crate::on_worlds! {
            [memory sqlite postgres mysql rabbitmq_with_sqlite rabbitmq_with_postgres rabbitmq];
            $crate::World::EVENTS; $($cases)+
        }
    };
    (carried, keeping $events:expr; $($cases:tt)+) => {
        $crate::on_worlds! {
            [memory sqlite postgres mysql rabbitmq_with_sqlite rabbitmq_with_postgres];
            $events; $($cases)+
        }
    };
    (carried; $($cases:tt)+) => {
        $crate::on_each_broker! { carried, keeping $crate::World::EVENTS; $($cases)+ }
    };
    ($($cases:tt)+) => {
        $crate::on_worlds! { [memory sqlite postgres mysql]; $crate::World::EVENTS; $($cases)+ }
    };
}

/// Makes each `async fn name(world: World)` one test for each of these [`World`]s.
#[doc(hidden)]
#[macro_export]
macro_rules! on_worlds {
    ($worlds:tt; $events:expr; $(
        $(#[doc = $doc:expr])* async fn $name:ident($world:ident: World) $body:block
    )+) => {$(
        $(#[doc = $doc])*
        mod $name {
            #[allow(unused_imports, reason = "a case may need nothing from around it")]
            use super::*;

            async fn case($world: $crate::World) $body

            $crate::on_worlds! { each $worlds $events }
        }
    )+};
    (each [$($world:ident)+] $events:expr) => {$(
        #[test]
        fn $world() {
            $crate::run(|| $crate::World::$world($events), case);
        }
    )+};
}

/// Makes each `async fn name(store: Store)` one test for each store that several processes can
/// work on.
///
/// After `carried;` also for RabbitMQ with a store, after `carried, alone;` for RabbitMQ without one,
/// too.
#[macro_export]
macro_rules! on_each_store {
    (carried, alone; $($cases:tt)+) => {
        $crate::on_stores! {
            [sqlite postgres mysql rabbitmq_with_sqlite rabbitmq_with_postgres rabbitmq];
            $($cases)+
        }
    };
    (carried; $($cases:tt)+) => {
        $crate::on_stores! {
            [sqlite postgres mysql rabbitmq_with_sqlite rabbitmq_with_postgres]; $($cases)+
        }
    };
    ($($cases:tt)+) => {
        $crate::on_stores! { [sqlite postgres mysql]; $($cases)+ }
    };
}

/// Makes each `async fn name(store: Store)` one test for each of these [`Store`]s.
#[doc(hidden)]
#[macro_export]
macro_rules! on_stores {
    ($stores:tt; $(
        $(#[doc = $doc:expr])* async fn $name:ident($store:ident: Store $(,)?) $body:block
    )+) => {$(
        $(#[doc = $doc])*
        mod $name {
            #[allow(unused_imports, reason = "a case may need nothing from around it")]
            use super::*;

            async fn case($store: $crate::Store) $body

            $crate::on_stores! { each $stores }
        }
    )+};
    (each [$($store:ident)+]) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $store() {
            $crate::Store::$store().run(case).await;
        }
    )+};
}
