//! How a person is told: what the desktop does with windows and notifications, a server does with its log.

use doorward_core::plan::Notice;

/// The person's side of the running application.
pub trait Shell: Send + Sync + 'static {
    /// Something happened that a person should know.
    fn tell(&self, notice: &Notice);
}

/// For machines without a display: the log is all there is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headless;

impl Shell for Headless {
    fn tell(&self, notice: &Notice) {
        match notice {
            Notice::ApprovalAsked(request) => {
                tracing::warn!(%request, "an agent asks for approval: `doorward requests` shows it");
            }
            Notice::CallAsked(question) => {
                tracing::warn!(%question, "an agent asks for a single call: `doorward requests` shows it");
            }
            Notice::ReconnectNeeded(connection) => {
                tracing::error!(%connection, "a connection has ended: `doorward connect` connects it again");
            }
            Notice::Recovered(connection) => {
                tracing::info!(%connection, "a connection works again");
            }
            Notice::ClientRejected(connection) => {
                tracing::error!(%connection, "a provider does not accept Doorward's registration: its client secret has expired or was changed; `doorward doctor` says what to do");
            }
            Notice::Misconfigured(connection) => {
                tracing::error!(%connection, "a provider refuses every renewal: `doorward doctor` says what to do");
            }
            Notice::ManyFail(alarm) => {
                tracing::error!(
                    critical = true,
                    connections = alarm.failing,
                    cause = alarm.cause.in_words(),
                    "many connections fail at once"
                );
            }
            Notice::ManyRecovered(alarm) => {
                tracing::info!(cause = alarm.cause.in_words(), since = %alarm.since.to_rfc3339(), "what made many connections fail is over");
            }
            Notice::WindowWanted(connection) => {
                tracing::warn!(%connection, "a person was sent here by a page: `doorward connect` connects it again");
            }
            Notice::RevocationGivenUp { name } => {
                tracing::error!(%name, "a revocation was given up: end the session at the provider");
            }
        }
    }
}
