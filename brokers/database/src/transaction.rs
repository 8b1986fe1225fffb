//! Storing jobs, and ending them, inside a transaction of the application.

use std::any::TypeId;
use std::future::Future;

use async_trait::async_trait;
use serde::Serialize;
use taskcore::broker::{BrokerError, Enqueued, NewJob, Settled, Settlement, Verdict};
use taskcore::{
    Call, Client, Codec, CodecError, Completing, Context, DelayError, Handle, Json, Ledger,
};

use crate::database::{DatabaseBroker, Driver, Held};

/// A transaction of sqlx that is open: jobs can be stored and ended in it.
///
/// Implemented for `sqlx::Transaction` of SQLite, PostgreSQL and MySQL, each where the feature is on, and
/// for the connections themselves, for those who write `BEGIN` by hand.
pub trait OpenTransaction: Send + sealed::Lend {}

mod sealed {
    use crate::database::Driver;

    #[expect(unnameable_types, reason = "so nobody else can implement it")]
    pub trait Lend {
        /// The connection, until it is given back.
        #[expect(private_interfaces, reason = "only this crate calls it")]
        fn lend(&mut self) -> Driver<'_>;
    }
}

macro_rules! open_transaction {
    ($feature:literal, $driver:ident, $database:ty, $connection:ty) => {
        #[cfg(feature = $feature)]
        impl OpenTransaction for sqlx::Transaction<'_, $database> {}

        #[cfg(feature = $feature)]
        impl sealed::Lend for sqlx::Transaction<'_, $database> {
            #[expect(private_interfaces, reason = "only this crate calls it")]
            fn lend(&mut self) -> Driver<'_> {
                Driver::$driver(Held::Lent(&mut **self))
            }
        }

        #[cfg(feature = $feature)]
        impl OpenTransaction for $connection {}

        #[cfg(feature = $feature)]
        impl sealed::Lend for $connection {
            #[expect(private_interfaces, reason = "only this crate calls it")]
            fn lend(&mut self) -> Driver<'_> {
                Driver::$driver(Held::Lent(self))
            }
        }
    };
}

open_transaction!("sqlite", Sqlite, sqlx::Sqlite, sqlx::SqliteConnection);
open_transaction!("postgres", Postgres, sqlx::Postgres, sqlx::PgConnection);
open_transaction!("mysql", Mysql, sqlx::MySql, sqlx::MySqlConnection);

/// Delays a call inside a transaction of the application.
pub trait DelayIn<T>: Sized {
    /// Stores the call as a job in this transaction: the job is there if and only if the
    /// transaction commits, and workers learn of it then. The transaction has to be on the database
    /// of the client's store.
    ///
    /// The client is that of the current scope, else the process default; see
    /// [`DelayAllIn`] to name one. Until the commit, the handle waits as for a job that is not known
    /// yet: await it afterwards.
    ///
    /// A call that has a unique key, or other calls as arguments, keeps all workers from settling
    /// jobs that others wait for until the transaction ends: delay it last, and commit. A plain call
    /// keeps nobody from anything on PostgreSQL; on SQLite a transaction that has written is the only
    /// one anyway.
    ///
    /// # Errors
    ///
    /// [`DelayError`], after which nothing of the call is in the transaction, which may go on. A
    /// database without our tables is refused with what to do.
    ///
    /// ```no_run
    /// # #[cfg(feature = "postgres")]
    /// # mod example {
    /// # use taskcore as hereafter;
    /// use hereafter::register_task;
    /// use taskbroker_database::DelayIn;
    ///
    /// #[register_task(crate = hereafter)]
    /// fn confirm(order: i64) {}
    ///
    /// async fn order(pool: &sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
    ///     let mut transaction = pool.begin().await?;
    ///     sqlx::query("INSERT INTO orders (id) VALUES (7)").execute(&mut *transaction).await?;
    ///     confirm(7).delay_in(&mut transaction).await?;
    ///     transaction.commit().await?;
    ///     Ok(())
    /// }
    /// # }
    /// ```
    fn delay_in<C: OpenTransaction>(
        self,
        transaction: &mut C,
    ) -> impl Future<Output = Result<Handle<T>, DelayError>> + Send;
}

impl<T, R, P> DelayIn<T> for Call<T, R, P>
where
    T: Send + 'static,
    R: Send + 'static,
    P: 'static,
{
    async fn delay_in<C: OpenTransaction>(
        self,
        transaction: &mut C,
    ) -> Result<Handle<T>, DelayError> {
        let task = self.task().name;
        let client = Client::current().ok_or_else(|| DelayError::NoClient { task: task.into() })?;
        client.delay_in(self, transaction).await
    }
}

/// Delays calls through a named client inside a transaction of the application.
pub trait DelayAllIn {
    /// As [`DelayIn::delay_in`], through this client.
    ///
    /// # Errors
    ///
    /// As there.
    fn delay_in<T, R, P, C>(
        &self,
        call: Call<T, R, P>,
        transaction: &mut C,
    ) -> impl Future<Output = Result<Handle<T>, DelayError>> + Send
    where
        T: Send + 'static,
        R: Send + 'static,
        P: 'static,
        C: OpenTransaction;

    /// Stores many calls in this transaction: all or none. Handles come in order.
    ///
    /// # Errors
    ///
    /// As for [`Client::delay_all`] and [`DelayIn::delay_in`].
    fn delay_all_in<T, R, P, C>(
        &self,
        calls: impl IntoIterator<Item = Call<T, R, P>> + Send,
        transaction: &mut C,
    ) -> impl Future<Output = Result<Vec<Handle<T>>, DelayError>> + Send
    where
        T: Send + 'static,
        R: Send + 'static,
        P: 'static,
        C: OpenTransaction;
}

impl DelayAllIn for Client {
    async fn delay_in<T, R, P, C>(
        &self,
        call: Call<T, R, P>,
        transaction: &mut C,
    ) -> Result<Handle<T>, DelayError>
    where
        T: Send + 'static,
        R: Send + 'static,
        P: 'static,
        C: OpenTransaction,
    {
        let mut ledger = TransactionLedger { client: self, transaction };
        self.delay_through(call, &mut ledger).await
    }

    async fn delay_all_in<T, R, P, C>(
        &self,
        calls: impl IntoIterator<Item = Call<T, R, P>> + Send,
        transaction: &mut C,
    ) -> Result<Vec<Handle<T>>, DelayError>
    where
        T: Send + 'static,
        R: Send + 'static,
        P: 'static,
        C: OpenTransaction,
    {
        let calls: Vec<_> = calls.into_iter().collect();
        let mut ledger = TransactionLedger { client: self, transaction };
        self.delay_all_through(calls, &mut ledger).await
    }
}

/// Stores jobs of a client in a transaction.
struct TransactionLedger<'a, C> {
    client: &'a Client,
    transaction: &'a mut C,
}

#[async_trait]
impl<C: OpenTransaction> Ledger for TransactionLedger<'_, C> {
    async fn enqueue(&mut self, batch: &[NewJob]) -> Result<Vec<Enqueued>, BrokerError> {
        database_of(self.client)?.enqueue_in(self.transaction.lend(), batch).await
    }
}

/// The broker of a client, if it is a database.
fn database_of(client: &Client) -> Result<&DatabaseBroker, BrokerError> {
    let broker = client.connection().map(|open| &*open.broker);
    let database = broker.and_then(|broker| broker.as_any()?.downcast_ref::<DatabaseBroker>());
    database.ok_or_else(|| {
        let name = broker.map_or("no broker", |broker| broker.name());
        BrokerError::Refused {
            broker: name,
            reason: "a transaction takes jobs of a database only: in tests of transactions use \
                     SQLite, `sqlite::memory:` or a file"
                .to_owned(),
            source: "the client has another broker".into(),
        }
    })
}

/// Ends the delivery that a task runs for inside a transaction of the task.
pub trait CompleteIn {
    /// Records in this transaction that the task is done, with this result: what the task writes and
    /// that it has run are one commit, so a crash never leaves one without the other.
    ///
    /// Call it last, then commit. What the task returns afterwards counts only if the commit did not
    /// happen. It does not matter to those who wait for the job when the task returns.
    ///
    /// # Errors
    ///
    /// - [`CompleteError::Stale`] if the job is no longer this delivery's: it was cancelled, or its
    ///   lease ended and another worker may run it. Roll back.
    /// - [`CompleteError::Detached`] in a direct call, which has no delivery.
    /// - The others leave the transaction as it was.
    ///
    /// ```no_run
    /// # #[cfg(feature = "postgres")]
    /// # mod example {
    /// # use taskcore as hereafter;
    /// use hereafter::{Context, State, register_task};
    /// use taskbroker_database::CompleteIn;
    ///
    /// type Error = Box<dyn std::error::Error + Send + Sync>;
    ///
    /// #[register_task(crate = hereafter)]
    /// async fn book(cx: Context, State(pool): State<sqlx::PgPool>, order: i64) -> Result<(), Error> {
    ///     let mut transaction = pool.begin().await?;
    ///     sqlx::query("UPDATE stock SET left = left - 1").execute(&mut *transaction).await?;
    ///     cx.complete_in(&mut transaction, &()).await?;
    ///     transaction.commit().await?;
    ///     Ok(())
    /// }
    /// # }
    /// ```
    fn complete_in<T, C>(
        &self,
        transaction: &mut C,
        result: &T,
    ) -> impl Future<Output = Result<(), CompleteError>> + Send
    where
        T: Serialize + Sync + 'static,
        C: OpenTransaction;
}

/// Why a delivery was not ended in a transaction.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompleteError {
    /// A direct call has no delivery.
    #[error("cannot complete task `{task}` in a transaction: it was called here and is no job")]
    Detached {
        /// The task.
        task: String,
    },
    /// The lease is over.
    #[error(
        "cannot complete task `{task}` in a transaction: its job is no longer this delivery's; roll back"
    )]
    Stale {
        /// The task.
        task: String,
    },
    /// The result has no encoded form.
    #[error("cannot encode the result of task `{task}`")]
    Encode {
        /// The task.
        task: String,
        /// Why.
        #[source]
        source: CodecError,
    },
    /// The result is larger than the worker takes.
    #[error(
        "the result of task `{task}` has {size} bytes and the limit is {limit}: store it elsewhere and return a \
         reference"
    )]
    TooLarge {
        /// The task.
        task: String,
        /// The size, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The database does not take it.
    #[error("cannot complete task `{task}` in a transaction")]
    Broker {
        /// The task.
        task: String,
        /// Why.
        #[source]
        source: BrokerError,
    },
}

impl CompleteIn for Context {
    async fn complete_in<T, C>(&self, transaction: &mut C, result: &T) -> Result<(), CompleteError>
    where
        T: Serialize + Sync + 'static,
        C: OpenTransaction,
    {
        let task = || self.task().to_owned();
        let (Some(completing), Some(client)) = (self.completing(), self.client()) else {
            return Err(CompleteError::Detached { task: task() });
        };
        let settlement = settlement(self, completing, result)?;
        let failed = |source| CompleteError::Broker { task: task(), source };
        let broker = database_of(client).map_err(failed)?;
        completing.try_it();
        match broker.settle_in(transaction.lend(), settlement).await.map_err(failed)? {
            Settled::Applied => Ok(()),
            _ => Err(CompleteError::Stale { task: task() }),
        }
    }
}

fn settlement<T: Serialize + 'static>(
    context: &Context,
    completing: &Completing,
    result: &T,
) -> Result<Settlement, CompleteError> {
    let task = || context.task().to_owned();
    let result = if TypeId::of::<T>() == TypeId::of::<()>() {
        None
    } else {
        let encoded = Json::encode(result);
        Some(encoded.map_err(|source| CompleteError::Encode { task: task(), source })?)
    };
    let limit = completing.result_limit;
    if let Some(size) = result.as_ref().map(|result| result.len()).filter(|size| *size > limit) {
        return Err(CompleteError::TooLarge { task: task(), size, limit });
    }
    Ok(Settlement {
        job: context.id(),
        receipt: completing.receipt.clone(),
        verdict: Verdict::Done { result, keep: completing.keep },
    })
}
