//! Reaching the running Doorward as an agent does, and making sure that it is this person's before a key is sent.
//!
//! A loopback port belongs to whoever binds it first: after Doorward has stopped, another user of the machine could
//! stand in its place and collect keys. So the listener's user is looked up in the kernel's tables first.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use doorward_gateway::endpoint::{self, FindError};
use doorward_gateway::peer::{self, CannotTell};
use doorward_host::Folders;
use url::{Host, Url};

use crate::failure::{Failure, Outcome};

const VARIABLE: &str = "DOORWARD_URL";
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Longer than Doorward makes anyone wait by itself.
const ANSWER_WITHIN: Duration = Duration::from_mins(2);

/// The address of the running Doorward, proven to be this person's.
pub(crate) fn find(folders: &Folders) -> Outcome<Url> {
    let stated = std::env::var(VARIABLE).ok();
    let url = endpoint::find(stated.as_deref(), folders.runtime.as_deref(), &folders.data)
        .map_err(|error| match error {
            FindError::Nowhere => Failure::not_running(),
            FindError::Unsafe { .. } | FindError::Unreadable { .. } => {
                unsafe_endpoint(format!("{error}."))
            }
        })?;
    check_owner(&url)?;
    Ok(url)
}

fn unsafe_endpoint(detail: String) -> Failure {
    Failure::new(
        "endpoint_unsafe",
        detail,
        "No key was sent. Set DOORWARD_URL to the address that `doorward status` shows.",
    )
}

/// The addresses that a request to this address may reach.
fn addresses(url: &Url) -> io::Result<Vec<SocketAddr>> {
    let port = url.port_or_known_default().unwrap_or(80);
    Ok(match url.host() {
        Some(Host::Ipv4(ip)) => vec![(IpAddr::from(ip), port).into()],
        Some(Host::Ipv6(ip)) => vec![(IpAddr::from(ip), port).into()],
        Some(Host::Domain(name)) => (name, port).to_socket_addrs()?.collect(),
        None => Vec::new(),
    })
}

/// Makes sure that no other user's program, and some program of ours, listens at a loopback address.
pub(crate) fn check_owner(url: &Url) -> Outcome {
    let ours = rustix::process::geteuid().as_raw();
    let addresses = addresses(url)
        .map_err(|error| unsafe_endpoint(format!("{url} has no address: {error}.")))?;
    let mut listens = false;
    for address in addresses {
        if !address.ip().is_loopback() {
            return Err(unsafe_endpoint(format!(
                "{url} leads to {address}, which is not on this machine."
            )));
        }
        match peer::listener_uid(address) {
            Ok(uid) if uid == ours => listens = true,
            Ok(uid) => {
                return Err(unsafe_endpoint(format!(
                    "What listens at {address} belongs to another user (uid {uid})."
                )));
            }
            Err(CannotTell::NotListed) => {}
            Err(error) => {
                return Err(unsafe_endpoint(format!(
                    "Who listens at {address} cannot be told: {error}."
                )));
            }
        }
    }
    if listens {
        Ok(())
    } else {
        Err(Failure::not_running())
    }
}

/// A client for loopback: no proxy, which could read the key, and no redirect, which could carry it elsewhere.
pub(crate) fn client() -> Outcome<reqwest::Client> {
    built(guarded().timeout(ANSWER_WITHIN))
}

/// The same for answers that take as long as they take.
pub(crate) fn streaming_client() -> Outcome<reqwest::Client> {
    built(guarded())
}

fn guarded() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_WITHIN)
}

fn built(client: reqwest::ClientBuilder) -> Outcome<reqwest::Client> {
    client
        .build()
        .map_err(|error| Failure::io("No HTTP client can be made", &io::Error::other(error)))
}

/// Why a request to the running Doorward came to nothing.
pub(crate) fn unanswered(error: &reqwest::Error) -> Failure {
    if error.is_connect() {
        return Failure::not_running();
    }
    let what = if error.is_timeout() {
        "did not answer in time"
    } else {
        "broke off its answer"
    };
    Failure::new(
        "unreachable",
        format!("Doorward {what}."),
        "Try again; `doorward doctor` looks closer.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_of_ours_passes_and_a_free_port_is_nobody_running() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        assert!(check_owner(&url).is_ok());
        drop(listener);
        assert_eq!(check_owner(&url).unwrap_err().code, "not_running");
    }

    #[test]
    fn an_address_elsewhere_is_never_spoken_to() {
        let elsewhere = Url::parse("http://192.0.2.1:80").unwrap();
        assert_eq!(check_owner(&elsewhere).unwrap_err().code, "endpoint_unsafe");
    }
}
