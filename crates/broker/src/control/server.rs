//! The answering side of the control socket.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use doorward_core::problem::{Code, Refusal};
use doorward_core::secret::{Passphrase, Pin};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use zeroize::Zeroizing;

use super::wire::{Approve, Request, SecretText};
use crate::handle::{Handle, Proof};

/// A question is short; the longest carries a pasted address.
const LONGEST_LINE: u64 = 64 * 1024;

/// Listens on the control socket of a data folder until the task is dropped. The folder's lock is held by this
/// process, so a socket file that is there already is a dead one.
pub async fn serve(
    data: &Path,
    handle: Handle,
) -> io::Result<impl Future<Output = ()> + Send + use<>> {
    let path = super::socket_path(data);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // The folder is 0700, so nobody else can reach the socket between these two lines.
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(converse(stream, handle.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "the control socket could not accept");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    })
}

async fn converse(stream: UnixStream, handle: Handle) {
    let ours = rustix::process::geteuid().as_raw();
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == ours => {}
        Ok(peer) => {
            tracing::warn!(uid = peer.uid(), "another user tried the control socket");
            return;
        }
        Err(error) => {
            tracing::warn!(%error, "the control socket's peer cannot be told");
            return;
        }
    }
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Zeroizing::new(Vec::new());
        let read = (&mut reader)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)
            .await;
        if !matches!(read, Ok(length) if length > 0) {
            return;
        }
        let answer = match serde_json::from_slice::<Request>(&line) {
            Ok(request) => tokio::select! {
                answer = answer(&handle, request) => answer,
                // A command that was interrupted must not leave its question behind.
                () = closed(&mut reader) => return,
            },
            Err(_) => encode::<()>(&Err(Refusal::new(
                Code::BadRequest,
                "The control socket got a question it does not know.",
                "The command and the running Doorward may be of different versions: restart Doorward.",
            ))),
        };
        let mut answer = answer;
        answer.push('\n');
        if writer.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn closed(reader: &mut BufReader<tokio::net::unix::OwnedReadHalf>) {
    match reader.fill_buf().await {
        Ok([]) | Err(_) => {}
        // The next question has arrived early: it is read after this one's answer.
        Ok(_) => std::future::pending().await,
    }
}

/// Answers one question. The answer is JSON: `{"Ok":…}` or `{"Err":…}`.
pub async fn answer(handle: &Handle, request: Request) -> Zeroizing<String> {
    let passphrase =
        |text: Option<SecretText>| text.map(|text| Passphrase::new(text.expose().to_owned()));
    let pin = |text: &SecretText| Pin::new(text.expose().to_owned());
    match request {
        Request::Status => encode(&handle.status().await),
        Request::AwaitChange { seen } => encode(&handle.await_change(seen).await),
        Request::Unlock { passphrase: text } => encode(&handle.unlock(passphrase(text)).await),
        Request::Connections => encode(&handle.connections().await),
        Request::Connect(ask) => encode(&handle.connect(ask.into()).await),
        Request::AwaitConsent { flow } => encode(&handle.connected(flow).await),
        Request::Paste { flow, address } => {
            encode(&handle.paste(flow, address.expose().to_owned()).await)
        }
        Request::Cancel { flow } => encode(&handle.cancel(flow).await),
        Request::Disconnect { name } => encode(&handle.disconnect(name).await),
        Request::Retry { name } => encode(&handle.retry(name).await),
        Request::Agents => encode(&handle.agents().await),
        Request::AddAgent {
            name,
            terms,
            pin: text,
        } => encode(
            &handle
                .add_agent(&name, terms.into(), Proof::Pin(pin(&text)))
                .await,
        ),
        Request::AddMetricsReader {
            name,
            lifetime,
            pin: text,
        } => encode(
            &handle
                .add_metrics_reader(&name, lifetime, Proof::Pin(pin(&text)))
                .await,
        ),
        Request::Requests => encode(&handle.requests().await),
        Request::Approve(Approve {
            code,
            terms,
            pin: text,
        }) => encode(
            &handle
                .approve(code, terms.into(), Proof::Pin(pin(&text)))
                .await,
        ),
        Request::Deny { code } => encode(&handle.deny(code).await),
        Request::Questions => encode(&handle.questions().await),
        Request::AllowCall {
            code,
            always,
            pin: text,
        } => encode(
            &handle
                .allow_call(code, always, Proof::Pin(pin(&text)))
                .await,
        ),
        Request::DenyCall { code, always } => encode(&handle.deny_call(code, always).await),
        Request::TakeBack { answer } => encode(&handle.take_back(answer).await),
        Request::RevokeAgent { agent } => encode(&handle.revoke_agent(agent).await),
        Request::SetPaused { target, paused } => encode(&handle.set_paused(target, paused).await),
        Request::SetPin { before, pin: text } => {
            encode(&handle.set_pin(before.as_ref().map(pin), pin(&text)).await)
        }
        Request::VerifyAudit => encode(&handle.verify_audit().await),
        Request::Audit { limit } => encode(&handle.audit(limit).await),
        Request::Activity(ask) => encode(&handle.activity(ask).await),
        Request::ReleaseLock { lock } => encode(&handle.release_lock(lock).await),
        Request::RotateKeys { passphrase: text } => {
            encode(&handle.rotate_keys(passphrase(text)).await)
        }
        Request::Stop => {
            handle.stop().await;
            encode(&Ok(()))
        }
    }
}

fn encode<T: Serialize>(answer: &Result<T, Refusal>) -> Zeroizing<String> {
    let text = serde_json::to_string(answer).unwrap_or_else(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        r#"{"Err":{"code":"internal","detail":"The answer could not be written.","hint":"See the log."}}"#.to_owned()
    });
    Zeroizing::new(text)
}
