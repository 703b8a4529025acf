//! Everything the simulator knows, in one place and behind one lock.
//!
//! The parts are plain data with plain methods that take `now`; handlers lock the world, call them
//! and render. Nothing here waits, so the lock is never held across an await.

pub(crate) mod activity;
pub(crate) mod asks;
pub(crate) mod buckets;
pub(crate) mod catalogue;
pub(crate) mod clients;
pub(crate) mod desk;
pub(crate) mod documents;
pub(crate) mod effects;
pub(crate) mod errands;
pub(crate) mod fileshares;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod locks;
pub(crate) mod shelves;
pub(crate) mod sighting;
pub(crate) mod stored;
pub(crate) mod traffic;
pub(crate) mod uploads;

use std::collections::HashMap;

use axum::http::request::Parts;
use serde::Serialize;
use time::OffsetDateTime;

use crate::kind::Kind;
use crate::knobs::{ClientDocuments, Knobs};
use crate::secret::Fingerprint;

/// One value that must never be found in clear where a client stores or logs things.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IssuedSecret {
    /// What it is.
    pub kind: SecretKind,
    /// The value itself.
    pub value: String,
}

/// What an [`IssuedSecret`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretKind {
    /// Issued by the token endpoint.
    AccessToken,
    /// Issued by the token endpoint.
    RefreshToken,
    /// Issued by consent.
    AuthorizationCode,
    /// Received at the token endpoint.
    CodeVerifier,
    /// Issued by registration.
    ClientSecret,
    /// Issued by registration.
    RegistrationAccessToken,
}

/// The right to download one file once it was asked for with a token.
#[derive(Debug)]
pub(crate) struct Download {
    pub(crate) place: crate::http::call::Place,
    pub(crate) node_id: String,
    pub(crate) expires_at: OffsetDateTime,
}

/// The right to open the WebSocket once.
#[derive(Debug)]
pub(crate) struct SocketTicket {
    pub(crate) entity: String,
    pub(crate) expires_at: OffsetDateTime,
}

/// A token that gives an organisation away.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) id: String,
    pub(crate) org: String,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) expires_at: OffsetDateTime,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) knobs: Knobs,
    pub(crate) catalogue: catalogue::Catalogue,
    pub(crate) clients: clients::Clients,
    pub(crate) documents: documents::Documents,
    pub(crate) asks: asks::Asks,
    pub(crate) ledger: ledger::Ledger,
    pub(crate) traffic: traffic::Traffic,
    pub(crate) downloads: HashMap<Fingerprint, Download>,
    pub(crate) secrets: Vec<IssuedSecret>,
    pub(crate) keys: keys::Keys,
    pub(crate) shelves: shelves::Shelves,
    pub(crate) desk: desk::Desk,
    pub(crate) effects: effects::Effects,
    pub(crate) activity: activity::Activity,
    pub(crate) locks: locks::Locks,
    pub(crate) fileshares: fileshares::Fileshares,
    pub(crate) uploads: uploads::Uploads,
    pub(crate) web_uploads: Vec<errands::WebUpload>,
    pub(crate) threads: Vec<errands::Thread>,
    pub(crate) transfers: Vec<Transfer>,
    pub(crate) sockets: HashMap<Fingerprint, SocketTicket>,
    /// What reached the second origin.
    pub(crate) strayed: Vec<traffic::LoggedRequest>,
}

impl World {
    pub(crate) fn new(knobs: Knobs, now: OffsetDateTime) -> Self {
        Self {
            knobs,
            catalogue: catalogue::Catalogue::demo(now),
            clients: clients::Clients::new(now),
            documents: documents::Documents::default(),
            asks: asks::Asks::default(),
            ledger: ledger::Ledger::default(),
            traffic: traffic::Traffic::new(),
            downloads: HashMap::new(),
            secrets: Vec::new(),
            keys: keys::Keys::default(),
            shelves: shelves::Shelves::default(),
            desk: desk::Desk::default(),
            effects: effects::Effects::default(),
            activity: activity::Activity::default(),
            locks: locks::Locks::default(),
            fileshares: fileshares::Fileshares::default(),
            uploads: uploads::Uploads::default(),
            web_uploads: Vec::new(),
            threads: Vec::new(),
            transfers: Vec::new(),
            sockets: HashMap::new(),
            strayed: Vec::new(),
        }
    }

    /// The client that begins an authorization, or why there is none. A metadata document is fetched
    /// anew each time.
    pub(crate) fn client_asking(
        &mut self,
        id: &str,
        now: OffsetDateTime,
    ) -> Result<&clients::Client, String> {
        let fetches = self.knobs.client_documents == ClientDocuments::Fetched;
        if fetches && documents::is_address(id) {
            self.effects.note("client document fetched", id);
            let client = self.documents.client(id, now)?;
            self.clients.adopt(client);
        }
        self.clients
            .find(id)
            .ok_or_else(|| "client_id names no registered client.".to_owned())
    }

    /// What a request carries, by what is known now.
    pub(crate) fn sighting(&self, parts: &Parts, now: OffsetDateTime) -> sighting::Sighting {
        let known = sighting::Known {
            ledger: &self.ledger,
            keys: &self.keys,
            knobs: &self.knobs,
            now,
        };
        sighting::Sighting::of(parts, &known)
    }

    /// Keeps a note of a request that reached the second origin.
    pub(crate) fn note_strayed(
        &mut self,
        parts: &Parts,
        seen: sighting::Sighting,
        now: OffsetDateTime,
    ) {
        self.strayed.push(traffic::LoggedRequest {
            sequence: self.strayed.len() as u64 + 1,
            at: crate::clock::fastio_datetime(now),
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            kind: Kind::Unknown,
            parameters: Vec::new(),
            progress: traffic::Progress::Answered,
            status: Some(200),
            seen,
            rpc: None,
        });
    }

    /// Remembers a secret for the byte scans of tests.
    pub(crate) fn note_secret(&mut self, kind: SecretKind, value: &str) {
        if !self.secrets.iter().any(|known| known.value == value) {
            self.secrets.push(IssuedSecret {
                kind,
                value: value.to_owned(),
            });
        }
    }
}
