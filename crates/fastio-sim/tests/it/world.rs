//! A simulator and a client that talks to it.

use fastio_sim::{Consent, Knobs, Sim};
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use url::Url;

/// The pair of RFC 7636 appendix B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub(crate) const REDIRECT: &str = "http://127.0.0.1:49152/callback";

pub(crate) struct World {
    pub(crate) sim: Sim,
    pub(crate) http: reqwest::Client,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error} in {} {}", self.status, self.text))
    }

    /// The code of an enveloped error.
    pub(crate) fn code(&self) -> u64 {
        let body = self.json();
        assert_eq!(body["result"], false, "{}", self.text);
        body["error"]["code"].as_u64().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn location(&self) -> Url {
        Url::parse(self.header("location").expect("a redirect")).expect("a URL")
    }

    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}

/// What a connection yields.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) body: Value,
}

impl Tokens {
    pub(crate) fn of(body: Value) -> Self {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        Self {
            access: text("access_token"),
            refresh: text("refresh_token"),
            body,
        }
    }
}

pub(crate) fn query(url: &Url, name: &str) -> Option<String> {
    url.query_pairs()
        .find(|(own, _)| own == name)
        .map(|(_, value)| value.into_owned())
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(turn: impl FnOnce(&mut Knobs)) -> Self {
        let mut knobs = Knobs::default();
        turn(&mut knobs);
        let sim = Sim::builder()
            .knobs(knobs)
            .start()
            .await
            .expect("loopback ports");
        Self {
            sim,
            http: Self::client(),
        }
    }

    /// A client that follows no redirect.
    pub(crate) fn client() -> reqwest::Client {
        reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client")
    }

    /// An authorize URL for `fastio-cli`; `parameters` come on top or in place of its own.
    pub(crate) fn authorize_url(&self, parameters: &[(&str, &str)]) -> String {
        let own = [
            ("client_id", "fastio-cli"),
            ("response_type", "code"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("redirect_uri", REDIRECT),
            ("state", "a-state"),
        ];
        let mut url = Url::parse(&format!("{}oauth/authorize/", self.sim.api_base())).expect("URL");
        {
            let mut pairs = url.query_pairs_mut();
            let replaced = |name: &str| parameters.iter().any(|(given, _)| *given == name);
            pairs.extend_pairs(own.iter().filter(|(name, _)| !replaced(name)));
            pairs.extend_pairs(parameters.iter().filter(|(_, value)| !value.is_empty()));
        }
        url.into()
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        self.try_send(request).await.expect("an answer")
    }

    pub(crate) async fn try_send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<Answer, reqwest::Error> {
        let response = request.send().await?;
        Ok(Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await?,
        })
    }

    /// A request below `/current/`.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.sim.api_base()))
    }

    pub(crate) async fn get(&self, path: &str, access_token: &str) -> Answer {
        self.send(self.request(Method::GET, path).bearer_auth(access_token))
            .await
    }

    /// A GET of the whole URL.
    pub(crate) async fn visit(&self, url: &str) -> Answer {
        self.send(self.http.get(url)).await
    }

    pub(crate) async fn token(&self, form: &[(&str, &str)]) -> Answer {
        self.send(self.token_request(form)).await
    }

    pub(crate) fn token_request(&self, form: &[(&str, &str)]) -> reqwest::RequestBuilder {
        self.request(Method::POST, "oauth/token/").form(form)
    }

    pub(crate) async fn redeem(&self, code: &str) -> Answer {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", VERIFIER),
            ("client_id", "fastio-cli"),
            ("redirect_uri", REDIRECT),
            ("device_name", "a-device"),
            ("device_type", "desktop"),
        ])
        .await
    }

    pub(crate) fn refresh_form(token: &str) -> [(&str, &str); 3] {
        [
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("client_id", "fastio-cli"),
        ]
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        self.token(&Self::refresh_form(token)).await
    }

    /// The code that a consent yields.
    pub(crate) async fn code(&self, parameters: &[(&str, &str)], consent: &Consent) -> String {
        let redirect = self
            .sim
            .approve(&self.authorize_url(parameters), consent)
            .await
            .expect("a redirect");
        query(&Url::parse(&redirect).expect("a URL"), "code").expect("a code")
    }

    /// The whole way from the ask to the tokens.
    pub(crate) async fn connect(&self, parameters: &[(&str, &str)], consent: &Consent) -> Tokens {
        let code = self.code(parameters, consent).await;
        Tokens::of(self.redeem(&code).await.expect(200).json())
    }

    /// A connection to everything in the account.
    pub(crate) async fn connect_user(&self) -> Tokens {
        self.connect(&[], &Consent::everything()).await
    }

    /// The session that was opened last.
    pub(crate) fn last_session(&self) -> fastio_sim::SessionView {
        self.sim.sessions().pop().expect("a session")
    }
}
