//! Links to single files: managing them, as a member of the workspace, and using them, as anyone whom
//! the link lets in. The password of a link stands in the header `x-ve-password` and nowhere else.
//!
//! Not played: the expiry of links, previews, and writing back through a link.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use axum::routing::{delete, get, post};
use serde_json::{Value, json};

use crate::http::account::{page, reach};
use crate::http::call::{Call, Place};
use crate::http::downloads::serve;
use crate::http::envelope::{Refusal, Reply};
use crate::http::site::{SharedSite, bearer};
use crate::scope::Mode;
use crate::secret::Fingerprint;
use crate::world::World;
use crate::world::catalogue::Content;
use crate::world::fileshares::{Access, Capability, Fileshare, Grant, LinkRefusal, Opened};
use crate::world::ledger::Caller;

pub(crate) fn routes() -> Router<SharedSite> {
    Router::new()
        .route("/workspace/{id}/create/fileshare/", post(create))
        .route("/workspace/{id}/list/fileshares/", get(list))
        .route("/fileshare/{fileshare}/update/", post(update).patch(update))
        .route("/fileshare/{fileshare}/delete/", delete(remove))
        .route(
            "/fileshare/{fileshare}/grants/",
            get(grants).post(add_grant).delete(remove_grant),
        )
        .route("/fileshare/{fileshare}/details/", get(details))
        .route("/fileshare/{fileshare}/storage/versions/", get(versions))
        .route("/fileshare/{fileshare}/storage/read/", get(read))
}

async fn create(call: Call) -> Result<Reply, Refusal> {
    let node = call.needed("node")?;
    let mut world = call.site.world();
    let workspace = call.open(&world, Mode::ReadWrite)?;
    workspace
        .node(&node)
        .filter(|node| node.is_file() && !node.trashed)
        .ok_or(Refusal::NotFound("file"))?;
    let mut fileshare = Fileshare::new(&workspace.id, &node);
    settle(&call, &mut fileshare)?;
    let named = format!("{}/{node}", fileshare.workspace);
    world.effects.note("fileshare made", &named);
    let shown = fileshare.description();
    world.fileshares.push(fileshare);
    Ok(Reply::new(json!({ "id": shown["id"], "fileshare": shown })))
}

async fn list(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let workspace = call.open(&world, Mode::Read)?.id.as_str();
    let own = world.fileshares.of_workspace(workspace);
    page(
        "fileshares",
        own.map(Fileshare::description).collect(),
        call.query(),
    )
}

async fn update(call: Call) -> Result<Reply, Refusal> {
    let mut world = call.site.world();
    let mut changed = managed(&call, &world, Mode::ReadWrite)?.clone();
    settle(&call, &mut changed)?;
    let (id, shown) = (changed.id.clone(), changed.description());
    if let Some(own) = world.fileshares.find_mut(&id) {
        *own = changed;
    }
    world.effects.note("fileshare changed", &id);
    call.site.changed(&mut world, &id, format!("details:{id}"));
    Ok(Reply::new(json!({ "fileshare": shown })))
}

async fn remove(call: Call) -> Result<Reply, Refusal> {
    let mut world = call.site.world();
    let id = managed(&call, &world, Mode::ReadWrite)?.id.clone();
    world.fileshares.remove(&id);
    world.effects.note("fileshare deleted", &id);
    Ok(Reply::new(json!({})))
}

async fn grants(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let grants = &managed(&call, &world, Mode::Read)?.grants;
    let shown: Vec<Value> = grants.iter().map(grant_description).collect();
    Ok(Reply::new(json!({ "grants": shown })))
}

async fn add_grant(call: Call) -> Result<Reply, Refusal> {
    let capability = call.needed("capability")?;
    let grant = Grant {
        person: grantee(&call)?,
        capability: Capability::parse(&capability).ok_or_else(|| {
            Refusal::invalid("capability", "capability must be view, download or edit.")
        })?,
    };
    let shown = grant_description(&grant);
    let mut world = call.site.world();
    let fileshare = managed_mut(&call, &mut world)?;
    fileshare.grants.retain(|own| own.person != grant.person);
    fileshare.grants.push(grant.clone());
    world.effects.note("fileshare granted", &grant.person);
    Ok(Reply::new(json!({ "grant": shown })))
}

async fn remove_grant(call: Call) -> Result<Reply, Refusal> {
    let person = grantee(&call)?;
    let mut world = call.site.world();
    let fileshare = managed_mut(&call, &mut world)?;
    let before = fileshare.grants.len();
    fileshare.grants.retain(|own| own.person != person);
    if fileshare.grants.len() == before {
        return Err(Refusal::NotFound("grant"));
    }
    world.effects.note("fileshare grant removed", &person);
    Ok(Reply::new(json!({})))
}

async fn details(
    State(site): State<SharedSite>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Reply, Refusal> {
    let guest = Guest::of(&site, &headers)?;
    let world = site.world();
    let opened = guest.open(&world, &id, Capability::View)?;
    let mut shown = opened.fileshare.description();
    shown["effective_capability"] = opened.capability.as_str().into();
    Ok(Reply::new(json!({ "fileshare": shown })))
}

async fn versions(
    State(site): State<SharedSite>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Reply, Refusal> {
    let guest = Guest::of(&site, &headers)?;
    let world = site.world();
    let opened = guest.open(&world, &id, Capability::View)?;
    let versions = opened.versions.iter().enumerate();
    let shown: Vec<Value> = versions
        .map(|(index, content)| json!({ "id": index.to_string(), "size": content.bytes.len() }))
        .collect();
    Ok(Reply::new(json!({ "versions": shown })))
}

async fn read(
    State(site): State<SharedSite>,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let guest = Guest::of(&site, &headers)?;
    let content = guest.content(&site.world(), &id)?;
    Ok(serve(content, &method, &headers))
}

/// Someone who uses a link.
pub(crate) struct Guest<'a> {
    pub(crate) caller: Option<Caller>,
    pub(crate) password: Option<&'a str>,
}

impl<'a> Guest<'a> {
    /// By the headers of a request to the API. Who shows a credential must show a good one.
    fn of(site: &SharedSite, headers: &'a HeaderMap) -> Result<Self, Refusal> {
        let caller = match bearer(headers) {
            Some(_) => Some(site.caller(headers)?),
            None => None,
        };
        Ok(Self {
            caller,
            password: link_password(headers),
        })
    }

    /// The file behind a link, for downloading.
    pub(crate) fn content(&self, world: &World, id: &str) -> Result<Content, Refusal> {
        let opened = self.open(world, id, Capability::Download)?;
        opened
            .versions
            .last()
            .cloned()
            .ok_or(Refusal::NotFound("file"))
    }

    fn open<'w>(
        &self,
        world: &'w World,
        id: &str,
        needed: Capability,
    ) -> Result<Opened<'w>, Refusal> {
        world
            .open_link(id, self.caller.as_ref(), self.password, needed)
            .map_err(Refusal::from)
    }
}

/// The password of a link, which stands in a header of its own.
pub(crate) fn link_password(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-ve-password")?.to_str().ok()
}

impl From<LinkRefusal> for Refusal {
    fn from(refusal: LinkRefusal) -> Self {
        let forbidden = |code, text| Self::State(StatusCode::FORBIDDEN, code, text);
        match refusal {
            LinkRefusal::Unknown => Self::NotFound("link"),
            LinkRefusal::Anonymous => Self::Anonymous,
            LinkRefusal::Password => {
                Self::InvalidToken("The password of the link is missing or wrong.")
            }
            LinkRefusal::NotServeable => forbidden(1680, "The file of the link is not there."),
            LinkRefusal::Capability => forbidden(1700, "The link does not allow it."),
        }
    }
}

/// Sets what a member may set.
fn settle(call: &Call, fileshare: &mut Fileshare) -> Result<(), Refusal> {
    if let Some(title) = call.given("title") {
        fileshare.title = Some(title);
    }
    if let Some(access) = call.given("access_option") {
        fileshare.access = Access::parse(&access)
            .ok_or_else(|| Refusal::invalid("access_option", "access_option is unknown."))?;
    }
    // An empty password takes the password away.
    if let Some(password) = call.record().get("password").and_then(Value::as_str) {
        fileshare.password = (!password.is_empty()).then(|| Fingerprint::of(password));
    }
    Ok(())
}

/// The link that a path names, of a workspace that the caller may use in `mode`.
fn managed<'w>(call: &Call, world: &'w World, mode: Mode) -> Result<&'w Fileshare, Refusal> {
    let fileshare = world
        .fileshares
        .find(call.named("fileshare"))
        .ok_or(Refusal::NotFound("link"))?;
    let place = Place {
        id: fileshare.workspace.clone(),
        is_share: false,
    };
    reach(world, &call.caller, &place, mode)?;
    Ok(fileshare)
}

fn managed_mut<'w>(call: &Call, world: &'w mut World) -> Result<&'w mut Fileshare, Refusal> {
    let id = managed(call, world, Mode::ReadWrite)?.id.clone();
    world
        .fileshares
        .find_mut(&id)
        .ok_or(Refusal::NotFound("link"))
}

/// Whom a grant is for: a person by id or by address, not both.
fn grantee(call: &Call) -> Result<String, Refusal> {
    match (call.given("user"), call.given("email")) {
        (Some(person), None) | (None, Some(person)) => Ok(person),
        (None, None) => Err(Refusal::missing("email")),
        (Some(_), Some(_)) => Err(Refusal::invalid("user", "Give either user or email.")),
    }
}

fn grant_description(grant: &Grant) -> Value {
    json!({ "user": grant.person, "capability": grant.capability.as_str() })
}
