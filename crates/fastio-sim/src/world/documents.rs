//! Client metadata documents: what stands at the HTTPS addresses that clients give as their `client_id`.
//!
//! Fast.io fetches such a document on the fly. The simulator touches no network, so a test publishes
//! documents here and they are "fetched" from here, anew at each authorization: whether the real server
//! keeps them is not known, and not keeping them is the harder case for a client. What the server demands
//! of a document is not public either; here it is what the IETF draft
//! (draft-ietf-oauth-client-id-metadata-document) says must be: an address with a path and without
//! fragment or credentials, a `client_id` that equals it, and no shared secret.

use std::collections::BTreeMap;

use serde_json::Value;
use time::OffsetDateTime;
use url::Url;

use crate::world::clients::{Client, ClientAuthentication, ClientMetadata};

/// The documents by their addresses.
#[derive(Debug, Default)]
pub(crate) struct Documents(BTreeMap<String, Value>);

/// Whether a `client_id` is the address of a document.
pub(crate) fn is_address(client_id: &str) -> bool {
    client_id.starts_with("https://")
}

impl Documents {
    pub(crate) fn publish(&mut self, address: &str, document: Value) {
        self.0.insert(address.to_owned(), document);
    }

    /// Takes a document away; `false` if there is none.
    pub(crate) fn withdraw(&mut self, address: &str) -> bool {
        self.0.remove(address).is_some()
    }

    pub(crate) fn all(&self) -> &BTreeMap<String, Value> {
        &self.0
    }

    /// The client that the document at an address describes, or why there is none.
    pub(crate) fn client(&self, address: &str, now: OffsetDateTime) -> Result<Client, String> {
        if !may_hold_a_document(address) {
            return Err("client_id is no address of a client metadata document.".to_owned());
        }
        let document = self
            .0
            .get(address)
            .ok_or("The client metadata document cannot be fetched.")?;
        if document.get("client_secret").is_some() {
            return Err("The client metadata document holds a secret.".to_owned());
        }
        let metadata: ClientMetadata = serde_json::from_value(document.clone())
            .map_err(|error| format!("The client metadata document is not one: {error}"))?;
        if metadata.client_id.as_deref() != Some(address) {
            return Err("The client metadata document names another client_id.".to_owned());
        }
        let client = Client::described(address, &metadata, now)
            .map_err(|refusal| format!("The client metadata document: {}", refusal.description))?;
        if client.authentication == ClientAuthentication::None {
            Ok(client)
        } else {
            Err("The client metadata document asks for a shared secret.".to_owned())
        }
    }
}

fn may_hold_a_document(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| {
        url.scheme() == "https"
            && url.path() != "/"
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ADDRESS: &str = "https://client.example/metadata.json";

    fn outcome(address: &str, document: Value) -> Result<String, String> {
        let mut documents = Documents::default();
        documents.publish(address, document);
        documents
            .client(address, OffsetDateTime::UNIX_EPOCH)
            .map(|client| client.name)
    }

    #[test]
    fn a_document_describes_the_client_at_its_own_address_and_no_other() {
        let document = json!({
            "client_id": ADDRESS,
            "client_name": "A client",
            "redirect_uris": ["http://127.0.0.1/callback"],
        });
        assert_eq!(
            outcome(ADDRESS, document.clone()),
            Ok("A client".to_owned())
        );
        let elsewhere = "https://other.example/metadata.json";
        let refused = outcome(elsewhere, document).expect_err("another address");
        assert!(refused.contains("another client_id"), "{refused}");
    }

    #[test]
    fn a_document_without_redirects_with_a_secret_or_at_no_proper_address_is_none() {
        for (changes, reason) in [
            (json!({ "redirect_uris": [] }), "redirect_uris"),
            (
                json!({ "redirect_uris": ["http://client.example/cb"] }),
                "loopback",
            ),
            (json!({ "client_secret": "s" }), "holds a secret"),
            (
                json!({ "token_endpoint_auth_method": "client_secret_post" }),
                "shared secret",
            ),
        ] {
            let mut document = json!({
                "client_id": ADDRESS,
                "redirect_uris": ["https://client.example/cb"],
            });
            for (name, value) in changes.as_object().expect("an object") {
                document[name] = value.clone();
            }
            let refused = outcome(ADDRESS, document).expect_err(reason);
            assert!(refused.contains(reason), "{refused}");
        }
        for address in [
            "https://client.example/",
            "https://client.example/a#b",
            "https://user@client.example/a",
        ] {
            let document = json!({ "client_id": address, "redirect_uris": ["https://a.example/"] });
            let refused = outcome(address, document).expect_err(address);
            assert!(refused.contains("no address"), "{address}: {refused}");
        }
    }
}
