//! Programs that talk HTTP: agents at Doorward's gateway, and a person's browser.

use std::path::{Path, PathBuf};

use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

/// What RFC 8628 calls its grant.
pub(crate) const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// An HTTP answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: String,
}

impl Answer {
    /// Sends a request to who must answer it.
    pub async fn to(request: RequestBuilder) -> Self {
        Self::maybe_to(request)
            .await
            .expect("Doorward or its provider answers")
    }

    /// The same, where the other side may be gone.
    pub(crate) async fn maybe_to(request: RequestBuilder) -> Option<Self> {
        let answer = request.send().await.ok()?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.text().await.ok()?;
        Some(Self {
            status,
            headers,
            body,
        })
    }

    /// Its body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A member of its body as text; empty where there is none.
    pub fn text(&self, member: &str) -> String {
        self.json()[member].as_str().unwrap_or_default().to_owned()
    }

    /// The code of a refusal.
    pub fn code(&self) -> String {
        self.text("code")
    }

    /// Itself, where it has this status.
    #[track_caller]
    #[expect(
        clippy::return_self_not_must_use,
        reason = "often that is all there is to see"
    )]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }
}

/// A client that follows nothing and goes through no proxy.
pub(crate) fn client() -> Client {
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client can be made")
}

/// A person's browser, as far as callbacks go.
pub struct Browser;

impl Browser {
    /// Follows a redirect to where it leads.
    pub async fn land(redirect: &str) -> Answer {
        Answer::to(client().get(redirect)).await
    }

    /// The same, where nobody may be there any more.
    pub async fn maybe_land(redirect: &str) -> Option<Answer> {
        Answer::maybe_to(client().get(redirect)).await
    }
}

/// An agent that waits for a person's answer.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its `client_id`.
    pub client: String,
    /// What it polls with.
    pub device_code: String,
    /// What the person compares.
    pub user_code: String,
}

/// A program that finds Doorward as agents do, through `endpoint.json`.
#[derive(Clone)]
pub struct Agent {
    endpoint: PathBuf,
    http: Client,
    /// Its agent key; empty until it was let in.
    pub key: String,
}

impl Agent {
    pub(crate) fn new(endpoint: &Path) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            http: client(),
            key: String::new(),
        }
    }

    /// The same program with another key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self {
            key: key.to_owned(),
            ..self.clone()
        }
    }

    fn at(&self, path: &str) -> String {
        self.maybe_at(path).expect("endpoint.json is there")
    }

    /// Nothing where no Doorward says where it listens.
    fn maybe_at(&self, path: &str) -> Option<String> {
        let text = std::fs::read_to_string(&self.endpoint).ok()?;
        let endpoint: Value = serde_json::from_str(&text).expect("endpoint.json is JSON");
        let url = endpoint["url"].as_str().unwrap_or_default();
        Some(format!("{}{path}", url.trim_end_matches('/')))
    }

    fn keyed(&self, request: RequestBuilder) -> RequestBuilder {
        if self.key.is_empty() {
            request
        } else {
            request.bearer_auth(&self.key)
        }
    }

    /// `GET`, with the key.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::to(self.keyed(self.http.get(self.at(path)))).await
    }

    /// The same, where Doorward may be gone before it has answered.
    pub async fn maybe_get(&self, path: &str) -> Option<Answer> {
        Answer::maybe_to(self.keyed(self.http.get(self.at(path)))).await
    }

    /// Asks for a token, waits for it no longer than these seconds, and may find Doorward gone.
    pub async fn maybe_token(&self, connection: &str, patience: u64) -> Option<Answer> {
        let url = self.maybe_at(&format!("/v1/token?connection={connection}"))?;
        let asking = self
            .http
            .get(url)
            .header("Prefer", format!("wait={patience}"));
        Answer::maybe_to(self.keyed(asking)).await
    }

    /// Says that the API refused a token, and may find Doorward gone.
    pub async fn maybe_reject(&self, connection: &str, token: &str) -> Option<Answer> {
        let complaint = json!({"connection": connection, "access_token": token, "status": 401});
        let url = self.maybe_at("/v1/token/rejected")?;
        Answer::maybe_to(self.keyed(self.http.post(url)).json(&complaint)).await
    }

    /// `POST` of JSON, with the key.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.keyed(self.http.post(self.at(path))).json(body)).await
    }

    /// `POST` of a form, with the key.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        Answer::to(self.keyed(self.http.post(self.at(path))).form(fields)).await
    }

    /// Asks for a token.
    pub async fn token(&self, connection: &str) -> Answer {
        self.get(&format!("/v1/token?connection={connection}"))
            .await
    }

    /// Asks for a token and expects one.
    pub async fn access_token(&self, connection: &str) -> String {
        self.token(connection)
            .await
            .expect(200)
            .text("access_token")
    }

    /// Registers under a name and asks a person for a scope such as `fastio:token`.
    pub async fn ask(&self, name: &str, scope: &str) -> Asked {
        self.maybe_ask(name, scope).await.expect("Doorward answers")
    }

    /// The same, where Doorward may be gone before it has answered.
    pub async fn maybe_ask(&self, name: &str, scope: &str) -> Option<Asked> {
        let registration = json!({
            "client_name": name,
            "redirect_uris": [],
            "grant_types": [DEVICE_GRANT],
            "token_endpoint_auth_method": "none",
        });
        let registering = self
            .http
            .post(self.at("/oauth/register"))
            .json(&registration);
        let client = Answer::maybe_to(registering)
            .await?
            .expect(201)
            .text("client_id");
        let fields = [("client_id", client.as_str()), ("scope", scope)];
        let asking = self
            .http
            .post(self.at("/oauth/device_authorization"))
            .form(&fields);
        let asked = Answer::maybe_to(asking).await?.expect(200);
        let (device_code, user_code) = (asked.text("device_code"), asked.text("user_code"));
        Some(Asked {
            client,
            device_code,
            user_code,
        })
    }

    /// Polls once.
    pub async fn poll(&self, asked: &Asked) -> Answer {
        Answer::to(self.polling(asked)).await
    }

    /// The same, where Doorward may be gone before it has answered.
    pub async fn maybe_poll(&self, asked: &Asked) -> Option<Answer> {
        Answer::maybe_to(self.polling(asked)).await
    }

    fn polling(&self, asked: &Asked) -> RequestBuilder {
        let fields = [
            ("grant_type", DEVICE_GRANT),
            ("client_id", &asked.client),
            ("device_code", &asked.device_code),
        ];
        self.http.post(self.at("/oauth/token")).form(&fields)
    }
}
