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
#[macro_export]
macro_rules! on_each_broker {
    ($($(#[doc = $doc:expr])* async fn $name:ident($world:ident: World) $body:block)+) => {$(
        $(#[doc = $doc])*
        mod $name {
            #[allow(unused_imports, reason = "a case may need nothing from around it")]
            use super::*;

            async fn case($world: $crate::World) $body

            #[test]
            fn memory() {
                $crate::run($crate::World::memory, case);
            }

            #[test]
            fn sqlite() {
                $crate::run($crate::World::sqlite, case);
            }
        }
    )+};
}
