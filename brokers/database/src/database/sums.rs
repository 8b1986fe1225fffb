//! [`Sums`]: what a transaction adds to the counts and times of tasks.

use std::collections::{BTreeMap, HashMap};

use super::args::Args;
use super::connection::Connection;
use super::finish::{push_seq, same};
use super::row;
use super::session::Session;
use super::statements::history as sql;

/// What is not written yet, by the number of the task, and which task has which number.
#[derive(Debug, Default)]
pub(super) struct Sums {
    by_task: BTreeMap<i64, Sum>,
    /// Jobs that were stored, by the name of the task, where sums are added up later.
    stored: BTreeMap<String, i64>,
    /// Kept between transactions: a task keeps its number.
    numbers: HashMap<String, i64>,
}

/// Of one task; times are milliseconds.
#[derive(Debug, Default)]
pub(super) struct Sum {
    pub(super) stored: i64,
    pub(super) done: i64,
    pub(super) failed: i64,
    pub(super) cancelled: i64,
    pub(super) expired: i64,
    pub(super) retried: i64,
    pub(super) lost: i64,
    runs: i64,
    run_ms: i64,
    longest_run_ms: i64,
    wait_ms: i64,
    longest_wait_ms: i64,
}

impl Sum {
    /// Counts a delivery that ran to its end.
    pub(super) fn add_run(&mut self, ran_ms: i64, waited_ms: i64) {
        // The clock of a machine may be set back.
        let (ran_ms, waited_ms) = (ran_ms.max(0), waited_ms.max(0));
        self.runs += 1;
        self.run_ms = self.run_ms.saturating_add(ran_ms);
        self.longest_run_ms = self.longest_run_ms.max(ran_ms);
        self.wait_ms = self.wait_ms.saturating_add(waited_ms);
        self.longest_wait_ms = self.longest_wait_ms.max(waited_ms);
    }
}

impl Sums {
    /// Those of a task by its number.
    pub(super) fn of(&mut self, number: i64) -> &mut Sum {
        self.by_task.entry(number).or_default()
    }

    /// Adds it all to the table.
    pub(super) async fn write(
        &mut self,
        connection: &mut Connection<'_>,
    ) -> Result<(), sqlx::Error> {
        let stored: Vec<_> = std::mem::take(&mut self.stored).into_iter().collect();
        let push = |args: &mut Args, (task, stored): &(String, i64)| {
            args.push(task.as_str());
            args.push(*stored);
        };
        connection.execute_bulk(&sql::ADD_STORED, &stored, push, same).await?;
        if self.by_task.is_empty() {
            return Ok(());
        }
        let sums: Vec<_> = std::mem::take(&mut self.by_task).into_iter().collect();
        let push = |args: &mut Args, (number, sum): &(i64, Sum)| {
            args.push(*number);
            for value in [
                sum.stored,
                sum.done,
                sum.failed,
                sum.cancelled,
                sum.expired,
                sum.retried,
                sum.lost,
                sum.runs,
                sum.run_ms,
                sum.longest_run_ms,
                sum.wait_ms,
                sum.longest_wait_ms,
            ] {
                args.push(value);
            }
        };
        connection.execute_bulk(&sql::ADD_UP, &sums, push, same).await?;
        Ok(())
    }

    /// Forgets what was not written, and numbers that may not have been given.
    pub(super) fn roll_back(&mut self) {
        self.by_task.clear();
        self.stored.clear();
        self.numbers.clear();
    }
}

impl Session<'_> {
    /// Counts a job that was stored. Elsewhere than on a file its task gets no number yet: a number
    /// that a long transaction has given keeps others from giving it.
    pub(super) async fn count_stored(&mut self, task: &str) -> Result<(), sqlx::Error> {
        if self.sql.dialect.is_serial() {
            let number = self.task(task).await?;
            self.sums.of(number).stored += 1;
        } else if let Some(stored) = self.sums.stored.get_mut(task) {
            *stored += 1;
        } else {
            self.sums.stored.insert(task.to_owned(), 1);
        }
        Ok(())
    }

    /// The number of a task, which it gets if it has none.
    pub(super) async fn task(&mut self, name: &str) -> Result<i64, sqlx::Error> {
        if let Some(number) = self.sums.numbers.get(name) {
            return Ok(*number);
        }
        let number = self.sql.insert_numbered(sql::TASK_NUMBER, Args::new().with(name)).await?;
        let numbers = &mut self.sums.numbers;
        if numbers.len() == MAX_NUMBERS {
            numbers.clear();
        }
        numbers.insert(name.to_owned(), number);
        Ok(number)
    }

    /// Counts these jobs, of whatever tasks; their rows are there.
    pub(super) async fn count(
        &mut self,
        seqs: &[i64],
        add: impl Fn(&mut Sum, i64),
    ) -> Result<(), sqlx::Error> {
        for row in self.sql.fetch_bulk(&sql::TASKS_OF, seqs, push_seq, same).await? {
            let number = self.task(&row::text(&row, "task")?).await?;
            add(self.sums.of(number), row::integer(&row, "jobs")?);
        }
        Ok(())
    }
}

/// Bounds the memory of a store whose users make up task names.
const MAX_NUMBERS: usize = 10_000;
