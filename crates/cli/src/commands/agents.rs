//! `doorward agents`, `doorward agents add` and `doorward revoke`

use doorward_broker::control::{Request, TermsAsk};
use doorward_broker::handle::LifetimeAsk;
use doorward_broker::views::{AgentAdded, AgentRevoked, AgentView, GrantView};
use doorward_broker::{Clock as _, SystemClock};
use doorward_core::grant::{Door, Lifetime, Policy, Rights};
use doorward_core::name::ClaimedName;
use doorward_core::time::Timestamp;

use super::locks;
use crate::args::{AgentsAdd, Revoke};
use crate::failure::{Failure, Outcome};
use crate::link::Context;
use crate::pin::with_pin;
use crate::terminal::Terminal;
use crate::words::{self, moment, plain, table};

pub(super) async fn list(context: &mut Context) -> Outcome {
    let agents: Vec<AgentView> = match context.on_store().await {
        Ok(mut link) => link.ask(Request::Agents).await?,
        Err(failure) if failure.is_own("store_missing") => Vec::new(),
        Err(failure) => return Err(failure),
    };
    let now = SystemClock.now();
    context.output.answer(&agents, |agents| listed(now, agents))
}

fn listed(now: Timestamp, agents: &[AgentView]) -> String {
    if agents.is_empty() {
        return "No agents yet. An agent asks with `doorward pair`, or you add one with `doorward agents add`.".to_owned();
    }
    let rows = agents.iter().map(|agent| {
        let may: Vec<String> = agent
            .grants
            .iter()
            .map(|grant| grant_in_words(now, grant))
            .chain(agent.metrics.then(|| "metrics".to_owned()))
            .collect();
        [
            agent.name.clone(),
            agent.id.chars().take(8).collect(),
            agent.tenant.to_string(),
            if agent.paused {
                "paused"
            } else if agent.keys == 0 {
                "no key"
            } else {
                "active"
            }
            .to_owned(),
            agent
                .last_used_at
                .map_or_else(|| "never".to_owned(), |at| moment(now, at)),
            if may.is_empty() {
                "nothing".to_owned()
            } else {
                may.join("; ")
            },
        ]
    });
    let mut text = table(
        ["name", "id", "tenant", "state", "last used", "may use"],
        rows.collect(),
    );
    for agent in agents {
        text.push_str(&locks::in_words(now, &agent.holds));
    }
    text
}

fn grant_in_words(now: Timestamp, grant: &GrantView) -> String {
    let doors = grant
        .doors
        .iter()
        .map(|door| format!("{}:{door}", grant.connection))
        .collect::<Vec<_>>()
        .join(" ");
    let limits = limits_in_words(&grant.policy);
    let time = match &grant.lifetime {
        Lifetime::UntilRevoked => String::new(),
        Lifetime::Until(end) => format!(", ends {}", moment(now, *end)),
        Lifetime::WhileRunning(program) => format!(", while process {} runs", program.pid),
    };
    if limits.is_empty() {
        format!("{doors}{time}")
    } else {
        format!("{doors} ({limits}){time}")
    }
}

/// What a policy says; nothing where it says nothing.
pub(super) fn limits_in_words(policy: &Policy) -> String {
    let mut limits = Vec::new();
    if policy.read_only {
        limits.push("reading only".to_owned());
    }
    if !policy.path_prefixes.is_empty() {
        limits.push(format!("only below {}", words::list(&policy.path_prefixes)));
    }
    if !policy.methods.is_empty() {
        limits.push(format!("only {}", words::list(&policy.methods)));
    }
    if !policy.tools.is_empty() {
        limits.push(format!("only the tools {}", words::list(&policy.tools)));
    }
    if policy.ask_each_time {
        limits.push("asking each time".to_owned());
    }
    if !policy.ask.is_empty() {
        limits.push(format!("asking before {}", words::list(&policy.ask)));
    }
    if !policy.deny.is_empty() {
        limits.push(format!("never {}", words::list(&policy.deny)));
    }
    if policy.may_manage_sign_in {
        limits.push("may make and manage keys and sessions".to_owned());
    }
    limits.join(", ")
}

/// A lifetime as a person is told it before giving something.
pub(super) const fn lifetime_in_words(lifetime: LifetimeAsk) -> &'static str {
    match lifetime {
        LifetimeAsk::UntilRevoked => "until you revoke it",
        LifetimeAsk::Hour => "for an hour",
        LifetimeAsk::Today => "until the end of the day",
        LifetimeAsk::WhileRunning => "while the program that asked runs",
    }
}

pub(super) async fn add(context: &mut Context, ask: AgentsAdd) -> Outcome {
    let lifetime = LifetimeAsk::from(ask.limits.lifetime.unwrap_or_default());
    if lifetime == LifetimeAsk::WhileRunning {
        return Err(Failure::new(
            "usage",
            "An agent that is added by hand has no program that could be watched.",
            "Give `until-revoked`, `hour` or `today`, or let the agent ask with `doorward pair`.",
        ));
    }
    let Some(connection) = ask.connection else {
        return add_metrics_reader(context, &ask.name, lifetime).await;
    };
    let policy = Policy::from(&ask.limits.policy);
    let rights = Rights::new(
        ask.door.into_iter().map(Door::from).collect(),
        policy.clone(),
    )?;
    context.check_terminal_approves()?;
    let terminal = Terminal::required("Adding an agent")?;
    doorward_host::hardening::forbid_looking_in();
    let mut link = context.on_store().await?;
    let doors = rights.doors().to_vec();
    let name = ClaimedName::clean(&ask.name);
    terminal.say(&format!(
        "Adding an agent by hand.\n{}",
        words::facts(&[
            ("agent", name.to_string()),
            (
                "may use",
                format!("{connection} through the door {}", words::list(&doors))
            ),
            ("limits", limits_or_none(&policy)),
            ("lifetime", lifetime_in_words(lifetime).to_owned()),
        ])
    ))?;
    let terms = TermsAsk {
        connection: Some(connection),
        doors: Some(doors),
        policy,
        lifetime: Some(lifetime),
    };
    let added: AgentAdded = with_pin(&mut link, &terminal, |pin| Request::AddAgent {
        name: name.to_string(),
        terms: terms.clone(),
        pin,
    })
    .await?;
    show_added(context, &added)
}

async fn add_metrics_reader(context: &mut Context, name: &str, lifetime: LifetimeAsk) -> Outcome {
    context.check_terminal_approves()?;
    let terminal = Terminal::required("Adding an agent")?;
    doorward_host::hardening::forbid_looking_in();
    let mut link = context.on_store().await?;
    let name = ClaimedName::clean(name);
    terminal.say(&format!(
        "Adding an agent by hand.\n{}",
        words::facts(&[
            ("agent", name.to_string()),
            ("may use", "the metrics, and no connection".to_owned()),
            ("lifetime", lifetime_in_words(lifetime).to_owned()),
        ])
    ))?;
    let added: AgentAdded = with_pin(&mut link, &terminal, |pin| Request::AddMetricsReader {
        name: name.to_string(),
        lifetime: Some(lifetime),
        pin,
    })
    .await?;
    show_added(context, &added)
}

/// The key stands alone on standard output, so that it can go into a file.
fn show_added(context: &mut Context, added: &AgentAdded) -> Outcome {
    context.output.remark(&format!(
        "Added `{}` with {}. Its key is shown this once:",
        plain(&added.name),
        plain(&added.scope)
    ));
    context.output.answer(added, |added| added.key.clone())
}

/// What is held back, said even where that is nothing.
pub(super) fn limits_or_none(policy: &Policy) -> String {
    let limits = limits_in_words(policy);
    if limits.is_empty() {
        "none".to_owned()
    } else {
        limits
    }
}

pub(super) async fn revoke(context: &mut Context, ask: Revoke) -> Outcome {
    let mut link = context.on_store().await?;
    let revoked: AgentRevoked = link.ask(Request::RevokeAgent { agent: ask.agent }).await?;
    let now = SystemClock.now();
    context
        .output
        .answer(&revoked, |revoked| revoked_in_words(now, revoked))
}

fn revoked_in_words(now: Timestamp, revoked: &AgentRevoked) -> String {
    let mut lines = vec![format!(
        "Revoked `{}`. Its keys open nothing any more.",
        plain(&revoked.name)
    )];
    for (connection, end) in revoked
        .handed_out
        .iter()
        .filter(|(_, end)| end.is_none_or(|end| end > now))
    {
        let until = end.map_or_else(
            || "for a time that the provider has not told".to_owned(),
            |end| format!("until it ends {}", moment(now, end)),
        );
        lines.push(format!(
            "It holds an access token of `{connection}` that may work at the provider {until}."
        ));
    }
    if lines.len() > 1 {
        lines.push("To end that too, end the connection: `doorward disconnect NAME`.".to_owned());
    }
    lines.join("\n")
}
