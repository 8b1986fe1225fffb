//! [`Trouble`]: what may go wrong, and how often each of it does.

use std::fmt;

use rand::RngExt;
use rand::rngs::StdRng;
use serde::Serialize;

use crate::server::Kind;

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Trouble {
    /// A worker is killed with SIGKILL, and replaced.
    KillWorker,
    KillProducer,
    /// A worker is asked to end with SIGTERM, and replaced.
    EndWorker,
    /// A process stands still for a while, as SIGSTOP has it.
    Freeze,
    /// Its wall clock jumps, and jumps back later.
    JumpClock,
    /// It may take a little more memory, and no more than that.
    LittleMemory,
    /// No file of it may grow, as on a full disk.
    FullDisk,
    /// The server is killed like a crash and started again.
    CrashServer,
    /// It is stopped in good order and started again.
    RestartServer,
    /// The store beside RabbitMQ is killed like a crash and started again.
    CrashStore,
    /// The server ends all sessions.
    EndSessions,
    /// The network ends all connections.
    Cut,
    /// The same in the middle of what is sent.
    CutInTheMiddle,
    /// What passes is late.
    Late,
    /// Only few bytes a second pass.
    Slow,
    /// Nothing passes, and nobody is told.
    Silent,
    /// Nothing passes, nobody is told, and what was sent is lost.
    Gone,
    /// Connections are refused.
    Closed,
}

impl Trouble {
    const ALL: [Self; 18] = [
        Self::KillWorker,
        Self::KillProducer,
        Self::EndWorker,
        Self::Freeze,
        Self::JumpClock,
        Self::LittleMemory,
        Self::FullDisk,
        Self::CrashServer,
        Self::RestartServer,
        Self::CrashStore,
        Self::EndSessions,
        Self::Cut,
        Self::CutInTheMiddle,
        Self::Late,
        Self::Slow,
        Self::Silent,
        Self::Gone,
        Self::Closed,
    ];

    /// How often it comes, beside the others, where it can.
    fn weight(self, kind: Kind) -> u32 {
        let is_file = matches!(kind, Kind::Sqlite);
        let is_database = matches!(kind, Kind::Postgres | Kind::Mysql);
        match self {
            Self::KillWorker => 6,
            Self::KillProducer | Self::EndWorker | Self::Freeze => 3,
            Self::JumpClock => 2,
            Self::LittleMemory => 1,
            Self::FullDisk => 4 * u32::from(is_file),
            Self::CrashServer => 2 * u32::from(!is_file),
            Self::RestartServer => u32::from(!is_file),
            Self::CrashStore => 2 * u32::from(kind.has_server_beside()),
            Self::EndSessions => 2 * u32::from(is_database),
            _ => 2 * u32::from(!is_file),
        }
    }

    /// One of those that this kind of system can have.
    pub(super) fn choose(kind: Kind, random: &mut StdRng) -> Self {
        let all: u32 = Self::ALL.iter().map(|trouble| trouble.weight(kind)).sum();
        let mut place = random.random_range(0..all);
        for trouble in Self::ALL {
            let weight = trouble.weight(kind);
            if place < weight {
                return trouble;
            }
            place -= weight;
        }
        unreachable!("the place is among the weights")
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KillWorker => "worker killed",
            Self::KillProducer => "producer killed",
            Self::EndWorker => "worker asked to end",
            Self::Freeze => "process stood still",
            Self::JumpClock => "clock jumped",
            Self::LittleMemory => "little memory",
            Self::FullDisk => "full disk",
            Self::CrashServer => "server crashed",
            Self::RestartServer => "server restarted",
            Self::CrashStore => "store crashed",
            Self::EndSessions => "sessions ended",
            Self::Cut => "connections cut",
            Self::CutInTheMiddle => "cut in the middle",
            Self::Late => "network late",
            Self::Slow => "network slow",
            Self::Silent => "network silent",
            Self::Gone => "network gone",
            Self::Closed => "connections refused",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;

    use super::*;
    use crate::rabbitmq::Results;

    fn seen(kind: Kind) -> BTreeSet<Trouble> {
        let mut random = StdRng::seed_from_u64(7);
        (0..2_000).map(|_| Trouble::choose(kind, &mut random)).collect()
    }

    #[test]
    fn each_kind_of_system_has_all_that_it_can_have() {
        use Trouble::{CrashStore, Cut, EndSessions, FullDisk};
        assert_eq!(seen(Kind::Amqp(Results::Postgres)).len(), Trouble::ALL.len() - 2);
        assert_eq!(seen(Kind::Postgres).len(), Trouble::ALL.len() - 2);
        assert!(seen(Kind::Postgres).is_superset(&[EndSessions, Cut].into()));
        let on_file = seen(Kind::Sqlite);
        assert!(on_file.contains(&FullDisk) && !on_file.contains(&Cut));
        assert!(!seen(Kind::Amqp(Results::None)).contains(&CrashStore));
    }
}
