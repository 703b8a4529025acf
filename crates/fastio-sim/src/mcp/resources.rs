//! Resources: the guide, the state of the session, and files up to 100 KB.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmcp::ErrorData;
use rmcp::model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate};
use serde_json::json;

use crate::http::account::reach;
use crate::http::call::Place;
use crate::http::site::SharedSite;
use crate::mcp::own::whole_guide;
use crate::mcp::server::Visitor;
use crate::scope::Mode;
use crate::world::fileshares::Capability;

/// The largest file that is handed out inline.
const INLINE_LIMIT: u64 = 100 * 1024;

pub(crate) fn fixed() -> Vec<Resource> {
    [
        ("skill://guide", "guide", "text/markdown"),
        ("session://status", "session", "application/json"),
        ("resource://status", "status", "application/json"),
    ]
    .into_iter()
    .map(|(uri, name, kind)| Resource::new(uri, name).with_mime_type(kind))
    .collect()
}

pub(crate) fn templates() -> Vec<ResourceTemplate> {
    [
        ("download://workspace/{id}/{node}", "file of a workspace"),
        ("download://share/{id}/{node}", "file of a share"),
        ("download://fileshare/{id}", "file behind a link"),
    ]
    .into_iter()
    .map(|(uri, name)| ResourceTemplate::new(uri, name))
    .collect()
}

pub(crate) fn read(
    site: &SharedSite,
    uri: &str,
    visitor: &Visitor,
) -> Result<ReadResourceResult, ErrorData> {
    let status = || {
        json!({
            "signed_in": visitor.caller.is_some(),
            "scopes": visitor.caller.as_ref().map(|caller| caller.scopes.strings()),
        })
        .to_string()
    };
    let contents = match uri {
        "skill://guide" => ResourceContents::text(whole_guide(), uri),
        "session://status" => ResourceContents::text(status(), uri),
        "resource://status" => {
            ResourceContents::text(json!({ "system": "operational" }).to_string(), uri)
        }
        _ => file(site, uri, visitor)?,
    };
    Ok(ReadResourceResult::new(vec![contents]))
}

fn file(site: &SharedSite, uri: &str, visitor: &Visitor) -> Result<ResourceContents, ErrorData> {
    let unknown = || ErrorData::resource_not_found(format!("there is no {uri}"), None);
    let parts: Vec<&str> = uri
        .strip_prefix("download://")
        .ok_or_else(unknown)?
        .split('/')
        .collect();
    let caller = visitor
        .known()
        .map_err(|_| ErrorData::invalid_request("Not authenticated", None))?;
    let content = match parts[..] {
        [kind @ ("workspace" | "share"), id, node] => {
            let place = Place {
                id: id.to_owned(),
                is_share: kind == "share",
            };
            reach(&site.world(), caller, &place, Mode::Read)
                .ok()
                .and_then(|place| place.content(node))
        }
        // A link with a password cannot be read here: there is no header for it.
        ["fileshare", id] => site
            .world()
            .open_link(id, Some(caller), None, Capability::Download)
            .ok()
            .and_then(|opened| opened.versions.last().cloned()),
        _ => None,
    };
    let content = content.ok_or_else(unknown)?;
    if content.bytes.len() > INLINE_LIMIT {
        return Err(ErrorData::invalid_request(
            "the file is too large to be read inline; use download file-url",
            None,
        ));
    }
    let bytes = content.bytes.piece(0, usize::MAX);
    Ok(match std::str::from_utf8(&bytes) {
        Ok(text) => ResourceContents::text(text, uri).with_mime_type(content.media_type),
        Err(_) => {
            ResourceContents::blob(STANDARD.encode(&bytes), uri).with_mime_type(content.media_type)
        }
    })
}
