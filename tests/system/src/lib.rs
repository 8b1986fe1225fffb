//! What whole-system tests share: a [`World`] for each broker, tasks, worker processes.

mod journal;
mod process;
pub mod refused;
pub mod tasks;
mod world;

pub use journal::Journal;
pub use process::{Store, WorkerProcess};
pub use world::{Running, World, run};

/// Makes each `async fn name(world: World)` one test for each broker.
///
/// After `keeping EVENTS;` with stores that keep so many events.
#[macro_export]
macro_rules! on_each_broker {
    (keeping $events:expr; $(
        $(#[doc = $doc:expr])* async fn $name:ident($world:ident: World) $body:block
    )+) => {$(
        $(#[doc = $doc])*
        mod $name {
            #[allow(unused_imports, reason = "a case may need nothing from around it")]
            use super::*;

            async fn case($world: $crate::World) $body

            #[test]
            fn memory() {
                $crate::run(|| $crate::World::memory_keeping($events), case);
            }

            #[test]
            fn sqlite() {
                $crate::run(|| $crate::World::sqlite_keeping($events), case);
            }

            #[test]
            fn postgres() {
                $crate::run(|| $crate::World::postgres_keeping($events), case);
            }

            #[test]
            fn mysql() {
                $crate::run(|| $crate::World::mysql_keeping($events), case);
            }
        }
    )+};
    ($($cases:tt)+) => {
        $crate::on_each_broker! { keeping $crate::World::EVENTS; $($cases)+ }
    };
}

/// Makes each `async fn name(store: Store)` one test for each store that several processes can
/// work on.
#[macro_export]
macro_rules! on_each_store {
    ($($(#[doc = $doc:expr])* async fn $name:ident($store:ident: Store $(,)?) $body:block)+) => {$(
        $(#[doc = $doc])*
        mod $name {
            #[allow(unused_imports, reason = "a case may need nothing from around it")]
            use super::*;

            async fn case($store: $crate::Store) $body

            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                case($crate::Store::sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                case($crate::Store::postgres()).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn mysql() {
                case($crate::Store::mysql()).await;
            }
        }
    )+};
}
