//! Scopes: what is asked for by a name, what is granted as `entity:id:mode`, and what a granted set
//! opens.
//!
//! The hard part is inheritance. An organisation covers its workspaces and their shares, a workspace
//! covers its shares, and `user:*` covers the account; but account settings (`userdetails`) are
//! covered by nothing except themselves. Every decision goes through [`Scopes::mode_on`] (may this
//! token do that?) or [`Scopes::contains`] (is that scope no wider than these?), so enforcement and
//! narrowing cannot disagree about what a scope means.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How much a scope allows. Ordered: each mode includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// Reading only.
    #[serde(rename = "r")]
    Read,
    /// Reading and writing.
    #[serde(rename = "rw")]
    ReadWrite,
    /// Reading, writing and administering.
    #[serde(rename = "rwa")]
    Admin,
}

impl Mode {
    /// The spelling on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "r",
            Self::ReadWrite => "rw",
            Self::Admin => "rwa",
        }
    }
}

/// A text that is no mode, no scope type or no scope.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a scope this server knows")]
pub struct UnknownScope(pub String);

impl FromStr for Mode {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "r" => Ok(Self::Read),
            "rw" => Ok(Self::ReadWrite),
            "rwa" => Ok(Self::Admin),
            other => Err(UnknownScope(other.to_owned())),
        }
    }
}

/// The seven names a client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScopeType {
    User,
    Org,
    Workspace,
    AllOrgs,
    AllWorkspaces,
    AllShares,
    AllSignEnvelopes,
}

impl ScopeType {
    pub(crate) const ALL: [Self; 7] = [
        Self::User,
        Self::Org,
        Self::Workspace,
        Self::AllOrgs,
        Self::AllWorkspaces,
        Self::AllShares,
        Self::AllSignEnvelopes,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Org => "org",
            Self::Workspace => "workspace",
            Self::AllOrgs => "all_orgs",
            Self::AllWorkspaces => "all_workspaces",
            Self::AllShares => "all_shares",
            Self::AllSignEnvelopes => "all_sign_envelopes",
        }
    }

    /// The kind of entity that the person picks on the consent page, if any are to be picked.
    pub(crate) fn picks(self) -> Option<EntityKind> {
        match self {
            Self::Org => Some(EntityKind::Org),
            Self::Workspace => Some(EntityKind::Workspace),
            Self::User
            | Self::AllOrgs
            | Self::AllWorkspaces
            | Self::AllShares
            | Self::AllSignEnvelopes => None,
        }
    }

    /// The kind that a grant without picking names with `*`.
    pub(crate) fn entity_kind(self) -> EntityKind {
        match self {
            Self::User => EntityKind::User,
            Self::Org | Self::AllOrgs => EntityKind::Org,
            Self::Workspace | Self::AllWorkspaces => EntityKind::Workspace,
            Self::AllShares => EntityKind::Share,
            Self::AllSignEnvelopes => EntityKind::SignEnvelope,
        }
    }
}

impl FromStr for ScopeType {
    type Err = UnknownScope;

    /// `all_workflows` is retired and fails like any unknown name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| UnknownScope(text.to_owned()))
    }
}

/// The first part of a granted scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EntityKind {
    Org,
    Workspace,
    Share,
    User,
    UserDetails,
    SignEnvelope,
}

impl EntityKind {
    const ALL: [Self; 6] = [
        Self::Org,
        Self::Workspace,
        Self::Share,
        Self::User,
        Self::UserDetails,
        Self::SignEnvelope,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::Workspace => "workspace",
            Self::Share => "share",
            Self::User => "user",
            Self::UserDetails => "userdetails",
            Self::SignEnvelope => "sign_envelope",
        }
    }
}

/// One granted scope, `workspace:1234567890123456789:rw`. `id` is `None` for `*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Scope {
    pub(crate) kind: EntityKind,
    pub(crate) id: Option<String>,
    pub(crate) mode: Mode,
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.as_deref().unwrap_or("*");
        write!(
            formatter,
            "{}:{id}:{}",
            self.kind.as_str(),
            self.mode.as_str()
        )
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownScope(text.to_owned());
        let mut parts = text.split(':');
        let (Some(kind), Some(id), Some(mode), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(unknown());
        };
        let kind = EntityKind::ALL
            .into_iter()
            .find(|known| known.as_str() == kind)
            .ok_or_else(unknown)?;
        let id = match id {
            "*" => None,
            digits if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.to_owned())
            }
            _ => return Err(unknown()),
        };
        Ok(Self {
            kind,
            id,
            mode: mode.parse()?,
        })
    }
}

/// What a call wants to touch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'a> {
    Org(&'a str),
    Workspace {
        id: &'a str,
        org: &'a str,
    },
    Share {
        id: &'a str,
        workspace: Option<&'a str>,
        org: &'a str,
    },
}

/// The granted set of a session or an access token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scopes(pub(crate) Vec<Scope>);

impl Scopes {
    /// Parses the JSON-array string that `PATCH /oauth/sessions/{id}/` takes.
    pub(crate) fn from_json(text: &str) -> Result<Self, UnknownScope> {
        let listed: Vec<String> =
            serde_json::from_str(text).map_err(|_| UnknownScope(text.to_owned()))?;
        let mut scopes = listed
            .iter()
            .map(|scope| scope.parse())
            .collect::<Result<Vec<_>, _>>()?;
        scopes.sort();
        scopes.dedup();
        Ok(Self(scopes))
    }

    pub(crate) fn strings(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    pub(crate) fn whole_account(&self) -> bool {
        self.0.iter().any(|scope| scope.kind == EntityKind::User)
    }

    /// Whether nothing at all may be written.
    pub(crate) fn read_only(&self) -> bool {
        self.0.iter().all(|scope| scope.mode == Mode::Read)
    }

    pub(crate) fn admin(&self) -> bool {
        self.0.iter().any(|scope| scope.mode == Mode::Admin)
    }

    /// The most that these scopes allow on `target`; `None` when they do not reach it at all.
    pub(crate) fn mode_on(&self, target: Target<'_>) -> Option<Mode> {
        self.0
            .iter()
            .filter(|scope| scope.reaches(target))
            .map(|scope| scope.mode)
            .max()
    }

    /// Whether `narrower` is no wider than these scopes. `org_of` tells a workspace's organisation.
    pub(crate) fn contains<'a>(
        &self,
        narrower: &Scope,
        org_of: impl Fn(&str) -> Option<&'a str>,
    ) -> bool {
        self.0
            .iter()
            .any(|own| own.mode >= narrower.mode && own.encloses(narrower, &org_of))
    }
}

impl Scope {
    fn names(&self, id: &str) -> bool {
        self.id.as_deref().is_none_or(|own| own == id)
    }

    fn reaches(&self, target: Target<'_>) -> bool {
        match (self.kind, target) {
            (EntityKind::User, _) => true,
            (
                EntityKind::Org,
                Target::Org(org) | Target::Workspace { org, .. } | Target::Share { org, .. },
            ) => self.names(org),
            (EntityKind::Workspace, Target::Workspace { id, .. })
            | (EntityKind::Share, Target::Share { id, .. }) => self.names(id),
            (EntityKind::Workspace, Target::Share { workspace, .. }) => {
                workspace.is_some_and(|workspace| self.names(workspace))
            }
            (
                EntityKind::Workspace
                | EntityKind::Share
                | EntityKind::UserDetails
                | EntityKind::SignEnvelope,
                _,
            ) => false,
        }
    }

    fn encloses<'a>(&self, other: &Self, org_of: &impl Fn(&str) -> Option<&'a str>) -> bool {
        use EntityKind::{Org, Share, User, UserDetails, Workspace};
        if self.kind == other.kind {
            return self.id.is_none() || self.id == other.id;
        }
        match (self.kind, other.kind) {
            (User, kind) => kind != UserDetails,
            (Org, Workspace) => {
                self.id.is_none()
                    || other
                        .id
                        .as_deref()
                        .and_then(org_of)
                        .is_some_and(|org| self.names(org))
            }
            (Org | Workspace, Share) => self.id.is_none(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(listed: &[&str]) -> Scopes {
        Scopes(
            listed
                .iter()
                .map(|scope| scope.parse().expect("a scope"))
                .collect(),
        )
    }

    const IN_ORG: Target<'_> = Target::Workspace { id: "7", org: "1" };

    #[test]
    fn an_organisation_covers_its_workspaces_and_no_others() {
        let granted = scopes(&["org:1:r"]);
        assert_eq!(granted.mode_on(IN_ORG), Some(Mode::Read));
        assert_eq!(
            granted.mode_on(Target::Workspace { id: "8", org: "2" }),
            None
        );
    }

    #[test]
    fn a_workspace_does_not_open_its_organisation() {
        let granted = scopes(&["workspace:7:rw"]);
        assert_eq!(granted.mode_on(IN_ORG), Some(Mode::ReadWrite));
        assert_eq!(granted.mode_on(Target::Org("1")), None);
    }

    #[test]
    fn the_whole_account_does_not_include_its_settings() {
        let granted = scopes(&["user:*:rw"]);
        assert!(!granted.contains(&"userdetails:*:rw".parse().expect("a scope"), |_| None));
    }

    #[test]
    fn narrowing_may_go_down_the_tree_but_never_up() {
        let org_of = |id: &str| (id == "7").then_some("1");
        let granted = scopes(&["org:1:rw"]);
        for (narrower, inside) in [
            ("workspace:7:r", true),
            ("workspace:7:rw", true),
            ("workspace:7:rwa", false),
            ("workspace:8:r", false),
            ("org:*:r", false),
            ("user:*:r", false),
        ] {
            let scope = narrower.parse().expect("a scope");
            assert_eq!(granted.contains(&scope, org_of), inside, "{narrower}");
        }
    }
}
