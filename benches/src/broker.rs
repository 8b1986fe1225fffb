//! What can be measured.

use clap::ValueEnum;

/// A broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Broker {
    /// In this process
    Memory,
    /// In a file
    Sqlite,
    /// On a PostgreSQL server of its own
    Postgres,
    /// On a MariaDB server of its own
    Mysql,
    /// On a RabbitMQ server of its own, without a store
    Amqp,
    /// The same with a PostgreSQL server as its store
    #[value(name = "amqp+postgres")]
    AmqpPostgres,
}

impl Broker {
    /// Those that are measured if none is named.
    pub(crate) const ALL: [Self; 5] =
        [Self::Memory, Self::Sqlite, Self::Postgres, Self::Mysql, Self::Amqp];

    /// How it is called on the command line and in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Amqp => "amqp",
            Self::AmqpPostgres => "amqp+postgres",
        }
    }

    /// Whether jobs, and so their workers, are in this process.
    pub(crate) fn is_here(self) -> bool {
        self == Self::Memory
    }

    /// Whether it keeps what became of a job. Without that there are no streams, and no job waits for
    /// others.
    pub(crate) fn keeps_outcomes(self) -> bool {
        self != Self::Amqp
    }

    /// Jobs of one drain, so that it takes seconds.
    pub(crate) fn drained_jobs(self) -> u64 {
        match self {
            Self::Memory => 500_000,
            Self::Sqlite | Self::Postgres => 200_000,
            Self::Mysql => 100_000,
            Self::Amqp | Self::AmqpPostgres => 50_000,
        }
    }
}
