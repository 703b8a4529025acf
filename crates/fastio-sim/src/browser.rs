//! The demo person's browser: answers the consent pages over real HTTP, so that a test which
//! approves goes the same way as a person who clicks.

use axum::http::header::{CONTENT_TYPE, HOST, LOCATION};
use axum::http::{Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::demo;
use crate::scope::Mode;

/// How the person answers.
#[derive(Clone, Debug)]
pub struct Consent {
    approves: bool,
    picks: Picks,
    mode: Option<Mode>,
    email: String,
    password: String,
}

#[derive(Clone, Debug)]
enum Picks {
    Everything,
    Only(Vec<String>),
}

impl Consent {
    /// Approves; picks everything that is offered, in the mode that was asked for.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            approves: true,
            picks: Picks::Everything,
            mode: None,
            email: demo::EMAIL.to_owned(),
            password: demo::PASSWORD.to_owned(),
        }
    }

    /// Approves; picks these organisations or workspaces.
    #[must_use]
    pub fn only<Id: Into<String>>(ids: impl IntoIterator<Item = Id>) -> Self {
        let ids = ids.into_iter().map(Into::into).collect();
        Self {
            picks: Picks::Only(ids),
            ..Self::everything()
        }
    }

    /// Declines.
    #[must_use]
    pub fn decline() -> Self {
        Self {
            approves: false,
            ..Self::everything()
        }
    }

    /// Narrows what is granted to this mode.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Narrows what is granted to reading.
    #[must_use]
    pub fn read_only(self) -> Self {
        self.mode(Mode::Read)
    }

    /// Signs in with other words than the demo person's.
    #[must_use]
    pub fn signing_in_as(mut self, email: &str, password: &str) -> Self {
        email.clone_into(&mut self.email);
        password.clone_into(&mut self.password);
        self
    }
}

/// Why the consent could not be given.
#[derive(Debug, thiserror::Error)]
pub enum ConsentError {
    /// The simulator does not answer.
    #[error("the simulator cannot be reached: {0}")]
    Unreachable(#[from] std::io::Error),
    /// The simulator's answer broke off.
    #[error("the simulator's answer broke off: {0}")]
    BrokeOff(#[from] hyper::Error),
    /// The address is not one that a consent can start from.
    #[error("no consent can start from {0}")]
    NoStart(String),
    /// A page said something else than expected.
    #[error("{step} was answered {status}: {body}")]
    Refused {
        /// Which step.
        step: &'static str,
        /// The status of the answer.
        status: StatusCode,
        /// Its body.
        body: String,
    },
}

/// Answers the consent that `start` leads to: an authorize URL, a consent page URL or an
/// `auth_request_id`. Returns where the browser would be sent, or the code if `start` asked to have
/// it displayed.
pub(crate) async fn answer(
    origin: &str,
    start: &str,
    consent: &Consent,
) -> Result<String, ConsentError> {
    let browser = Browser { origin };
    let (auth_request_id, display_code) = browser.find_request(start).await?;
    let display_code = if display_code { "true" } else { "" };
    browser
        .page("the sign-in page", &consent_path(&auth_request_id))
        .await?;
    let decision_page = browser
        .post(
            "signing in",
            "/connect/sign-in",
            &[
                ("auth_request_id", &auth_request_id),
                ("email", &consent.email),
                ("password", &consent.password),
                ("display_code", display_code),
            ],
        )
        .await?
        .expect_status("signing in", StatusCode::OK)?
        .body;
    let csrf = attribute_values(&decision_page, "csrf")
        .next()
        .unwrap_or_default();
    let picked: Vec<&str> = match &consent.picks {
        Picks::Everything => attribute_values(&decision_page, "entity").collect(),
        Picks::Only(ids) => ids.iter().map(String::as_str).collect(),
    };
    let mut fields = vec![
        ("auth_request_id", auth_request_id.as_str()),
        ("csrf", csrf),
        (
            "decision",
            if consent.approves {
                "approve"
            } else {
                "decline"
            },
        ),
        ("mode", consent.mode.map_or("", Mode::as_str)),
        ("display_code", display_code),
    ];
    fields.extend(picked.into_iter().map(|id| ("entity", id)));
    let answer = browser.post("deciding", "/connect/decide", &fields).await?;
    if answer.status == StatusCode::OK {
        return Ok(between(&answer.body, "<output id=\"code\">", "<").to_owned());
    }
    let answer = answer.expect_status("deciding", StatusCode::SEE_OTHER)?;
    answer
        .location
        .ok_or_else(|| ConsentError::NoStart(start.to_owned()))
}

struct Browser<'a> {
    origin: &'a str,
}

struct Answer {
    status: StatusCode,
    location: Option<String>,
    body: String,
}

impl Answer {
    fn expect_status(self, step: &'static str, expected: StatusCode) -> Result<Self, ConsentError> {
        if self.status == expected {
            Ok(self)
        } else {
            Err(ConsentError::Refused {
                step,
                status: self.status,
                body: self.body,
            })
        }
    }
}

impl Browser<'_> {
    /// The request that `start` leads to, and whether the code is to be displayed.
    async fn find_request(&self, start: &str) -> Result<(String, bool), ConsentError> {
        let no_start = || ConsentError::NoStart(start.to_owned());
        let Some(path) = start.strip_prefix(self.origin) else {
            return if start.contains("://") {
                Err(no_start())
            } else {
                Ok((start.to_owned(), false))
            };
        };
        let page = if path.starts_with("/connect") {
            start.to_owned()
        } else {
            self.send(Method::GET, path, None)
                .await?
                .expect_status("the authorization request", StatusCode::FOUND)?
                .location
                .ok_or_else(no_start)?
        };
        let page = Url::parse(&page).map_err(|_| no_start())?;
        let value = |name: &str| {
            page.query_pairs()
                .find(|(own, _)| own == name)
                .map(|(_, value)| value.into_owned())
        };
        let display_code = value("display_code").as_deref() == Some("true");
        value("auth_request_id")
            .map(|id| (id, display_code))
            .ok_or_else(no_start)
    }

    async fn page(&self, step: &'static str, path: &str) -> Result<String, ConsentError> {
        let answer = self.send(Method::GET, path, None).await?;
        Ok(answer.expect_status(step, StatusCode::OK)?.body)
    }

    async fn post(
        &self,
        step: &'static str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<Answer, ConsentError> {
        let given = fields.iter().filter(|(_, value)| !value.is_empty());
        let form = Serializer::new(String::new()).extend_pairs(given).finish();
        let answer = self.send(Method::POST, path, Some(form)).await?;
        if answer.status.is_client_error() || answer.status.is_server_error() {
            return answer.expect_status(step, StatusCode::OK);
        }
        Ok(answer)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        form: Option<String>,
    ) -> Result<Answer, ConsentError> {
        let authority = self.origin.trim_start_matches("http://");
        let stream = TcpStream::connect(authority).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, authority)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(form.unwrap_or_default())))
            .map_err(|_| ConsentError::NoStart(path.to_owned()))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let location = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let body = response.into_body().collect().await?.to_bytes();
        connection.abort();
        Ok(Answer {
            status,
            location,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}

fn consent_path(auth_request_id: &str) -> String {
    let query = Serializer::new(String::new())
        .append_pair("auth_request_id", auth_request_id)
        .finish();
    format!("/connect?{query}")
}

/// The values of all inputs of a name. Enough for pages whose form is known.
fn attribute_values<'a>(html: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let marker = format!("name=\"{name}\" value=\"");
    html.match_indices(&marker)
        .map(|(at, found)| {
            let rest = &html[at + found.len()..];
            rest.split('"').next().unwrap_or_default()
        })
        .collect::<Vec<_>>()
        .into_iter()
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    text.split_once(before)
        .and_then(|(_, rest)| rest.split_once(after))
        .map_or("", |(inside, _)| inside)
}
