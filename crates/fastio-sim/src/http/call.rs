//! What most handlers need of a request: who calls, which place and which thing the path names, and
//! the parameters, wherever they came.
//!
//! Fast.io takes parameters from the query, from a form body on any method, and from JSON for a few
//! endpoints; a handler that asks for `name` does not care. The query comes first.

use axum::extract::{FromRequest, FromRequestParts as _, OriginalUri, Path, Request};
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::{Map, Value};
use std::collections::HashMap;

use crate::http::account::reach;
use crate::http::envelope::{Lacking, Refusal, ScopeRefusal};
use crate::http::fields::Fields;
use crate::http::site::{SharedSite, require};
use crate::scope::{EntityKind, Mode, Target};
use crate::world::World;
use crate::world::catalogue::Workspace;
use crate::world::ledger::Caller;

/// A request of a known caller.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) site: SharedSite,
    pub(crate) caller: Caller,
    /// The path below `/current/`, cut at its slashes.
    pub(crate) path: Vec<String>,
    named: HashMap<String, String>,
    query: Fields,
    form: Fields,
    json: Map<String, Value>,
}

impl FromRequest<SharedSite> for Call {
    type Rejection = Refusal;

    async fn from_request(request: Request, site: &SharedSite) -> Result<Self, Refusal> {
        let caller = site.caller(request.headers())?;
        let (mut parts, body) = request.into_parts();
        let named = Path::<HashMap<String, String>>::from_request_parts(&mut parts, site)
            .await
            .map_or_else(|_| HashMap::new(), |Path(named)| named);
        let body = body
            .collect()
            .await
            .map_or_else(|_| Bytes::new(), http_body_util::Collected::to_bytes);
        let original = parts
            .extensions
            .get::<OriginalUri>()
            .map_or_else(|| parts.uri.clone(), |original| original.0.clone());
        let is_json = parts
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        let (form, json) = if is_json {
            let json = serde_json::from_slice(&body)
                .map_err(|_| Refusal::invalid("body", "The body must be a JSON object."))?;
            (Fields::default(), json)
        } else {
            (Fields::parse(&body), Map::new())
        };
        Ok(Self {
            site: site.clone(),
            caller,
            path: original
                .path()
                .trim_start_matches("/current/")
                .split('/')
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect(),
            named,
            query: Fields::of_query(&original),
            form,
            json,
        })
    }
}

/// Where something lies: a workspace or a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) id: String,
    pub(crate) is_share: bool,
}

impl Call {
    /// A segment of the path, by its name in the route.
    pub(crate) fn named(&self, name: &str) -> &str {
        self.named.get(name).map_or("", String::as_str)
    }

    /// The workspace or the share that the path begins with.
    pub(crate) fn place(&self) -> Place {
        Place {
            id: self.path.get(1).cloned().unwrap_or_default(),
            is_share: self.path.first().is_some_and(|kind| kind == "share"),
        }
    }

    /// The paging and filter parameters.
    pub(crate) fn query(&self) -> &Fields {
        &self.query
    }

    /// A parameter that is there and not empty.
    pub(crate) fn given(&self, name: &str) -> Option<String> {
        let in_json = || match self.json.get(name)? {
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                Some(other.to_string())
            }
        };
        self.query
            .given(name)
            .or_else(|| self.form.given(name))
            .map(str::to_owned)
            .or_else(in_json)
    }

    pub(crate) fn needed(&self, name: &str) -> Result<String, Refusal> {
        self.given(name).ok_or_else(|| Refusal::missing(name))
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        self.given(name)
            .map(|text| {
                text.parse()
                    .map_err(|_| Refusal::invalid(name, format!("{name} must be a number.")))
            })
            .transpose()
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.given(name).as_deref() {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(_) => Err(Refusal::invalid(
                name,
                format!("{name} must be true or false."),
            )),
        }
    }

    /// Everything that the body says, as a record.
    pub(crate) fn record(&self) -> Map<String, Value> {
        let mut record = self.json.clone();
        for name in self.form.names() {
            if let Some(value) = self.form.get(name) {
                record.insert(name.to_owned(), value.into());
            }
        }
        record
    }

    /// Refuses a caller who may not use a place in `mode`; else gives the place.
    pub(crate) fn open<'w>(&self, world: &'w World, mode: Mode) -> Result<&'w Workspace, Refusal> {
        self.open_place(world, &self.place(), mode)
    }

    pub(crate) fn open_place<'w>(
        &self,
        world: &'w World,
        place: &Place,
        mode: Mode,
    ) -> Result<&'w Workspace, Refusal> {
        reach(world, &self.caller, place, mode)
    }

    /// Refuses a caller who may not use an organisation in `mode`.
    pub(crate) fn open_org(&self, world: &World, id: &str, mode: Mode) -> Result<(), Refusal> {
        require(&self.caller, Target::Org(id), mode)?;
        world
            .catalogue
            .org(id)
            .map(|_| ())
            .ok_or(Refusal::NotFound("organization"))
    }

    /// Refuses a caller who may not write anywhere.
    pub(crate) fn may_write(&self) -> Result<(), Refusal> {
        if self.caller.scopes.read_only() {
            return Err(ScopeRefusal::of(&self.caller, Lacking::Write));
        }
        Ok(())
    }

    /// Refuses a caller who may not change the account's settings.
    pub(crate) fn may_change_account(&self) -> Result<(), Refusal> {
        let may =
            self.caller.scopes.0.iter().any(|scope| {
                scope.kind == EntityKind::UserDetails && scope.mode >= Mode::ReadWrite
            });
        if may {
            Ok(())
        } else {
            Err(ScopeRefusal::of(&self.caller, Lacking::UserDetails))
        }
    }
}
