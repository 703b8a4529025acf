//! Whether agents reach the gateway, and whether it could take its port.

use std::net::{Ipv6Addr, TcpListener};

use doorward_broker::views::Status;
use doorward_gateway::Gateway;
use serde::Deserialize;
use url::Url;

use super::Check;
use crate::endpoint;
use crate::failure::Failure;
use crate::link::Context;

#[derive(Deserialize)]
struct Alive {
    status: String,
    version: String,
}

pub(super) async fn check(context: &Context, running: Option<&Status>, checks: &mut Vec<Check>) {
    checks.push(ipv6());
    match running {
        Some(status) => match &status.url {
            Some(url) => {
                checks.push(answers(url).await);
                checks.push(findable(context, url));
            }
            None => checks.push(Check::warn(
                "gateway",
                "the running Doorward does not listen yet",
                "Wait a moment, then look again.",
            )),
        },
        None => checks.push(port(
            context
                .settings
                .port
                .unwrap_or(doorward_gateway::DEFAULT_PORT),
        )),
    }
}

fn ipv6() -> Check {
    match TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
        Ok(_) => Check::ok("IPv6", "available on loopback"),
        Err(_) => Check::ok("IPv6", "not available on loopback; 127.0.0.1 alone is used"),
    }
}

fn port(port: u16) -> Check {
    match Gateway::bind(port) {
        Ok(_) => Check::ok("port", format!("{port} is free")),
        Err(error) => {
            let told = error.to_string();
            // The error's own hint is about the command line; what is settled lasts.
            let detail = told.split(". ").next().unwrap_or(&told);
            Check::fail(
                "port",
                format!("{detail}."),
                "Stop that program, or settle another port: `port = N` in config.toml.",
            )
        }
    }
}

async fn answers(url: &str) -> Check {
    const NAME: &str = "gateway";
    let answer = async {
        let mut address = Url::parse(url).map_err(|error| {
            Failure::new(
                "endpoint_unsafe",
                format!("{url} is not an address: {error}."),
                "",
            )
        })?;
        endpoint::check_owner(&address)?;
        address.set_path("/healthz");
        let answer = endpoint::client()?
            .get(address)
            .send()
            .await
            .map_err(|error| endpoint::unanswered(&error))?;
        answer
            .bytes()
            .await
            .map_err(|error| endpoint::unanswered(&error))
    };
    match answer.await {
        Err(failure) => Check::failed(NAME, failure),
        Ok(body) => match serde_json::from_slice::<Alive>(&body) {
            Ok(Alive { status, version }) if status == "ok" => {
                Check::ok(NAME, format!("answers at {url}, version {version}"))
            }
            _ => Check::fail(
                NAME,
                format!("what answers at {url} is not Doorward"),
                "Stop that program, then start Doorward again.",
            ),
        },
    }
}

/// Whether an agent with this environment finds the running Doorward.
fn findable(context: &Context, url: &str) -> Check {
    const NAME: &str = "endpoint.json";
    match endpoint::find(&context.folders) {
        Ok(found) if found.as_str().trim_end_matches('/') == url.trim_end_matches('/') => {
            Check::ok(NAME, "agents find it")
        }
        Ok(found) => Check::warn(
            NAME,
            format!("agents are sent to {found}, and Doorward listens at {url}"),
            "Unset DOORWARD_URL, or start Doorward again.",
        ),
        Err(failure) => Check::warn(
            NAME,
            format!("agents do not find it: {}", failure.detail),
            format!("Set DOORWARD_URL={url} for them."),
        ),
    }
}
