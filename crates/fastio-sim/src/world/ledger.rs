//! Sessions and the tokens that belong to them.
//!
//! A session is what the person sees as "this app on that device": it is the family of every refresh
//! token that descended from one code. Tokens are never deleted, only spent, outlived or orphaned by
//! the end of their session, because what a server does with an *old* token is exactly what clients
//! get wrong. Access tokens carry the scopes they were issued with: narrowing a session shows at the
//! next refresh, not before.

use std::collections::HashMap;

use serde::Serialize;
use time::{Duration, OffsetDateTime};

use crate::knobs::{AccessTokenForm, Knobs, RefreshReuse, RefreshRotation, RevokedAccessToken};
use crate::scope::{ScopeType, Scopes};
use crate::secret::{Fingerprint, jwt_looking, random_node_id, random_token};

#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) person_id: String,
    pub(crate) client_id: String,
    pub(crate) client_name: String,
    pub(crate) scope_type: ScopeType,
    pub(crate) scopes: Scopes,
    pub(crate) device_name: Option<String>,
    pub(crate) device_type: Option<String>,
    pub(crate) agent_name: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) last_used_at: OffsetDateTime,
    pub(crate) ended: Option<Ended>,
    /// The request that changed it last, by its place in the log.
    pub(crate) changed_by: u64,
}

/// When and how a session ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) at: OffsetDateTime,
    pub(crate) by: EndedBy,
}

/// What ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// The client, at the revocation endpoint.
    RevokeEndpoint,
    /// A call of the sessions API.
    SessionDelete,
    /// The person, in the dashboard.
    Person,
    /// A spent refresh token came back.
    RefreshReuse,
    /// A spent code came back.
    CodeReplay,
}

#[derive(Debug)]
struct RefreshToken {
    session_id: String,
    expires_at: OffsetDateTime,
    spent_at: Option<OffsetDateTime>,
}

#[derive(Debug)]
struct AccessToken {
    session_id: String,
    scopes: Scopes,
    resource: Option<String>,
    expires_at: OffsetDateTime,
}

/// Whoever holds a valid access token.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) session_id: String,
    pub(crate) person_id: String,
    pub(crate) scopes: Scopes,
    pub(crate) agent_name: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) credential: Credential,
}

/// What kind of credential a caller shows, as refusals name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    OAuth,
    ApiKey,
    Session,
}

impl Credential {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::OAuth => "oauth",
            Self::ApiKey => "api_key",
            Self::Session => "session",
        }
    }
}

/// What an access token is worth, compared with its siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Newest,
    Older,
    Dead,
}

/// Why a token opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadToken {
    /// It was never issued.
    Unknown,
    /// It was issued to another client.
    OtherClient,
    /// Its time is over.
    Expired,
    /// It was used before and replaced.
    Spent,
    /// Its session has ended.
    SessionEnded,
}

/// What a token reply carries.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) session: Session,
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    sessions: Vec<Session>,
    refresh_tokens: HashMap<Fingerprint, RefreshToken>,
    access_tokens: HashMap<Fingerprint, AccessToken>,
    /// The access token that each session was given last.
    newest: HashMap<String, Fingerprint>,
}

impl Ledger {
    pub(crate) fn open(&mut self, mut session: Session) -> String {
        session.id = random_node_id();
        let id = session.id.clone();
        self.sessions.push(session);
        id
    }

    pub(crate) fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    pub(crate) fn session(&self, id: &str) -> Option<&Session> {
        self.sessions.iter().find(|session| session.id == id)
    }

    /// A session that has not ended.
    pub(crate) fn living_mut(&mut self, id: &str) -> Option<&mut Session> {
        self.sessions
            .iter_mut()
            .find(|session| session.id == id && session.ended.is_none())
    }

    /// Ends a session; `false` when it had ended or never was.
    pub(crate) fn end(&mut self, id: &str, by: EndedBy, at: OffsetDateTime) -> bool {
        let Some(session) = self.living_mut(id) else {
            return false;
        };
        session.ended = Some(Ended { at, by });
        true
    }

    /// The first pair of a session.
    pub(crate) fn first_pair(
        &mut self,
        session_id: &str,
        knobs: &Knobs,
        now: OffsetDateTime,
    ) -> Option<Issued> {
        let session = self.session(session_id)?.clone();
        let refresh_token = self.issue_refresh_token(session_id, knobs, now);
        let access_token = self.issue_access_token(&session, session.resource.clone(), knobs, now);
        Some(Issued {
            session,
            access_token,
            refresh_token: Some(refresh_token),
        })
    }

    /// Redeems a refresh token. A spent one is honoured within the grace period (the successor it
    /// already has stays good: the server cannot know which of the two arrived); after it, it ends
    /// the session if the knobs say so.
    pub(crate) fn refresh(
        &mut self,
        token: &str,
        client_id: &str,
        resource: Option<String>,
        knobs: &Knobs,
        now: OffsetDateTime,
    ) -> Result<Issued, DeadToken> {
        let session_id = match self.check_refresh_token(token, Some(client_id), knobs, now) {
            Ok(session) => session.id.clone(),
            Err(dead) => {
                if dead == DeadToken::Spent && knobs.refresh_reuse == RefreshReuse::KillFamily {
                    self.end_family_of(token, EndedBy::RefreshReuse, now);
                }
                return Err(dead);
            }
        };
        if let Some(used) = self.refresh_tokens.get_mut(&Fingerprint::of(token)) {
            match knobs.refresh_rotation {
                RefreshRotation::Rotate => {
                    used.spent_at.get_or_insert(now);
                }
                RefreshRotation::Keep | RefreshRotation::KeepAndOmit => {
                    used.expires_at = now + seconds(knobs.refresh_token_lifetime_s);
                }
            }
        }
        let refresh_token = match knobs.refresh_rotation {
            RefreshRotation::Rotate => Some(self.issue_refresh_token(&session_id, knobs, now)),
            RefreshRotation::Keep => Some(token.to_owned()),
            RefreshRotation::KeepAndOmit => None,
        };
        let session = self
            .living_mut(&session_id)
            .ok_or(DeadToken::SessionEnded)?;
        session.last_used_at = now;
        let session = session.clone();
        let resource = resource.or_else(|| session.resource.clone());
        let access_token = self.issue_access_token(&session, resource, knobs, now);
        Ok(Issued {
            session,
            access_token,
            refresh_token,
        })
    }

    /// Whether a refresh token would be honoured, changing nothing. Without a client, whoever holds
    /// it counts as the right one.
    pub(crate) fn check_refresh_token(
        &self,
        token: &str,
        client_id: Option<&str>,
        knobs: &Knobs,
        now: OffsetDateTime,
    ) -> Result<&Session, DeadToken> {
        let known = self
            .refresh_tokens
            .get(&Fingerprint::of(token))
            .ok_or(DeadToken::Unknown)?;
        let session = self.session(&known.session_id).ok_or(DeadToken::Unknown)?;
        if client_id.is_some_and(|client_id| client_id != session.client_id) {
            return Err(DeadToken::OtherClient);
        }
        if session.ended.is_some() {
            return Err(DeadToken::SessionEnded);
        }
        let grace = seconds(knobs.refresh_replay_grace_s);
        if known
            .spent_at
            .is_some_and(|spent_at| now >= spent_at + grace)
        {
            return Err(DeadToken::Spent);
        }
        if now >= known.expires_at {
            return Err(DeadToken::Expired);
        }
        Ok(session)
    }

    /// Ends the session that a refresh token, living or spent, belongs to.
    pub(crate) fn end_family_of(&mut self, token: &str, by: EndedBy, at: OffsetDateTime) -> bool {
        let known = self.refresh_tokens.get(&Fingerprint::of(token));
        match known.map(|token| token.session_id.clone()) {
            Some(session_id) => self.end(&session_id, by, at),
            None => false,
        }
    }

    /// Who holds an access token.
    pub(crate) fn caller(
        &self,
        token: &str,
        knobs: &Knobs,
        now: OffsetDateTime,
    ) -> Result<Caller, DeadToken> {
        let known = self
            .access_tokens
            .get(&Fingerprint::of(token))
            .ok_or(DeadToken::Unknown)?;
        let session = self.session(&known.session_id).ok_or(DeadToken::Unknown)?;
        if now >= known.expires_at {
            return Err(DeadToken::Expired);
        }
        let dies_at_once = knobs.revoked_access_token == RevokedAccessToken::DiesAtOnce;
        if dies_at_once && session.ended.is_some() {
            return Err(DeadToken::SessionEnded);
        }
        Ok(Caller {
            session_id: session.id.clone(),
            person_id: session.person_id.clone(),
            scopes: known.scopes.clone(),
            agent_name: session.agent_name.clone(),
            resource: known.resource.clone(),
            credential: Credential::OAuth,
        })
    }

    /// When an access token ends by itself; `None` for one that was never issued.
    pub(crate) fn end_of(&self, token: &str) -> Option<OffsetDateTime> {
        let known = self.access_tokens.get(&Fingerprint::of(token))?;
        Some(known.expires_at)
    }

    /// What an access token is worth; `None` for one that was never issued.
    pub(crate) fn standing(
        &self,
        token: &str,
        knobs: &Knobs,
        now: OffsetDateTime,
    ) -> Option<Standing> {
        let fingerprint = Fingerprint::of(token);
        let known = self.access_tokens.get(&fingerprint)?;
        Some(match self.caller(token, knobs, now) {
            Err(_) => Standing::Dead,
            Ok(_) if self.newest.get(&known.session_id) == Some(&fingerprint) => Standing::Newest,
            Ok(_) => Standing::Older,
        })
    }

    /// Short fingerprints of the refresh tokens of a session that are still good, and not merely
    /// within the grace period.
    pub(crate) fn live_refresh_tokens(&self, session_id: &str, now: OffsetDateTime) -> Vec<String> {
        if self
            .session(session_id)
            .is_none_or(|session| session.ended.is_some())
        {
            return Vec::new();
        }
        let mut live: Vec<String> = self
            .refresh_tokens
            .iter()
            .filter(|(_, token)| {
                token.session_id == session_id && token.spent_at.is_none() && now < token.expires_at
            })
            .map(|(fingerprint, _)| fingerprint.short())
            .collect();
        live.sort();
        live
    }

    /// How many access tokens of a session still open something.
    pub(crate) fn live_access_tokens(
        &self,
        session_id: &str,
        knobs: &Knobs,
        now: OffsetDateTime,
    ) -> usize {
        let ended = self
            .session(session_id)
            .is_none_or(|session| session.ended.is_some());
        if ended && knobs.revoked_access_token == RevokedAccessToken::DiesAtOnce {
            return 0;
        }
        self.access_tokens
            .values()
            .filter(|token| token.session_id == session_id && now < token.expires_at)
            .count()
    }

    fn issue_refresh_token(
        &mut self,
        session_id: &str,
        knobs: &Knobs,
        now: OffsetDateTime,
    ) -> String {
        let token = random_token();
        self.refresh_tokens.insert(
            Fingerprint::of(&token),
            RefreshToken {
                session_id: session_id.to_owned(),
                expires_at: now + seconds(knobs.refresh_token_lifetime_s),
                spent_at: None,
            },
        );
        token
    }

    fn issue_access_token(
        &mut self,
        session: &Session,
        resource: Option<String>,
        knobs: &Knobs,
        now: OffsetDateTime,
    ) -> String {
        let expires_at = now + seconds(knobs.access_token_lifetime_s);
        let token = match knobs.access_token_form {
            AccessTokenForm::Opaque => random_token(),
            AccessTokenForm::Jwt => jwt_looking(&serde_json::json!({
                "v": "2.0",
                "sub": session.person_id,
                "sid": session.id,
                "aud": resource,
                "exp": expires_at.unix_timestamp(),
                "scopes": session.scopes.strings(),
            })),
        };
        self.newest
            .insert(session.id.clone(), Fingerprint::of(&token));
        self.access_tokens.insert(
            Fingerprint::of(&token),
            AccessToken {
                session_id: session.id.clone(),
                scopes: session.scopes.clone(),
                resource,
                expires_at,
            },
        );
        token
    }
}

/// Seconds as a duration; a figure past ten thousand years counts as ten thousand years.
fn seconds(count: u64) -> Duration {
    const CEILING: i64 = 315_360_000_000;
    Duration::seconds(i64::try_from(count).unwrap_or(CEILING).min(CEILING / 100))
}
