//! The process default client: the one global that the client side has.

use std::env;
use std::sync::{PoisonError, RwLock};

use tokio::sync::Mutex;

use super::{Client, Mode};
use crate::broker::{ConnectError, Opener};
use crate::error::DelayError;

static DEFAULT: RwLock<Option<Client>> = RwLock::new(None);

/// Lets one caller open `HEREAFTER_URL` while the others wait for it.
static OPENING: Mutex<()> = Mutex::const_new(());

/// Opens a broker and makes it the process default: what `.delay()` uses outside of any scope.
///
/// `HEREAFTER_DISABLED` and `HEREAFTER_EAGER` (see [`Mode`]) are looked at first; with one of
/// them on, no broker is opened. Called again, the new client replaces the old one, which lives
/// on in the handles made through it.
///
/// # Errors
///
/// [`ConnectError`]; the default is then as it was.
pub async fn connect(url: impl Into<String>) -> Result<Client, ConnectError> {
    let client = Client::open(url).await?;
    set_default(client.clone());
    Ok(client)
}

/// Makes this client the process default; replaces an earlier one.
pub fn set_default(client: Client) {
    *DEFAULT.write().unwrap_or_else(PoisonError::into_inner) = Some(client);
}

impl Client {
    /// Opens a broker without making it the process default; otherwise as [`connect`].
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub async fn open(url: impl Into<String>) -> Result<Self, ConnectError> {
        match Mode::from_env()? {
            Mode::Normal => {}
            Mode::Eager => return Ok(Self::eager()),
            Mode::Disabled => return Ok(Self::disabled()),
        }
        Ok(Self::new((opener()?.open)(url.into()).await?))
    }
}

pub(super) fn default_client() -> Option<Client> {
    DEFAULT.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Opens the client that the environment describes, and makes it the default: `HEREAFTER_URL`, with
/// `HEREAFTER_RESULTS` as its store.
pub(super) async fn open_from_env(task: &'static str) -> Result<Client, DelayError> {
    let _one_at_a_time = OPENING.lock().await;
    if let Some(client) = default_client() {
        return Ok(client);
    }
    // In the other modes no broker is opened.
    let url = match (Mode::from_env().map_err(ConnectError::from)?, variable("HEREAFTER_URL")) {
        (Mode::Normal, None) => return Err(DelayError::NoClient { task: task.to_owned() }),
        (Mode::Normal, Some(url)) => match variable("HEREAFTER_RESULTS") {
            Some(results) => (opener()?.with_results)(&url, &results)?,
            None => url,
        },
        (_, url) => url.unwrap_or_default(),
    };
    Ok(connect(url).await?)
}

fn opener() -> Result<Opener, ConnectError> {
    inventory::iter::<Opener>.into_iter().next().copied().ok_or(ConnectError::NoBroker)
}

/// As for the command line, one that is set to nothing is not set.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
