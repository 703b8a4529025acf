//! How a command reaches the broker: over the control socket of the one that runs, or in one of its own that lives
//! for this command.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use doorward_broker::control::{self, Client, Request, SecretText};
use doorward_broker::shell::Headless;
use doorward_broker::views::{Status, StoreState};
use doorward_broker::{
    Handle, Holder, HolderKind, Keys, Running, StartError, SteadyClock, SystemClock,
};
use doorward_core::problem::{Code, Refusal};
use doorward_host::{Folders, Settings};
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::passphrase::PassphraseFrom;

/// Another command holds the folder for a moment only; this long it is waited for.
const OTHERS_END_WITHIN: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(100);
/// A person who mistypes gets so many tries.
const PASSPHRASE_TRIES: usize = 3;

/// A way to ask the broker.
pub(crate) enum Link {
    /// It runs elsewhere.
    Socket {
        /// The connection.
        client: Client,
        /// The folder it holds.
        data: PathBuf,
    },
    /// It runs here.
    Here(Handle),
}

impl Link {
    /// Asks one question.
    pub(crate) async fn ask<T: DeserializeOwned>(&mut self, request: Request) -> Outcome<T> {
        let answer: Result<T, Refusal> = match self {
            Self::Socket { client, .. } => client
                .ask(&request)
                .await
                .map_err(|error| broke_off(&error))?,
            Self::Here(handle) => {
                let text = control::answer(handle, request).await;
                serde_json::from_str(&text).map_err(|error| broke_off(&io::Error::other(error)))?
            }
        };
        Ok(answer?)
    }

    /// A second way to the same broker, for a question while another waits for its answer.
    pub(crate) async fn another(&self) -> Outcome<Self> {
        match self {
            Self::Socket { data, .. } => {
                let client = Client::connect(data)
                    .await
                    .map_err(|error| broke_off(&error))?;
                Ok(Self::Socket {
                    client,
                    data: data.clone(),
                })
            }
            Self::Here(handle) => Ok(Self::Here(handle.clone())),
        }
    }

    /// Whether the broker goes on after this command.
    pub(crate) const fn is_running_elsewhere(&self) -> bool {
        matches!(self, Self::Socket { .. })
    }
}

fn broke_off(error: &io::Error) -> Failure {
    Failure::new(
        "unreachable",
        format!("Doorward did not answer: {error}."),
        "See whether it still runs with `doorward status`; run the command again then.",
    )
}

/// The control socket and the folder around it are closed to everybody but their owner.
fn of_another_user(data: &Path) -> Failure {
    Failure::new(
        "unreachable",
        format!(
            "{} belongs to another user of this machine.",
            data.display()
        ),
        "Run the command as that user, or name a folder of your own with `--data-dir DIR`.",
    )
}

/// What a command works with.
pub(crate) struct Context {
    /// For whom it prints.
    pub(crate) output: Output,
    /// Where things lie.
    pub(crate) folders: Folders,
    /// What the person settled.
    pub(crate) settings: Settings,
    /// Where the passphrase comes from.
    pub(crate) passphrase: PassphraseFrom,
    own: Option<(Handle, Running)>,
}

impl Context {
    pub(crate) fn new(
        output: Output,
        folders: Folders,
        settings: Settings,
        passphrase: PassphraseFrom,
    ) -> Self {
        Self {
            output,
            folders,
            settings,
            passphrase,
            own: None,
        }
    }

    /// The broker that runs, where one does.
    pub(crate) async fn running(&self) -> Outcome<Option<Link>> {
        match Client::connect(&self.folders.data).await {
            Ok(client) => Ok(Some(Link::Socket {
                client,
                data: self.folders.data.clone(),
            })),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(of_another_user(&self.folders.data))
            }
            Err(error) => Err(broke_off(&error)),
        }
    }

    /// The broker that runs; without one the command is of no use.
    pub(crate) async fn running_required(&self) -> Outcome<Link> {
        self.running().await?.ok_or_else(Failure::not_running)
    }

    /// The broker that runs, or one of our own on the store that is there.
    pub(crate) async fn on_store(&mut self) -> Outcome<Link> {
        if let Some(link) = self.running().await? {
            return Ok(link);
        }
        if !self.folders.has_store() {
            return Err(Failure::new(
                "store_missing",
                "There is nothing yet: no store has been made.",
                "`doorward connect fastio` makes the first connection, and the store with it.",
            ));
        }
        self.on_any_store().await
    }

    /// The broker that runs, or one of our own on a store that is made where there is none.
    pub(crate) async fn on_any_store(&mut self) -> Outcome<Link> {
        let mut link = self.without_unlocking().await?;
        if !link.is_running_elsewhere() {
            self.unlock(&mut link).await?;
        }
        Ok(link)
    }

    /// The same, with the store left as it is found.
    pub(crate) async fn without_unlocking(&mut self) -> Outcome<Link> {
        let mut waited = Duration::ZERO;
        loop {
            if let Some(link) = self.running().await? {
                return Ok(link);
            }
            doorward_host::hardening::forbid_looking_in();
            match self.start(HolderKind::Command, self.keys(None)).await {
                Ok((handle, running)) => {
                    self.own = Some((handle.clone(), running));
                    return Ok(Link::Here(handle));
                }
                Err(_)
                    if doorward_broker::holder(&self.folders.data).is_some()
                        && waited < OTHERS_END_WITHIN =>
                {
                    tokio::time::sleep(STEP).await;
                    waited += STEP;
                }
                Err(error) => return Err(self.start_failure(&error)),
            }
        }
    }

    /// Starts a broker in this process.
    pub(crate) async fn start(
        &self,
        holder: HolderKind,
        keys: Keys,
    ) -> Result<(Handle, Running), StartError> {
        let config = doorward_host::config(&self.folders, holder, keys);
        doorward_broker::start(config, Arc::new(Headless), Arc::new(SteadyClock::start())).await
    }

    /// Where the key of a new store comes from.
    pub(crate) fn keys(&self, flag: Option<crate::args::KeysChoice>) -> Keys {
        flag.map(Keys::from)
            .or(self.settings.keys)
            .unwrap_or(Keys::Keyring)
    }

    /// Opens the store of a broker in this process, asking for the passphrase where it needs one.
    pub(crate) async fn unlock(&self, link: &mut Link) -> Outcome {
        let status: Status = link.ask(Request::Status).await?;
        match status.store {
            StoreState::Unlocked => Ok(()),
            state @ (StoreState::Locked | StoreState::New) => {
                self.unlock_as(link, state, wants_passphrase(&status)).await
            }
        }
    }

    /// Opens a store that is in this state, with or without a passphrase.
    pub(crate) async fn unlock_as(
        &self,
        link: &mut Link,
        state: StoreState,
        with_passphrase: bool,
    ) -> Outcome {
        if !with_passphrase {
            match link.ask(Request::Unlock { passphrase: None }).await {
                // A new store that was told to have one knows before anybody else does.
                Err(failure) if failure.is(Code::PassphraseRequired) => {}
                answer => return answer,
            }
        }
        let mut tries = if self.passphrase.is_unattended() {
            1
        } else {
            PASSPHRASE_TRIES
        };
        loop {
            let mut typed = match state {
                StoreState::New => self.passphrase.chosen().await?,
                StoreState::Locked | StoreState::Unlocked => self.passphrase.known().await?,
            };
            let passphrase = Some(SecretText::new(std::mem::take(&mut *typed)));
            tries -= 1;
            match link.ask(Request::Unlock { passphrase }).await {
                Err(failure) if failure.is(Code::PassphraseWrong) && tries > 0 => {
                    self.output.note(&crate::output::failure_text(&failure));
                }
                answer => return answer,
            }
        }
    }

    /// Where the desktop app holds the folder, its window approves: nobody is asked for a PIN in vain.
    pub(crate) fn check_terminal_approves(&self) -> Outcome {
        if window_approves(&self.folders.data) {
            return Err(Refusal::new(
                Code::NeedsWindow,
                "The desktop app holds Doorward, and there approvals are given in its window alone.",
                "Open the Doorward window; the request waits there.",
            )
            .into());
        }
        Ok(())
    }

    /// Ends the broker of this command, after what is under way in the store.
    pub(crate) async fn close(&mut self) {
        if let Some((handle, running)) = self.own.take() {
            handle.stop().await;
            running.ended().await;
        }
    }

    /// Why no broker could be started here. Where another has the folder, who it is.
    pub(crate) fn start_failure(&self, error: &StartError) -> Failure {
        match doorward_broker::holder(&self.folders.data) {
            Some(holder) => held_by(&holder, &self.folders.data),
            None => error.refusal().into(),
        }
    }
}

/// Whether the desktop application holds the folder: its window approves then, and no PIN is of any use.
pub(crate) fn window_approves(data: &Path) -> bool {
    doorward_broker::holder(data).is_some_and(|holder| holder.kind == HolderKind::Desktop)
}

/// Whether a store opens with a passphrase, as its status tells.
pub(crate) fn wants_passphrase(status: &Status) -> bool {
    status.keys.as_deref() == Some("passphrase")
        || status
            .locked_because
            .as_ref()
            .is_some_and(|refusal| refusal.code == Code::PassphraseRequired)
}

fn held_by(holder: &Holder, data: &Path) -> Failure {
    let now = doorward_broker::Clock::now(&SystemClock);
    let Holder { pid, kind, since } = holder;
    let hint = match kind {
        HolderKind::Serve => format!(
            "Use that one: `doorward status` shows it. To start anew, end it first: `kill {pid}`."
        ),
        HolderKind::Desktop => {
            "Use the app, which runs already, or quit it from its menu first.".to_owned()
        }
        HolderKind::Command => "Wait until that command has ended, then run this again.".to_owned(),
    };
    Failure::new(
        "held",
        format!(
            "{} is held by {kind}, process {pid}, since {} ({}).",
            data.display(),
            since.to_rfc3339(),
            crate::words::moment(now, *since)
        ),
        hint,
    )
}
