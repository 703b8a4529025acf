//! What others made for MCP, as processes: the conformance suite and its server, and agents made with the SDKs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::agent::{Answer, client};
use crate::peers::{NodePeer, spawn};
use crate::process::{Process, Ran, Stdin};
use crate::programs::repository;

/// The server that the conformance suite expects, which ends with this.
pub struct Everything {
    /// Its MCP endpoint.
    pub url: String,
    peer: NodePeer,
}

impl Everything {
    /// One that any access token opens, and no agent key.
    pub async fn start() -> Self {
        let peer = NodePeer::start("mcp/everything-server.mjs", &["--bearer", "any"]).await;
        Self {
            url: peer.at("url").to_owned(),
            peer,
        }
    }

    /// What every request so far has brought: `requests`, `refused`, `authorizations`, `hosts`, `origins`.
    pub async fn seen(&self) -> Value {
        Answer::to(client().get(format!("{}/seen", self.peer.at("control"))))
            .await
            .expect(200)
            .json()
    }
}

/// Runs the suite's server scenarios against an address, with a key or token: results by revision and scenario, each
/// with `passed` and `checks`.
pub async fn conformance(url: &str, bearer: &str, flags: &[&str]) -> Value {
    let fixed = ["--url", url, "--bearer", bearer];
    let (script, words) = (peer("conformance.mjs"), [&fixed, flags].concat());
    run("node", &script, &words).await.done().json()
}

/// The SDK that an agent is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sdk {
    /// npm's `@modelcontextprotocol/client`.
    Node,
    /// The package `mcp` of Python.
    Python,
}

impl Sdk {
    /// What such an agent sees at an address; `flags` are those of `tests/peers/mcp/mcp-client.mjs`.
    pub async fn sees(self, url: &str, bearer: &str, flags: &[&str]) -> Value {
        self.tries(url, bearer, flags).await.done().json()
    }

    /// The same, where it may fail.
    pub async fn tries(self, url: &str, bearer: &str, flags: &[&str]) -> Ran {
        let fixed = ["--url", url, "--bearer", bearer];
        let words = [&fixed, flags].concat();
        match self {
            Self::Node => run("node", &peer("mcp-client.mjs"), &words).await,
            Self::Python => {
                let folder = repository().join("tests/python");
                let python = folder.join(".venv/bin/python");
                let python = python.to_string_lossy();
                run(&python, &folder.join("mcp_client.py"), &words).await
            }
        }
    }
}

/// What an agent made with the Node SDK sees of a server that speaks over its standard streams. `environment` is the
/// server's, and the agent's.
pub async fn sees_over_stdio(
    server: &[&str],
    environment: Vec<(OsString, OsString)>,
    flags: &[&str],
) -> Value {
    let script = peer("mcp-client.mjs");
    let script = script.to_string_lossy();
    let words = [&[&*script], flags, &["--"], server].concat();
    Process::start(Path::new("node"), &words, environment, Stdin::Empty)
        .ended()
        .await
        .done()
        .json()
}

/// npm's `mcp-remote` as such a server: the words that start it.
pub fn mcp_remote(url: &str, bearer: &str) -> [String; 8] {
    let script = peer("node_modules/mcp-remote/dist/proxy.js");
    [
        "node",
        &script.to_string_lossy(),
        url,
        "--allow-http",
        "--transport",
        "http-only",
        "--header",
        &format!("Authorization: Bearer {bearer}"),
    ]
    .map(str::to_owned)
}

fn peer(name: &str) -> PathBuf {
    repository().join("tests/peers/mcp").join(name)
}

async fn run(program: &str, script: &Path, words: &[&str]) -> Ran {
    let script = script.to_string_lossy();
    let words = [&[&*script], words].concat();
    spawn(Path::new(program), &words, Stdin::Empty)
        .ended()
        .await
}
