//! Knobs: one for each point on which the public description of Fast.io is silent or contradicts
//! itself, so that a client can be shown to work whichever way the real server turns out to behave.
//!
//! The first value of each choice is the default. A knob takes effect with the next request.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Declares a choice whose first value is the default and whose values are spelled in snake case.
macro_rules! choice {
    ($(#[$about:meta])* $name:ident { $(#[$about_first:meta])* $first:ident $(, $(#[$about_other:meta])* $other:ident)* $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            #[default]
            $(#[$about_first])* $first,
            $($(#[$about_other])* $other,)*
        }
    };
}

choice! {
    /// What a refresh does to the refresh token.
    RefreshRotation {
        /// A new one each time; the old one is spent.
        Rotate,
        /// The same one, repeated in the reply.
        Keep,
        /// The same one, left out of the reply.
        KeepAndOmit,
    }
}
choice! {
    /// What happens when a spent refresh token is sent again.
    RefreshReuse {
        /// The whole session ends.
        KillFamily,
        /// Only this call is refused.
        RejectOnly,
    }
}
choice! {
    /// The body of a token endpoint error.
    TokenErrorShape {
        /// `400 {"error":"invalid_grant",…}` as in RFC 6749.
        Rfc6749,
        /// Fast.io's envelope, 401 with code 1650.
        Envelope,
    }
}
choice! {
    /// How the token reply carries `scopes`.
    ScopesEncoding {
        /// A string that holds a JSON array.
        JsonString,
        /// A JSON array.
        Array,
        /// Not at all.
        Absent,
    }
}
choice! {
    /// Which parameter names the scope in an authorization request.
    ScopeParameter {
        /// `scope_type` or `scope`.
        Either,
        /// `scope_type` only; `scope` is ignored.
        ScopeType,
        /// `scope` only; `scope_type` is ignored.
        Scope,
    }
}
choice! {
    /// The form of the rate-limit window's end.
    ExpiresHeader {
        /// `2026-04-24 23:49:04 UTC`.
        Datetime,
        /// Seconds since 1970.
        Epoch,
        /// No such header.
        Absent,
    }
}
choice! {
    /// Which spelling the rate-limit headers have.
    LimitHeaderNames {
        /// `x-ve-limit-avail`, `-max`, `-expires`.
        Current,
        /// `X-Rate-Limit-Available`, `-Max`, `-Expiry`.
        Legacy,
    }
}
choice! {
    /// An access token after its session was revoked or deleted.
    RevokedAccessToken {
        /// Refused from then on.
        DiesAtOnce,
        /// Good until its own end.
        ValidUntilExpiry,
    }
}
choice! {
    /// Which spellings of the well-known paths are served.
    WellKnown {
        /// With and without the trailing slash.
        Both,
        /// Only with it.
        SlashOnly,
    }
}
choice! {
    /// Which redirect URIs the pre-registered `fastio-cli` may use.
    RedirectCheck {
        /// `/callback` on any loopback port.
        AnyLoopbackPort,
        /// `http://localhost:19836/callback` only.
        #[serde(rename = "fixed_19836")]
        Fixed19836,
    }
}
choice! {
    /// `state` in an error redirect.
    ErrorRedirectState {
        /// Sent back.
        Present,
        /// Left out.
        Absent,
    }
}
choice! {
    /// Whether an optional member is there.
    Presence {
        /// It is not.
        Absent,
        /// It is.
        Present,
    }
}
choice! {
    /// The status of a validation error (code 1605).
    ValidationStatus {
        /// 400.
        BadRequest,
        /// 406.
        NotAcceptable,
    }
}
choice! {
    /// `expires_in` in a token reply.
    ExpiresIn {
        /// Sent.
        Present,
        /// Left out.
        Absent,
    }
}
choice! {
    /// What an access token looks like.
    AccessTokenForm {
        /// Three base64url parts.
        Jwt,
        /// A random string.
        Opaque,
    }
}
choice! {
    /// Which values of `resource` (RFC 8707) are accepted.
    ResourceValues {
        /// Any absolute URL without a fragment.
        Any,
        /// Only the API's and the MCP server's own URLs.
        Known,
        /// None: `invalid_target`.
        Refused,
    }
}
choice! {
    /// Dynamic client registration.
    Registration {
        /// Offered and answered.
        Open,
        /// Neither.
        Closed,
    }
}

choice! {
    /// Clients whose `client_id` is the address of a metadata document.
    ClientDocuments {
        /// The document is fetched; the metadata of the server says so.
        Fetched,
        /// Such a client is unknown.
        Ignored,
    }
}
choice! {
    /// Whether `/mcp` and `/sse` serve a client without a credential.
    McpAnonymous {
        /// They do; it signs in by the `auth` tool.
        Allowed,
        /// They answer with an OAuth challenge.
        Challenged,
    }
}
choice! {
    /// How the MCP server tells that a credential has gone bad.
    McpAuthFailure {
        /// HTTP 401 with a challenge.
        #[serde(rename = "http_401")]
        Http401,
        /// A JSON-RPC error inside HTTP 200.
        JsonRpc,
        /// A tool result with `isError` and `_recovery`.
        ToolResult,
    }
}
choice! {
    /// Which tools the MCP server has.
    McpCatalogue {
        /// As the client's name says.
        ByClient,
        /// The eighteen named tools.
        Named,
        /// The five tools of code mode.
        Code,
        /// Each of the 251 operations as a tool.
        Whole,
    }
}

/// All knobs. `Default` is the server that the documents describe best.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knobs {
    /// What a refresh does to the refresh token.
    pub refresh_rotation: RefreshRotation,
    /// What a spent refresh token does.
    pub refresh_reuse: RefreshReuse,
    /// For how long a spent refresh token is still honoured, for clients that lost the reply.
    pub refresh_replay_grace_s: u64,
    /// The body of a token endpoint error.
    pub token_error_shape: TokenErrorShape,
    /// How the token reply carries `scopes`.
    pub scopes_encoding: ScopesEncoding,
    /// Which parameter names the scope.
    pub scope_parameter: ScopeParameter,
    /// The form of `x-ve-limit-expires`.
    pub expires_header: ExpiresHeader,
    /// The spelling of the rate-limit headers.
    pub limit_header_names: LimitHeaderNames,
    /// Access tokens of an ended session.
    pub revoked_access_token: RevokedAccessToken,
    /// Spellings of the well-known paths.
    pub well_known: WellKnown,
    /// Redirect URIs of `fastio-cli`.
    pub redirect_check: RedirectCheck,
    /// `state` in an error redirect.
    pub error_redirect_state: ErrorRedirectState,
    /// `iss` (RFC 9207) in a redirect; advertised in the metadata when present.
    pub issuer_in_redirect: Presence,
    /// A trailing slash on the issuer.
    pub issuer_slash: Presence,
    /// The status of validation errors.
    pub validation_status: ValidationStatus,
    /// How long an access token lives.
    pub access_token_lifetime_s: u64,
    /// How long a refresh token lives after it was issued or last used.
    pub refresh_token_lifetime_s: u64,
    /// How long a client secret lives; 0 is for ever.
    pub client_secret_lifetime_s: u64,
    /// `expires_in` in the token reply.
    pub expires_in: ExpiresIn,
    /// `token_type` in the token reply, in any spelling.
    pub token_type: String,
    /// What an access token looks like.
    pub access_token_form: AccessTokenForm,
    /// Accepted values of `resource`.
    pub resource: ResourceValues,
    /// Dynamic client registration.
    pub registration: Registration,
    /// Clients with a metadata document.
    pub client_documents: ClientDocuments,
    /// Clients of the MCP server without a credential.
    pub mcp_anonymous: McpAnonymous,
    /// How the MCP server tells that a credential has gone bad.
    pub mcp_auth_failure: McpAuthFailure,
    /// Which tools the MCP server has.
    pub mcp_catalogue: McpCatalogue,
    /// Whether writing is a tool of its own, `storage_manage` beside `storage`, as from October 2026 on.
    pub mcp_manage_tools: Presence,
    /// How many tools a page of `tools/list` holds.
    pub mcp_page_size: u32,
    /// Whether the MCP server asks the client's person before it deletes (elicitation).
    pub mcp_asks_before_deleting: Presence,
    /// Whether the MCP server tells a session of every change, unasked (up to protocol 2025-11-25).
    pub mcp_tells_changes: Presence,
    /// How long an import from an address, or an answer about files, stays in each of its states.
    pub web_upload_step_ms: u64,
    /// Requests a minute before an API caller is told to calm down.
    pub api_limit_per_minute: u32,
    /// The same for the well-known documents (60 is the published figure).
    pub discovery_limit_per_minute: u32,
    /// And in an hour (600 is the published figure).
    pub discovery_limit_per_hour: u32,
    /// Requests a minute to `/upload/batch/`, which has a bucket of its own; its figure is not public.
    pub upload_batch_limit_per_minute: u32,
    /// Whether the published limits of single endpoints hold: searching events (5 in 3 s, 15 in 30 s, 120
    /// in 10 min) and updating notes (2 in 10 s, 5 in 60 s).
    pub published_limits: Presence,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            refresh_rotation: RefreshRotation::default(),
            refresh_reuse: RefreshReuse::default(),
            refresh_replay_grace_s: 0,
            token_error_shape: TokenErrorShape::default(),
            scopes_encoding: ScopesEncoding::default(),
            scope_parameter: ScopeParameter::default(),
            expires_header: ExpiresHeader::default(),
            limit_header_names: LimitHeaderNames::default(),
            revoked_access_token: RevokedAccessToken::default(),
            well_known: WellKnown::default(),
            redirect_check: RedirectCheck::default(),
            error_redirect_state: ErrorRedirectState::default(),
            issuer_in_redirect: Presence::default(),
            issuer_slash: Presence::default(),
            validation_status: ValidationStatus::default(),
            access_token_lifetime_s: 3600,
            refresh_token_lifetime_s: 30 * 24 * 3600,
            client_secret_lifetime_s: 0,
            expires_in: ExpiresIn::default(),
            token_type: "Bearer".to_owned(),
            access_token_form: AccessTokenForm::default(),
            resource: ResourceValues::default(),
            registration: Registration::default(),
            client_documents: ClientDocuments::default(),
            mcp_anonymous: McpAnonymous::default(),
            mcp_auth_failure: McpAuthFailure::default(),
            mcp_catalogue: McpCatalogue::default(),
            mcp_manage_tools: Presence::default(),
            mcp_page_size: 50,
            mcp_asks_before_deleting: Presence::default(),
            mcp_tells_changes: Presence::default(),
            web_upload_step_ms: 100,
            // High enough that only a test which wants to meet the limit does.
            api_limit_per_minute: 100_000,
            discovery_limit_per_minute: 60,
            discovery_limit_per_hour: 600,
            upload_batch_limit_per_minute: 100_000,
            published_limits: Presence::default(),
        }
    }
}

/// A knob that does not exist, or a value that it does not have.
#[derive(Debug, thiserror::Error)]
#[error("no such knob or value: {0}")]
pub struct KnobError(#[from] serde_json::Error);

impl Knobs {
    /// These knobs with those of `changes` turned.
    ///
    /// # Errors
    /// If a name or a value is unknown; then nothing is changed.
    pub fn merged(&self, changes: &Map<String, Value>) -> Result<Self, KnobError> {
        let mut whole = serde_json::to_value(self)?;
        if let Value::Object(members) = &mut whole {
            members.extend(changes.clone());
        }
        Ok(serde_json::from_value(whole)?)
    }

    /// These knobs with one turned, the value given as text: `refresh_rotation=keep`.
    ///
    /// # Errors
    /// If the name or the value is unknown.
    pub fn with_setting(&self, name: &str, value: &str) -> Result<Self, KnobError> {
        let as_text = Map::from_iter([(name.to_owned(), Value::from(value))]);
        self.merged(&as_text)
            .or_else(|error| match serde_json::from_str(value) {
                Ok(parsed) => self.merged(&Map::from_iter([(name.to_owned(), parsed)])),
                Err(_) => Err(error),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_may_be_a_word_or_a_number() {
        let knobs = Knobs::default()
            .with_setting("refresh_rotation", "keep_and_omit")
            .and_then(|knobs| knobs.with_setting("access_token_lifetime_s", "1"))
            .and_then(|knobs| knobs.with_setting("redirect_check", "fixed_19836"))
            .expect("known settings");
        assert_eq!(knobs.refresh_rotation, RefreshRotation::KeepAndOmit);
        assert_eq!(knobs.access_token_lifetime_s, 1);
        assert_eq!(knobs.redirect_check, RedirectCheck::Fixed19836);
    }

    #[test]
    fn an_unknown_name_or_value_is_refused() {
        let knobs = Knobs::default();
        assert!(knobs.with_setting("refresh_rotatoin", "keep").is_err());
        assert!(knobs.with_setting("refresh_rotation", "sometimes").is_err());
    }
}
