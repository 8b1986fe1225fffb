//! The heavy work between a request and its answer, moved out of it.

use std::collections::BTreeMap;

use hereafter::prelude::*;
use serde::Deserialize;

/// One line of the orders that a client sends.
#[derive(Debug, Deserialize)]
struct Order {
    customer: String,
    amount: f64,
}

/// Sums orders by customer: CSV in, CSV out.
#[register_task(queue = "reports", retry_if = is_worth_another_try)]
pub(crate) fn sales_report(orders: String) -> Result<String, csv::Error> {
    let mut sales: BTreeMap<String, (u64, f64)> = BTreeMap::new();
    for order in csv::Reader::from_reader(orders.as_bytes()).deserialize() {
        let Order { customer, amount } = order?;
        let (orders, sum) = sales.entry(customer).or_default();
        *orders += 1;
        *sum += amount;
    }
    let mut report = csv::Writer::from_writer(Vec::new());
    report.write_record(["customer", "orders", "amount"])?;
    for (customer, (orders, amount)) in sales {
        report.write_record([customer, orders.to_string(), format!("{amount:.2}")])?;
    }
    let bytes = report.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A broken line stays broken; only trouble with the outside is worth another try.
fn is_worth_another_try(error: &csv::Error) -> bool {
    error.is_io_error()
}
