//! Uploads under way.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

use crate::http::call::Place;
use crate::secret::random_node_id;
use crate::world::stored::Stored;

/// How far an upload is, as far as the simulator tells the states apart: it assembles and stores at
/// once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Uploading,
    Complete,
    AssemblyFailed,
    Canceled,
}

#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Said at the beginning; unknown for a stream.
    pub(crate) size: Option<u64>,
    pub(crate) place: Place,
    pub(crate) folder: String,
    pub(crate) status: Status,
    pub(crate) received: u64,
    pub(crate) sha256: Option<String>,
    pub(crate) new_file_id: Option<String>,
    /// The pieces by their order: their length, and their bytes while few.
    pieces: BTreeMap<u64, (u64, Option<Bytes>)>,
}

impl Upload {
    pub(crate) fn new(name: &str, size: Option<u64>, place: Place, folder: String) -> Self {
        Self {
            id: random_node_id(),
            name: name.to_owned(),
            size,
            place,
            folder,
            status: Status::Uploading,
            received: 0,
            sha256: None,
            new_file_id: None,
            pieces: BTreeMap::new(),
        }
    }

    /// Takes a piece; one that comes again replaces itself.
    pub(crate) fn take(&mut self, order: u64, bytes: Bytes, kept: u64) {
        let length = bytes.len() as u64;
        let keep = self.size.unwrap_or(u64::MAX) <= kept;
        self.pieces.insert(order, (length, keep.then_some(bytes)));
        self.received = self.pieces.values().map(|(length, _)| length).sum();
    }

    /// The file that the pieces make.
    pub(crate) fn assembled(&self) -> Stored {
        let mut whole = BytesMut::new();
        for (_, bytes) in self.pieces.values() {
            match bytes {
                Some(bytes) => whole.extend_from_slice(bytes),
                None => return Stored::Counted(self.received),
            }
        }
        Stored::Kept(whole.freeze())
    }

    pub(crate) fn description(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "size": self.size,
            "received": self.received,
            "chunks": self.pieces.keys().collect::<Vec<_>>(),
            "status": match self.status {
                Status::Uploading if self.pieces.is_empty() => "ready",
                Status::Uploading => "uploading",
                Status::Complete => "complete",
                Status::AssemblyFailed => "assembly_failed",
                Status::Canceled => "canceled",
            },
            "sha256": self.sha256,
            "new_file_id": self.new_file_id,
        })
    }
}

#[derive(Debug, Default)]
pub(crate) struct Uploads(Vec<Upload>);

impl Uploads {
    pub(crate) fn push(&mut self, upload: Upload) {
        self.0.push(upload);
    }

    pub(crate) fn replace(&mut self, upload: Upload) {
        if let Some(own) = self.find_mut(&upload.id) {
            *own = upload;
        }
    }

    pub(crate) fn find(&self, id: &str) -> Option<&Upload> {
        self.0.iter().find(|upload| upload.id == id)
    }

    pub(crate) fn find_mut(&mut self, id: &str) -> Option<&mut Upload> {
        self.0.iter_mut().find(|upload| upload.id == id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Upload> {
        self.0.iter()
    }
}
