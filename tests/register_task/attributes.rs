//! Another name of the crate, macros, and the attributes of others.

use super::*;

mod renamed {
    pub(crate) mod queue {
        pub(crate) use hereafter::__private;
    }
}

#[register_task(crate = crate::attributes::renamed::queue)]
fn through_another_name(n: u8) -> u8 {
    n + 1
}

struct Counter;

#[register_task(crate = crate::attributes::renamed::queue)]
impl Counter {
    #[task]
    fn next(n: u8) -> u8 {
        n + 1
    }
}

#[test]
fn the_crate_may_have_another_name() {
    assert_eq!(through_another_name(1).call(), 2);
    assert_eq!(Counter::next(1).call(), 2);
}

macro_rules! tasks {
    ($($name:ident: $ty:ty => $value:expr;)+) => {$(
        #[register_task]
        fn $name(n: $ty) -> $ty {
            let added: $ty = $value;
            n + added
        }
    )+};
}

tasks! {
    add_one: u8 => 1;
    add_two: u64 => 2;
}

#[test]
fn a_macro_may_write_tasks() {
    assert_eq!(add_one(1).call(), 2);
    assert_eq!(add_two(1u64).call(), 3);
}

/// A task with attributes of every kind.
#[register_task]
#[cfg(test)]
#[cfg_attr(test, doc = "It stays.")]
#[expect(unused_variables, reason = "to see the expectation fulfilled")]
#[inline]
fn attributed(unused: u8) -> u8 {
    7
}

#[register_task]
#[cfg(any())]
fn configured_away(n: Missing) {}

#[test]
fn other_attributes_survive() {
    assert_eq!(attributed(1).call(), 7);
    assert!(hereafter::registry().find("register_task::attributes::configured_away").is_none());
}

#[hereafter::test]
async fn a_test_has_a_client_of_its_own(client: hereafter::Client) {
    let connection = client.connection().expect("it is connected");
    assert_eq!(connection.broker.name(), "memory");
}

#[hereafter::test]
async fn a_test_may_return_a_result() -> Result<(), Box<dyn std::error::Error>> {
    let job = through_another_name(1).delay().await?;
    hereafter::testing::drain().await;
    assert_eq!(job.await?, 2);
    Ok(())
}

#[hereafter::test]
#[should_panic(expected = "as it should")]
async fn a_test_keeps_its_attributes() {
    panic!("as it should");
}
