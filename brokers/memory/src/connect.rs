//! Opening a `memory:` URL.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use taskcore::broker::{ConnectError, Connection};
use taskcore::{Clock, QueueName};

use crate::broker::MemoryBroker;
use crate::store::Store;

/// The stores that have a name, while somebody holds them. Names are what two parts of one
/// program agree on, so there is nothing smaller than the process to keep them in.
static NAMED: Mutex<Option<HashMap<String, Weak<Store>>>> = Mutex::new(None);

/// Opens `memory://` or `memory://name`.
///
/// Without a name, each call opens a store of its own. With one, all calls of this process
/// that give the same name open the same store, as long as one of its connections lives.
///
/// # Errors
///
/// [`ConnectError::InvalidUrl`] if the URL has another scheme, or a name with characters other
/// than `a-z A-Z 0-9 _ - .`.
pub fn connect(url: &str) -> Result<Connection, ConnectError> {
    let invalid = |reason: &str| ConnectError::InvalidUrl {
        url: url.to_owned(),
        reason: format!("{reason}: write `memory://` or `memory://name`"),
    };
    let rest = url.strip_prefix("memory:").ok_or_else(|| invalid("it does not start so"))?;
    let name = rest.strip_prefix("//").unwrap_or(rest).trim_end_matches('/');
    if name.is_empty() {
        return Ok(MemoryBroker::new().connection());
    }
    if QueueName::new(name).is_err() {
        return Err(invalid(
            "a name has 1 to 64 characters out of a-z, A-Z, 0-9, `_`, `-` and `.`",
        ));
    }
    Ok(MemoryBroker::to(named(name)).connection())
}

fn named(name: &str) -> Arc<Store> {
    let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
    let named = named.get_or_insert_default();
    named.retain(|_, store| store.strong_count() > 0);
    if let Some(store) = named.get(name).and_then(Weak::upgrade) {
        return store;
    }
    let store = Arc::new(Store::new(Clock::system()));
    named.insert(name.to_owned(), Arc::downgrade(&store));
    store
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn has_default_queue_paused(connection: &Connection) -> bool {
        let queues = connection.operate.as_ref().unwrap().queues().await.unwrap();
        queues.iter().any(|queue| queue.paused)
    }

    async fn pause_default_queue(connection: &Connection) {
        let operate = connection.operate.as_ref().unwrap();
        operate.pause(&QueueName::DEFAULT, true).await.unwrap();
    }

    #[tokio::test]
    async fn one_name_is_one_store_while_somebody_holds_it() {
        let first = connect("memory://shared-while-held").unwrap();
        pause_default_queue(&first).await;
        let second = connect("memory://shared-while-held").unwrap();
        assert!(has_default_queue_paused(&second).await);
        drop((first, second));
        let later = connect("memory://shared-while-held").unwrap();
        assert!(!has_default_queue_paused(&later).await);
    }

    #[tokio::test]
    async fn without_a_name_each_call_opens_its_own_store() {
        let first = connect("memory://").unwrap();
        pause_default_queue(&first).await;
        assert!(!has_default_queue_paused(&connect("memory://").unwrap()).await);
    }

    #[test]
    fn a_wrong_url_is_named_with_what_to_write_instead() {
        for url in ["memory://a b", "memory://a?x=1", "sqlite://a", "memory"] {
            let error = connect(url).unwrap_err().to_string();
            assert!(error.contains(url) && error.contains("write `memory://`"), "{error}");
        }
    }
}
