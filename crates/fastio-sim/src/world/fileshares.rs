//! Links to single files. A link is bound to one file of a workspace for good, and may be used by people
//! who are no members of it: how far, its access, its password and its grants say.

use serde_json::{Value, json};

use crate::scope::{Mode, Target};
use crate::secret::{Fingerprint, random_profile_id};
use crate::world::World;
use crate::world::catalogue::Content;
use crate::world::ledger::Caller;

/// What a link lets someone do. Ordered: each includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Capability {
    View,
    Download,
    Edit,
}

impl Capability {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::View, Self::Download, Self::Edit]
            .into_iter()
            .find(|capability| capability.as_str() == name)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Download => "download",
            Self::Edit => "edit",
        }
    }
}

/// Who may use a link at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    AnyoneWithLink,
    AnyRegistered,
    NamedPeople,
}

impl Access {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::AnyoneWithLink, Self::AnyRegistered, Self::NamedPeople]
            .into_iter()
            .find(|access| access.as_str() == name)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::AnyoneWithLink => "anyone_with_link",
            Self::AnyRegistered => "any_registered",
            Self::NamedPeople => "named_people",
        }
    }
}

/// What one person may do, named by id or by address.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) person: String,
    pub(crate) capability: Capability,
}

#[derive(Clone, Debug)]
pub(crate) struct Fileshare {
    pub(crate) id: String,
    pub(crate) workspace: String,
    pub(crate) node: String,
    pub(crate) title: Option<String>,
    pub(crate) access: Access,
    pub(crate) password: Option<Fingerprint>,
    pub(crate) grants: Vec<Grant>,
}

/// Why a link does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkRefusal {
    /// There is none of this id.
    Unknown,
    /// It is for people who are signed in.
    Anonymous,
    /// The password is missing or wrong.
    Password,
    /// Its file is gone or in the trash.
    NotServeable,
    /// It does not let this person do so much.
    Capability,
}

/// A link that opened.
#[derive(Debug)]
pub(crate) struct Opened<'w> {
    pub(crate) fileshare: &'w Fileshare,
    pub(crate) versions: &'w [Content],
    pub(crate) capability: Capability,
}

impl Fileshare {
    pub(crate) fn new(workspace: &str, node: &str) -> Self {
        Self {
            id: random_profile_id(),
            workspace: workspace.to_owned(),
            node: node.to_owned(),
            title: None,
            access: Access::AnyoneWithLink,
            password: None,
            grants: Vec::new(),
        }
    }

    pub(crate) fn description(&self) -> Value {
        json!({
            "id": self.id,
            "workspace_id": self.workspace,
            "node_id": self.node,
            "title": self.title,
            "access_option": self.access.as_str(),
            "has_password": self.password.is_some(),
        })
    }

    /// The most that someone may do. Members by their scopes, named people by their grants; everyone else
    /// whom the access lets in may download, for a link that served nobody would be none.
    fn capability(&self, world: &World, caller: Option<&Caller>) -> Option<Capability> {
        let person = &world.catalogue.person;
        let as_member = caller.and_then(|caller| {
            let target = Target::Workspace {
                id: &self.workspace,
                org: world.catalogue.org_of(&self.workspace).unwrap_or_default(),
            };
            Some(match caller.scopes.mode_on(target)? {
                Mode::Read => Capability::Download,
                Mode::ReadWrite | Mode::Admin => Capability::Edit,
            })
        });
        let granted = self
            .grants
            .iter()
            .filter(|grant| {
                caller.is_some() && [&person.id, &person.email].contains(&&grant.person)
            })
            .map(|grant| grant.capability)
            .max();
        let by_link = (self.access != Access::NamedPeople && granted.is_none())
            .then_some(Capability::Download);
        as_member.max(granted).max(by_link)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Fileshares(Vec<Fileshare>);

impl Fileshares {
    pub(crate) fn push(&mut self, fileshare: Fileshare) {
        self.0.push(fileshare);
    }

    pub(crate) fn find(&self, id: &str) -> Option<&Fileshare> {
        self.0.iter().find(|fileshare| fileshare.id == id)
    }

    pub(crate) fn find_mut(&mut self, id: &str) -> Option<&mut Fileshare> {
        self.0.iter_mut().find(|fileshare| fileshare.id == id)
    }

    pub(crate) fn of_workspace<'a>(
        &'a self,
        workspace: &'a str,
    ) -> impl Iterator<Item = &'a Fileshare> {
        let own = move |fileshare: &&Fileshare| fileshare.workspace == workspace;
        self.0.iter().filter(own)
    }

    pub(crate) fn remove(&mut self, id: &str) {
        self.0.retain(|fileshare| fileshare.id != id);
    }
}

impl World {
    /// Opens a link for someone who wants to do `needed`.
    pub(crate) fn open_link(
        &self,
        id: &str,
        caller: Option<&Caller>,
        password: Option<&str>,
        needed: Capability,
    ) -> Result<Opened<'_>, LinkRefusal> {
        let fileshare = self.fileshares.find(id).ok_or(LinkRefusal::Unknown)?;
        if caller.is_none() && fileshare.access != Access::AnyoneWithLink {
            return Err(LinkRefusal::Anonymous);
        }
        if fileshare.password.is_some() && fileshare.password != password.map(Fingerprint::of) {
            return Err(LinkRefusal::Password);
        }
        let versions = self
            .catalogue
            .workspace(&fileshare.workspace)
            .and_then(|workspace| workspace.node(&fileshare.node))
            .filter(|node| node.is_file() && !node.trashed)
            .map(|node| node.versions.as_slice())
            .ok_or(LinkRefusal::NotServeable)?;
        let capability = fileshare
            .capability(self, caller)
            .filter(|capability| *capability >= needed)
            .ok_or(LinkRefusal::Capability)?;
        Ok(Opened {
            fileshare,
            versions,
            capability,
        })
    }
}
