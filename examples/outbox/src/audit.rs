//! The books: what is stored, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use hereafter::Client;
use hereafter::broker::{JobFilter, JobState};

use crate::clients::{Answer, Post};
use crate::shop::{OrderRow, Shop};

/// Everything that is stored.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) orders: Vec<OrderRow>,
    /// The state of each job.
    pub(crate) jobs: BTreeMap<String, JobState>,
    /// The order of each mail.
    pub(crate) mails: Vec<i64>,
}

impl Books {
    /// Reads them. It is not one look: nobody should write meanwhile.
    pub(crate) async fn read(shop: &Shop, client: &Client) -> anyhow::Result<Self> {
        let operate = client.connection().and_then(|open| open.operate.as_ref());
        let jobs = operate.context("the broker has no list of jobs")?;
        let jobs = jobs.jobs(&JobFilter::default()).await?;
        let jobs = jobs.into_iter().map(|job| (job.id.to_string(), job.state)).collect();
        Ok(Self { orders: shop.orders().await?, jobs, mails: shop.mails().await? })
    }

    /// Jobs that have not ended.
    pub(crate) fn open_jobs(&self) -> usize {
        self.jobs.values().filter(|state| !state.is_final()).count()
    }

    /// What must not be, whenever everything is killed: an order without its job, or a job
    /// without an order; a mail without the end of its job, or the end without the mail.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut ordered = BTreeSet::new();
        let mut mails: BTreeMap<i64, usize> = BTreeMap::new();
        for order in &self.mails {
            *mails.entry(*order).or_default() += 1;
        }
        for (id, _, job) in &self.orders {
            let mails = mails.remove(id).unwrap_or(0);
            match job.as_ref().and_then(|job| Some((job, self.jobs.get(job)?))) {
                None => faults.push(format!("order {id} has no job, and {mails} mails")),
                Some((job, state)) => {
                    if !ordered.insert(job) {
                        faults.push(format!("order {id} has the job of another order"));
                    }
                    if mails != usize::from(*state == JobState::Done) {
                        faults
                            .push(format!("order {id} has {mails} mails, and its job is {state}"));
                    }
                }
            }
        }
        let alone = self.jobs.keys().filter(|job| !ordered.contains(job));
        faults.extend(alone.map(|job| format!("job {job} has no order")));
        faults.extend(mails.keys().map(|order| format!("there is a mail for no order, {order}")));
        faults
    }

    /// What must not be once all jobs had their time.
    pub(crate) fn unfinished(&self) -> Vec<String> {
        let waiting = self.jobs.iter().filter(|(_, state)| **state != JobState::Done);
        waiting.map(|(job, state)| format!("job {job} is {state}, and not done")).collect()
    }

    /// What customers were told, and is not so.
    pub(crate) fn broken_promises(&self, posts: &[Post]) -> Vec<String> {
        let mut stored: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, customer, _) in &self.orders {
            *stored.entry(customer).or_default() += 1;
        }
        let mut faults = Vec::new();
        for Post { customer, answer } in posts {
            let count = stored.remove(customer.as_str()).unwrap_or(0);
            let is_so = match answer {
                Answer::Accepted => count == 1,
                Answer::Refused => count == 0,
                Answer::Unknown | Answer::Failed(_) => count <= 1,
            };
            if !is_so {
                faults.push(format!("{customer} has {count} orders, and was told: {answer:?}"));
            }
        }
        faults.extend(stored.keys().map(|customer| format!("{customer} has ordered nothing")));
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two orders: the mail of the first is sent.
    fn books() -> Books {
        let order = |id: i64| (id, format!("customer {id}"), Some(format!("job {id}")));
        let jobs = [("job 1", JobState::Done), ("job 2", JobState::Ready)];
        Books {
            orders: vec![order(1), order(2)],
            jobs: jobs.map(|(job, state)| (job.to_owned(), state)).into(),
            mails: vec![1],
        }
    }

    fn post(customer: i64, answer: Answer) -> Post {
        Post { customer: format!("customer {customer}"), answer }
    }

    #[test]
    fn books_in_order_have_no_fault() {
        assert_eq!(books().faults(), [""; 0]);
        assert_eq!(books().open_jobs(), 1);
    }

    #[test]
    fn an_order_without_a_job_is_found() {
        let mut books = books();
        books.jobs.remove("job 2");
        assert_eq!(books.faults(), ["order 2 has no job, and 0 mails"]);
        books.orders[1].2 = None;
        assert_eq!(books.faults(), ["order 2 has no job, and 0 mails"]);
    }

    #[test]
    fn a_job_without_an_order_is_found() {
        let mut books = books();
        books.orders.pop();
        assert_eq!(books.faults(), ["job job 2 has no order"]);
    }

    #[test]
    fn a_job_of_two_orders_is_found() {
        let mut books = books();
        books.orders.push((3, "customer 3".to_owned(), Some("job 2".to_owned())));
        assert_eq!(books.faults(), ["order 3 has the job of another order"]);
    }

    #[test]
    fn a_second_mail_and_a_missing_one_and_an_early_one_are_found() {
        let mut books = books();
        books.mails = vec![1, 1];
        assert_eq!(books.faults(), ["order 1 has 2 mails, and its job is done"]);
        books.mails = vec![];
        assert_eq!(books.faults(), ["order 1 has 0 mails, and its job is done"]);
        books.mails = vec![1, 2];
        assert_eq!(books.faults(), ["order 2 has 1 mails, and its job is ready"]);
    }

    #[test]
    fn a_mail_without_an_order_is_found() {
        let mut books = books();
        books.mails.push(9);
        assert_eq!(books.faults(), ["there is a mail for no order, 9"]);
    }

    #[test]
    fn a_job_that_is_not_done_in_the_end_is_found() {
        assert_eq!(books().unfinished(), ["job job 2 is ready, and not done"]);
    }

    #[test]
    fn what_customers_were_told_is_checked() {
        let books = books();
        let told = |first, second| books.broken_promises(&[post(1, first), post(2, second)]);
        assert_eq!(told(Answer::Accepted, Answer::Unknown), [""; 0]);
        assert_eq!(told(Answer::Accepted, Answer::Refused).len(), 1);
        let lost =
            [post(1, Answer::Accepted), post(2, Answer::Accepted), post(3, Answer::Accepted)];
        assert_eq!(books.broken_promises(&lost).len(), 1);
        assert_eq!(books.broken_promises(&lost[..1]), ["customer 2 has ordered nothing"]);
    }
}
