//! A hand on the application's windows: the W3C protocol for that, spoken to `WebKitWebDriver`.
//!
//! This is what `tauri-driver` does on Linux, without it: that program translates one capability, starts the same
//! driver with `TAURI_WEBVIEW_AUTOMATION=true` and passes everything on. Here the application is started by the test,
//! which so holds its process and hears what it says, and the driver reaches it through the web view's inspector.
//! All windows that the application makes with one web context, at whatever time, are windows of the one session.
//!
//! Of a protocol with some sixty calls a test needs ten, as JSON over the HTTP client that is here already; a client
//! library brings twenty crates along.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

use base64::Engine as _;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::agent::client;
use crate::process::{Process, Stdin};
use crate::{PATIENCE, found};

/// How an element is named in the protocol's JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Where the driver and the application's inspector listen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    pub(super) inspector: SocketAddrV4,
    driver: SocketAddrV4,
}

impl Addresses {
    /// Those of the application that is started after `before` others on a screen. Both programs want to be told a
    /// port. One that was found free may be taken before they use it, and a driver would then hold another test's
    /// window; but a whole address of the loopback network is theirs alone, since the screen's number is. What an
    /// application that has ended leaves behind there is not in the next one's way.
    pub(super) fn of_screen(number: u16, before: u16) -> Self {
        let [high, low] = number.to_be_bytes();
        let address = Ipv4Addr::new(127, 77, high, low);
        Self {
            inspector: SocketAddrV4::new(address, 4000 + 2 * before),
            driver: SocketAddrV4::new(address, 4001 + 2 * before),
        }
    }
}

/// Why the driver did not do what it was asked.
#[derive(Debug)]
pub(super) struct Refused {
    /// The protocol's own word, such as `stale element reference`.
    error: String,
    message: String,
}

impl Refused {
    /// A refusal of our own.
    pub(super) fn because(message: &str) -> Self {
        Self {
            error: "not done".to_owned(),
            message: message.to_owned(),
        }
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.error, self.message)
    }
}

/// A session with the application's windows.
pub(super) struct Driver {
    http: Client,
    session: String,
    // A session has one current window: who changes it holds this until the work there is done.
    turn: Mutex<()>,
    _process: Process,
}

impl Driver {
    /// Starts a driver and waits until it has a hand on the application.
    pub(super) async fn start(addresses: Addresses) -> Self {
        let arguments = [
            format!("--host={}", addresses.driver.ip()),
            format!("--port={}", addresses.driver.port()),
            format!("--target={}", addresses.inspector),
        ];
        let folder = tempfile::tempdir().expect("a folder for the driver");
        let environment = [
            ("PATH".into(), std::env::var_os("PATH").unwrap_or_default()),
            ("HOME".into(), folder.path().into()),
        ];
        let program = Path::new("WebKitWebDriver");
        let mut process = Process::start(program, &arguments, environment, Stdin::Empty);
        process.keep(folder);
        let http = client();
        let base = format!("http://{}", addresses.driver);
        let session = found("the driver's hand on the application", async || {
            let any = json!({ "capabilities": { "alwaysMatch": {} } });
            let made = send(&http, Method::POST, &format!("{base}/session"), &any).await;
            let made = made.ok()?;
            Some(format!("{base}/session/{}", made["sessionId"].as_str()?))
        })
        .await;
        Self {
            http,
            session,
            turn: Mutex::new(()),
            _process: process,
        }
    }

    /// The windows, by handle.
    pub(super) async fn handles(&self) -> Result<Vec<String>, Refused> {
        let handles = self.get("window/handles").await?;
        let handles = handles.as_array().cloned().unwrap_or_default();
        Ok(handles
            .iter()
            .filter_map(|handle| Some(handle.as_str()?.to_owned()))
            .collect())
    }

    /// Runs a script in a window; it ends when the promise that the script returns has.
    pub(super) async fn evaluate(
        &self,
        window: &str,
        script: &str,
        arguments: &Value,
    ) -> Result<Value, Refused> {
        let _turn = self.turn_to(window).await?;
        self.post(
            "execute/sync",
            &json!({ "script": script, "args": arguments }),
        )
        .await
    }

    /// Clicks on an element that a script gave, with the mouse.
    pub(super) async fn click(&self, window: &str, element: &Value) -> Result<(), Refused> {
        let _turn = self.turn_to(window).await?;
        let path = format!("element/{}/click", name_of(element));
        let clicked = self.post(&path, &json!({})).await;
        // It was there a moment ago. Where it is gone, perhaps with its application, the click was what closed it.
        let is_there = async || match self.handles().await {
            Ok(handles) => handles.iter().any(|handle| handle == window),
            Err(_) => false,
        };
        match clicked {
            Err(refused) if is_there().await => Err(refused),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Types into an element in place of what is there.
    pub(super) async fn fill(
        &self,
        window: &str,
        element: &Value,
        text: &str,
    ) -> Result<(), Refused> {
        let _turn = self.turn_to(window).await?;
        let element = name_of(element);
        self.post(&format!("element/{element}/clear"), &json!({}))
            .await?;
        let typed = json!({ "text": text });
        self.post(&format!("element/{element}/value"), &typed)
            .await
            .map(drop)
    }

    /// Gives a window a size in pixels of the page.
    pub(super) async fn resize(
        &self,
        window: &str,
        width: u32,
        height: u32,
    ) -> Result<(), Refused> {
        let _turn = self.turn_to(window).await?;
        let size = json!({ "width": width, "height": height });
        self.post("window/rect", &size).await.map(drop)
    }

    /// A picture of what a window shows, as PNG.
    pub(super) async fn picture(&self, window: &str) -> Result<Vec<u8>, Refused> {
        let _turn = self.turn_to(window).await?;
        let picture = self.get("screenshot").await?;
        let text = picture.as_str().unwrap_or_default();
        let bytes = base64::engine::general_purpose::STANDARD.decode(text);
        Ok(bytes.expect("the protocol's pictures are base64"))
    }

    async fn turn_to(&self, window: &str) -> Result<tokio::sync::MutexGuard<'_, ()>, Refused> {
        let turn = self.turn.lock().await;
        self.post("window", &json!({ "handle": window })).await?;
        Ok(turn)
    }

    async fn get(&self, path: &str) -> Result<Value, Refused> {
        send(
            &self.http,
            Method::GET,
            &format!("{}/{path}", self.session),
            &Value::Null,
        )
        .await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, Refused> {
        send(
            &self.http,
            Method::POST,
            &format!("{}/{path}", self.session),
            body,
        )
        .await
    }
}

fn name_of(element: &Value) -> &str {
    element[ELEMENT].as_str().unwrap_or_default()
}

async fn send(http: &Client, method: Method, url: &str, body: &Value) -> Result<Value, Refused> {
    let mut request = http.request(method, url).timeout(PATIENCE);
    if !body.is_null() {
        request = request.json(body);
    }
    let unreachable = |error: reqwest::Error| Refused {
        error: "unreachable".to_owned(),
        message: error.to_string(),
    };
    let answer = request.send().await.map_err(unreachable)?;
    let done = answer.status().is_success();
    let mut answer: Value = answer.json().await.map_err(unreachable)?;
    let value = answer["value"].take();
    if done {
        return Ok(value);
    }
    let text = |member: &str| value[member].as_str().unwrap_or_default().to_owned();
    Err(Refused {
        error: text("error"),
        message: text("message"),
    })
}
