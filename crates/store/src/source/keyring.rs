//! The keyring of the operating system: Secret Service, Keychain, Credential Manager.
//!
//! The hard problem is that a keyring may answer never: a locked one asks a person, who may be asleep. So every call
//! runs on a thread of its own with a connection of its own and a time limit. A call that hangs is left behind with
//! its thread and holds nothing that a later call needs; the next one sees the keyring as it is then, which is why no
//! connection is kept either. (The `keyring` crate keeps one for the whole process, made once; hence its parts.)

use std::time::Duration;

use keyring_core::api::CredentialStoreApi as _;
use keyring_core::{Entry, Error};
use zeroize::Zeroizing;

use super::{Kek, KekId, KeySource, KeySourceError, SourceFuture, SourceKind};

/// A build for development never touches the keys of the installed program.
const SERVICE: &str = if cfg!(debug_assertions) {
    "Doorward (development)"
} else {
    "Doorward"
};
/// Long enough for a slow keyring, too short to be taken for a crash.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The keyring of the operating system.
pub struct OsKeyring {
    service: String,
    time_limit: Duration,
}

impl OsKeyring {
    /// The keyring, with a time limit of ten seconds.
    #[must_use]
    pub fn new() -> Self {
        Self {
            service: SERVICE.to_owned(),
            time_limit: TIME_LIMIT,
        }
    }

    /// The same, waiting that long: where a person was just asked to unlock it.
    #[must_use]
    pub fn with_time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    async fn call<T: Send + 'static>(
        &self,
        id: KekId,
        act: impl FnOnce(&Entry) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, KeySourceError> {
        let (service, account) = (self.service.clone(), id.to_string());
        let (answer, answered) = tokio::sync::oneshot::channel();
        // Not the runtime's pool: a runtime that shuts down waits for its blocking tasks.
        std::thread::Builder::new()
            .name("doorward-keyring".to_owned())
            .spawn(move || {
                let outcome = entry(&service, &account)
                    .and_then(|entry| act(&entry).map_err(|error| read(&error)));
                // Nobody is there any longer to be told.
                drop(answer.send(outcome));
            })
            .map_err(|error| {
                KeySourceError::Other(format!("no thread for the OS keyring: {error}"))
            })?;
        match tokio::time::timeout(self.time_limit, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(KeySourceError::Other(
                "the OS keyring's client failed".to_owned(),
            )),
            Err(_) => Err(KeySourceError::TimedOut {
                seconds: self.time_limit.as_secs(),
            }),
        }
    }

    async fn read(&self, id: KekId) -> Result<Option<Kek>, KeySourceError> {
        let found = self
            .call(id, |entry| match entry.get_secret() {
                Ok(secret) => Ok(Some(Zeroizing::new(secret))),
                Err(Error::NoEntry) => Ok(None),
                Err(error) => Err(error),
            })
            .await?;
        let Some(secret) = found else { return Ok(None) };
        let bytes = <[u8; 32]>::try_from(secret.as_slice()).map_err(|_| {
            KeySourceError::Other("what the OS keyring holds is not a key".to_owned())
        })?;
        Ok(Some(Kek::from_bytes(bytes)))
    }
}

impl Default for OsKeyring {
    fn default() -> Self {
        Self::new()
    }
}

impl KeySource for OsKeyring {
    fn kind(&self) -> SourceKind {
        SourceKind::Keyring
    }

    fn make(&self, id: KekId) -> SourceFuture<'_, (Kek, String)> {
        Box::pin(async move {
            let kek = Kek::random()?;
            let secret = Zeroizing::new(*kek.expose());
            self.call(id, move |entry| entry.set_secret(secret.as_slice()))
                .await?;
            // What is sealed under a key that the keyring did not keep is lost.
            match self.read(id).await? {
                Some(kept) if kept.expose() == kek.expose() => Ok((kek, String::new())),
                _ => Err(KeySourceError::Other(
                    "the OS keyring did not keep the key".to_owned(),
                )),
            }
        })
    }

    fn find<'a>(&'a self, id: KekId, _recipe: &'a str) -> SourceFuture<'a, Option<Kek>> {
        Box::pin(self.read(id))
    }

    fn forget(&self, id: KekId) -> SourceFuture<'_, ()> {
        Box::pin(self.call(id, |entry| match entry.delete_credential() {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(error) => Err(error),
        }))
    }
}

fn entry(service: &str, account: &str) -> Result<Entry, KeySourceError> {
    #[cfg(target_os = "macos")]
    use apple_native_keyring_store::keychain::Store;
    #[cfg(windows)]
    use windows_native_keyring_store::Store;
    #[cfg(all(unix, not(target_os = "macos")))]
    use zbus_secret_service_keyring_store::Store;

    let store = Store::new().map_err(|error| KeySourceError::Absent(plain(&error)))?;
    store
        .build(service, account, None)
        .map_err(|error| read(&error))
}

fn read(error: &Error) -> KeySourceError {
    if let Error::NoStorageAccess(_) = error {
        KeySourceError::Locked(plain(error))
    } else {
        KeySourceError::Other(plain(error))
    }
}

/// What the bus says, without the names of its client and of its errors.
fn in_words(said: &str) -> &str {
    let said = ["zbus error: ", "SS error: "]
        .into_iter()
        .find_map(|client| said.strip_prefix(client))
        .unwrap_or(said);
    match said.split_once(": ") {
        Some((name, rest)) if name.starts_with("org.freedesktop.") => rest.trim_end_matches('.'),
        _ => said,
    }
}

/// What happened, without what a variant may carry: some hold the secret that could not be read.
fn plain(error: &Error) -> String {
    if let Error::PlatformFailure(cause) | Error::NoStorageAccess(cause) = error {
        in_words(&cause.to_string()).to_owned()
    } else if let Error::Ambiguous(found) = error {
        format!("it holds {} keys of one name", found.len())
    } else if let Error::BadEncoding(_) | Error::BadDataFormat(..) = error {
        "what it holds cannot be read".to_owned()
    } else {
        error.to_string()
    }
}
