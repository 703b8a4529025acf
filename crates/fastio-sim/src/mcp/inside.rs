//! The way from the MCP server to the API: the very same routes and handlers, without a socket.

use axum::Router;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::{Map, Value, json};

use crate::http::edge::Arrived;
use crate::http::envelope::{Occasion, render};
use crate::http::site::SharedSite;

/// The API as the MCP server reaches it.
#[derive(Clone, Debug)]
pub(crate) struct Inside {
    pub(crate) site: SharedSite,
    pub(crate) api: Router,
}

/// A request to the API.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    /// Below `/current`, with the query.
    pub(crate) path: String,
    pub(crate) body: Payload,
}

#[derive(Debug)]
pub(crate) enum Payload {
    None,
    Form(Vec<(String, String)>),
    Json(Map<String, Value>),
    /// A media type and bytes.
    Raw(String, Vec<u8>),
}

/// What the API answered.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

impl Ask {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            body: Payload::None,
        }
    }

    pub(crate) fn post(path: impl Into<String>, form: &[(&str, &str)]) -> Self {
        let form = form
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self {
            method: Method::POST,
            path: path.into(),
            body: Payload::Form(form),
        }
    }
}

impl Outcome {
    pub(crate) fn is_success(&self) -> bool {
        self.status.is_success() && self.body["result"] != json!(false)
    }
}

impl Inside {
    /// Asks the API in the name of whoever holds `token`.
    pub(crate) async fn ask(&self, ask: Ask, token: Option<&str>) -> Outcome {
        let method = ask.method.clone();
        let Ok(mut request) = self.request(ask, token) else {
            return Outcome {
                status: StatusCode::BAD_REQUEST,
                body: json!({
                    "result": false,
                    "error": { "code": 1605, "text": "This is not a path of the API." },
                }),
            };
        };
        let path = request.uri().path().to_owned();
        let newest = self.site.world().traffic.last_sequence();
        request.extensions_mut().insert(Arrived(newest));
        let response = match TowerToHyperService::new(self.api.clone())
            .call(request)
            .await
        {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let occasion = Occasion {
            method: method.as_str(),
            path: &path,
            now: self.site.now(),
        };
        let knobs = self.site.world().knobs.clone();
        let response = render(response, &knobs, &occasion);
        let status = response.status();
        let bytes = response
            .into_body()
            .collect()
            .await
            .map_or_else(|_| bytes::Bytes::new(), http_body_util::Collected::to_bytes);
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| json!({ "text": String::from_utf8_lossy(&bytes) }));
        Outcome { status, body }
    }

    fn request(&self, ask: Ask, token: Option<&str>) -> Result<Request<Body>, axum::http::Error> {
        let (inside, secret) = self.site.inside();
        let mut request = Request::builder()
            .method(ask.method)
            .uri(format!("/current{}", ask.path))
            .header(inside, secret);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let (media_type, bytes) = match ask.body {
            Payload::None => return request.body(Body::empty()),
            Payload::Form(fields) => (
                "application/x-www-form-urlencoded".to_owned(),
                url::form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(fields)
                    .finish()
                    .into_bytes(),
            ),
            Payload::Json(body) => (
                "application/json".to_owned(),
                Value::Object(body).to_string().into_bytes(),
            ),
            Payload::Raw(media_type, bytes) => (media_type, bytes),
        };
        request
            .header(CONTENT_TYPE, media_type)
            .body(Body::from(bytes))
    }
}
