//! What people and agents read when something is refused.

use std::fmt::Write as _;

use doorward_core::connection::{Standing, TroubleKind};
use doorward_core::decide::connecting;
use doorward_core::decide::pairing;
use doorward_core::decide::revoking;
use doorward_core::decide::serving::{self, TokenState};
use doorward_core::grant::{Door, Lifetime, Policy, Rights};
use doorward_core::pairing::Wanted;
use doorward_core::problem::Refusal;
use doorward_core::provider::{Manifest, parse_base};

use crate::world::{HOUR, SECOND, World, approval, ended, learned, name, trouble};

fn say(refusals: impl IntoIterator<Item = Option<Refusal>>) -> String {
    let mut text = String::new();
    for refusal in refusals {
        let refusal = refusal.expect("a refusal");
        let code = refusal.code;
        write!(
            text,
            "{code} {}: {} | {}",
            code.status(),
            refusal.detail,
            refusal.hint
        )
        .expect("text");
        if let Some(seconds) = refusal.retry_after_seconds {
            write!(text, " | again after {seconds} s").expect("text");
        }
        text.push('\n');
    }
    text
}

#[test]
fn what_an_agent_is_told() {
    let mut world = World::new();
    let mine = world.connection("mine", "ours");
    let other = world.connection("other", "ours");
    let caller = world.agent("agent", mine, &[Door::Token]);
    let asks = |world: &World, asked: Option<&str>, door| {
        let asked = asked.map(name);
        serving::access(&world.book, world.now, &caller, asked.as_ref(), door).err()
    };
    let mut told = vec![
        asks(&world, Some("mine"), Door::Proxy),
        asks(&world, Some("other"), Door::Token),
        asks(&world, Some("nowhere"), Door::Token),
        asks(&world, None, Door::Proxy),
    ];
    world.give(&caller.agent, other, &[Door::Token]);
    told.push(asks(&world, None, Door::Token));
    world.alter(mine, |row| row.paused = true);
    told.push(asks(&world, Some("mine"), Door::Token));
    let paused = world.pause_agent(&caller);
    told.push(serving::access(&world.book, world.now, &paused, None, Door::Token).err());
    told.push(Some(serving::unknown("no\u{1b}[2J name")));
    insta::assert_snapshot!(say(told), @r#"
    grant_missing 403: This agent was not given the door `proxy` of `mine`. | Ask a person for it: `doorward pair NAME --scope mine:proxy`.
    grant_missing 403: This agent was not given the connection `other`. | Ask a person for it: `doorward pair NAME --scope other:token`.
    connection_unknown 404: There is no connection `nowhere`. | Ask `GET /v1/connections` for the names you may use.
    grant_missing 403: This agent was given no connection with the door `proxy`. | Ask a person for one: `doorward pair NAME --scope CONNECTION:proxy`.
    connection_ambiguous 400: This agent was given several connections: mine, other. | Say which one is meant with `connection=NAME`.
    connection_paused 403: A person paused the connection `mine`. | Wait until it is resumed in Doorward (`doorward resume`).
    agent_paused 403: A person paused this agent. | Wait until it is resumed in Doorward (`doorward resume`).
    connection_unknown 404: There is no connection `no[2J name`. | Ask `GET /v1/connections` for the names you may use.
    "#);
}

#[test]
fn what_a_caller_is_told_when_no_token_can_be_served() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    world.now = world.now.plus(HOUR);
    let now = world.now;
    let told = [
        TroubleKind::Transient,
        TroubleKind::RateLimited,
        TroubleKind::ClientRejected,
        TroubleKind::Misconfigured,
    ]
    .map(|kind| {
        let row = world.alter(id, |row| {
            row.trouble = Some(trouble(kind, now, now.plus(SECOND * 3 / 2)));
        });
        refused(serving::token_state(&row, now, None))
    });
    let mut told = told.to_vec();
    let unproven = world.alter(id, |row| row.standing = Standing::Unproven);
    told.push(refused(serving::token_state(&unproven, now, None)));
    let spent = world.alter(id, |row| row.refreshable = false);
    told.push(refused(serving::token_state(&spent, now, None)));
    let over = world.alter(id, |row| row.standing = ended());
    told.push(refused(serving::token_state(&over, now, None)));
    insta::assert_snapshot!(say(told), @r#"
    provider_unavailable 503: Fast.io did not renew the token of `fastio`: HTTP 503 without an OAuth error. | Try again after the time given; nothing was lost. | again after 2 s
    rate_limited 429: Fast.io wants no calls for `fastio` until 2027-01-15T09:00:01Z. | Try again after the time given; nothing was lost. | again after 2 s
    provider_rejected 502: Fast.io does not accept Doorward's own registration for `fastio`: HTTP 503 without an OAuth error. | The grant was kept. The client secret has expired or was changed. A person has to look: once it is put right, `doorward retry fastio` goes on; `doorward connect --name fastio` makes a new registration. | again after 2 s
    provider_rejected 502: Fast.io refuses to renew the token of `fastio`: HTTP 503 without an OAuth error. | The grant was kept. A person has to look at the connection: `doorward doctor`, then `doorward retry fastio`. | again after 2 s
    reconnect_required 424: The connection `fastio` has ended: it was restored from a backup, and its access token has ended since. | A person has to connect again: `doorward connect --name fastio`, or in the Doorward window.
    reconnect_required 424: The connection `fastio` has ended: the access token has ended and there is no refresh token. | A person has to connect again: `doorward connect --name fastio`, or in the Doorward window.
    reconnect_required 424: The connection `fastio` has ended: the provider refused to renew it. | A person has to connect again: `doorward connect --name fastio`, or in the Doorward window.
    "#);
}

fn refused(state: TokenState) -> Option<Refusal> {
    match state {
        TokenState::Refused(refusal) => Some(refusal),
        TokenState::Fresh | TokenState::DueButLive | TokenState::Due => None,
    }
}

#[test]
fn what_a_person_who_connects_is_told() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let mut told = vec![world.consent("fastio", "theirs").err()];
    let consent = world.consent("fastio", "ours").expect("a place");
    let answer = |world: &mut World, account: &str| {
        let access = format!("unwanted by {account} {}", told_so_far(world));
        let tokens = world.tokens(&access, None);
        world.answer(&consent, tokens, learned(account, "new")).1
    };
    told.push(answer(&mut world, "bob"));
    world.alter(id, |row| row.standing = Standing::Ending);
    told.push(answer(&mut world, "ann"));
    let mut elsewhere = crate::world::fastio();
    elsewhere.issuer = "https://other.example".to_owned();
    told.push(connecting::stays_with_issuer(&world.book, id, &elsewhere).err());
    told.push(parse_base("http://api.example.com").err());
    told.push(parse_base("api.example.com").err());
    told.push(Manifest::parse("name = 1").err().map(|refusal| Refusal {
        detail: refusal.detail.lines().next().unwrap_or_default().to_owned(),
        ..refusal
    }));
    insta::assert_snapshot!(say(told), @r#"
    name_taken 409: There is a connection `fastio` already, and it belongs elsewhere or is being disconnected. | Choose another name with `--name`.
    account_differs 409: `fastio` is connected as ann@example.com, and this consent was given as bob@example.com. | The new consent was given back. Sign in as the same person, or connect with another `--name`.
    consent_unknown 404: `fastio` was disconnected while its consent was open. | The new consent was given back. Connect again if it is wanted.
    name_taken 409: `fastio` is a connection to https://api.fast.io, not to https://other.example. | Choose another name with `--name`, or disconnect that one first.
    bad_request 400: "http://api.example.com" cannot be a provider's address: plain http is allowed only to an address on this machine or network that you typed. | Give an address such as https://api.example.com, with no user, query or fragment.
    bad_request 400: "api.example.com" cannot be a provider's address: relative URL without a base. | Give an address such as https://api.example.com, with no user, query or fragment.
    provider_unknown 404: The manifest cannot be read: TOML parse error at line 1, column 8 | Mend the file.
    "#);
}

fn told_so_far(world: &World) -> usize {
    world.book.outbox().count()
}

#[test]
fn what_a_person_who_approves_is_told() {
    let mut world = World::new();
    let ours = world.connection("ours-1", "ours");
    let theirs = world.connection("theirs-1", "theirs");
    let client = world.client("Coder");
    let (request, _) = world.request(client, "nowhere:proxy");
    let proxy: &[Door] = &[Door::Proxy];
    let approve = |world: &mut World, grants: &[(_, &[Door])]| {
        world
            .approved(&request, approval(grants, Policy::default()))
            .err()
    };
    let limited = Policy {
        read_only: true,
        ..Policy::default()
    };
    let mut told = vec![
        pairing::as_asked(&world.book, &request, Lifetime::UntilRevoked).err(),
        approve(&mut world, &[(ours, proxy), (theirs, proxy)]),
        approve(&mut world, &[(ours, proxy), (ours, proxy)]),
        approve(&mut world, &[]),
        Rights::new(vec![Door::Token], limited).err(),
        Rights::new(Vec::new(), Policy::default()).err(),
        pairing::request_with_code(&world.book, world.now, "bcdf ghjk").err(),
        revoking::agent_meant(&world.book, "Coder").err(),
        Wanted::parse_scope("fastio:window").err(),
        "window".parse::<Door>().err(),
    ];
    let plan = world.approved(&request, approval(&[(ours, proxy)], Policy::default()));
    world.carry_out(plan.expect("approved"));
    let (again, _) = world.request(client, "theirs-1:proxy");
    told.push(
        world
            .approved(&again, approval(&[(theirs, proxy)], Policy::default()))
            .err(),
    );
    world.now = again.expires_at;
    told.push(
        world
            .approved(&again, approval(&[(ours, proxy)], Policy::default()))
            .err(),
    );
    insta::assert_snapshot!(say(told), @r#"
    connection_unknown 404: The agent asks for `nowhere`, and there is no such connection. | Approve it for another one with `--connection`, or connect first.
    rights_invalid 400: One agent cannot have connections of several tenants. | Approve it for the connections of one tenant; pair another agent for the others.
    rights_invalid 400: The connection `ours-1` is named twice. | Name it once, with all its doors.
    rights_invalid 400: Nothing would be given. | Name a connection.
    rights_invalid 400: A token in an agent's hands cannot be limited, so a limited grant cannot include the token door. | Give the door `proxy` with these limits, or the door `token` without any.
    rights_invalid 400: A grant needs at least one door. | Give the door `proxy` or `token`.
    request_unknown 404: No approval request with the code `BCDF-GHJK` is waiting. | `doorward requests` lists those that wait. A request ends after 10 minutes.
    agent_unknown 404: There is no agent `Coder`. | `doorward agents` lists them.
    bad_request 400: "fastio:window" is not a scope of Doorward. | Ask for a list of `NAME:door`, such as `fastio:proxy` or `fastio:token`.
    bad_request 400: There is no door "window". | The doors are `token` and `proxy`.
    rights_invalid 400: The agent `Coder` belongs to another tenant, and an agent never changes its tenant. | Pair it anew, as another agent, for that tenant.
    request_unknown 404: That approval request is over. | Let the agent ask again.
    "#);
}
