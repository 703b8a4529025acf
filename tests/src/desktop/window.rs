//! A window of the application, worked by what it says.

use std::sync::Arc;

use serde_json::{Value, json};

use tokio::sync::Mutex;

use super::driver::{Driver, Refused};
use crate::{eventually, in_time};

/// Finds things by their words.
const FIND: &str = include_str!("find.js");
/// All words that a person can read, in the order in which they stand there.
const READ: &str = "return document.body.innerText.replace(/\\s+/g, ' ').trim()";
/// Ends when what stands in the page has been painted.
const PAINTED: &str = "return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))";

/// A window's page. It stays the same one while the window is hidden; a window that is closed and opened again may
/// be another.
#[derive(Clone)]
pub struct Window {
    driver: Arc<Driver>,
    handle: String,
}

/// What the words were found on.
struct Found {
    element: Value,
    control: Value,
    ready: bool,
}

impl Window {
    /// The windows that there are, with the addresses of their pages.
    pub(super) async fn all(driver: &Arc<Driver>) -> Vec<(String, Self)> {
        let mut windows = Vec::new();
        for handle in driver.handles().await.unwrap_or_default() {
            let address = driver
                .evaluate(&handle, "return location.href", &json!([]))
                .await;
            // One that has closed in between is not there.
            if let Ok(Value::String(address)) = address {
                let driver = Arc::clone(driver);
                windows.push((address, Self { driver, handle }));
            }
        }
        windows
    }

    async fn try_find(&self, kind: &str, words: &str) -> Result<Option<Found>, Refused> {
        let mut found = self
            .driver
            .evaluate(&self.handle, FIND, &json!([kind, words]))
            .await?;
        Ok((!found.is_null()).then(|| Found {
            ready: found["ready"] == true,
            element: found["element"].take(),
            control: found["control"].take(),
        }))
    }

    /// Does something to what the words stand on as soon as it is there, ready, and takes it. A page that is being
    /// drawn anew takes an element away under the hand; then the next one is meant.
    async fn once_ready(
        &self,
        kind: &str,
        words: &str,
        act: impl AsyncFn(Found) -> Result<(), Refused>,
    ) {
        let why = Mutex::new(String::new());
        let done = in_time(async || {
            let tried = match self.try_find(kind, words).await {
                Ok(Some(found)) if found.ready => act(found).await,
                Ok(Some(_)) => Err(Refused::because("it is not ready")),
                Ok(None) => Err(Refused::because("it is not there")),
                Err(refused) => Err(refused),
            };
            let Err(refused) = tried else { return true };
            *why.lock().await = refused.to_string();
            false
        });
        assert!(
            done.await,
            "never happened: a {kind} {words:?} can be used ({})",
            why.into_inner()
        );
    }

    /// Presses a button, a link, or what unfolds more.
    pub async fn press(&self, words: &str) {
        self.once_ready("button", words, async |found| {
            self.driver.click(&self.handle, &found.element).await
        })
        .await;
    }

    /// Waits until something could be pressed.
    pub async fn can_press(&self, words: &str) {
        self.once_ready("button", words, async |_| Ok(())).await;
    }

    /// Ticks a box or chooses one of several.
    pub async fn choose(&self, words: &str) {
        self.once_ready("field", words, async |found| {
            let chosen = async || {
                let arguments = json!([found.control]);
                self.driver
                    .evaluate(&self.handle, "return arguments[0].checked", &arguments)
                    .await
            };
            if chosen().await? == true {
                return Ok(());
            }
            self.driver.click(&self.handle, &found.control).await?;
            if chosen().await? == true {
                Ok(())
            } else {
                Err(Refused::because("not chosen yet"))
            }
        })
        .await;
    }

    /// Types into the field that has this label.
    pub async fn fill(&self, label: &str, text: &str) {
        self.once_ready("field", label, async |found| {
            self.driver.fill(&self.handle, &found.control, text).await
        })
        .await;
    }

    /// All that it says; empty where it has gone.
    pub async fn text(&self) -> String {
        let text = self.driver.evaluate(&self.handle, READ, &json!([])).await;
        text.ok()
            .and_then(|text| Some(text.as_str()?.to_owned()))
            .unwrap_or_default()
    }

    /// Waits until it says something.
    pub async fn says(&self, words: &str) {
        eventually(&format!("a window says {words:?}"), async || {
            self.text().await.contains(words)
        })
        .await;
    }

    /// Waits until it does not say something.
    pub async fn says_no_more(&self, words: &str) {
        eventually(&format!("a window no longer says {words:?}"), async || {
            let text = self.text().await;
            !text.is_empty() && !text.contains(words)
        })
        .await;
    }

    /// Runs a script in the page, as one could that had got into it.
    pub async fn evaluate(&self, script: &str, arguments: &Value) -> Value {
        let value = self.driver.evaluate(&self.handle, script, arguments).await;
        value.unwrap_or_else(|refused| panic!("the page cannot run {script:?}: {refused}"))
    }

    /// Calls one of the application's commands past the page's own words: what it gives, or the error.
    pub async fn command(&self, name: &str, arguments: &Value) -> Result<Value, Value> {
        let script = "const [name, given] = arguments;
            return window.__TAURI_INTERNALS__.invoke(name, given).then((ok) => ({ ok }), (error) => ({ error }));";
        let mut answer = self.evaluate(script, &json!([name, arguments])).await;
        match answer.get_mut("error") {
            Some(error) => Err(error.take()),
            None => Ok(answer["ok"].take()),
        }
    }

    /// Gives it a size.
    pub async fn resize(&self, width: u32, height: u32) {
        let resized = self.driver.resize(&self.handle, width, height).await;
        resized.unwrap_or_else(|refused| panic!("the window takes no size: {refused}"));
    }

    /// A picture of the page, as PNG, once it stands still: the driver gives what was painted last, which is not yet
    /// what has just changed.
    pub async fn picture(&self) -> Vec<u8> {
        let mut before = Vec::new();
        loop {
            self.evaluate(PAINTED, &json!([])).await;
            let picture = self.driver.picture(&self.handle).await;
            let picture =
                picture.unwrap_or_else(|refused| panic!("the window gives no picture: {refused}"));
            if picture == before {
                return picture;
            }
            before = picture;
        }
    }
}
