//! The HTML of the consent pages. Whatever came from outside goes through [`escaped`].

use std::fmt::Write as _;

use crate::demo;
use crate::http::fields::Fields;
use crate::scope::{EntityKind, Mode, ScopeType};
use crate::world::asks::Ask;
use crate::world::catalogue::Catalogue;

pub(super) struct SignInPage<'a> {
    pub(super) auth_request_id: &'a str,
    pub(super) client_name: &'a str,
    pub(super) agent_name: Option<&'a str>,
    pub(super) email: &'a str,
    pub(super) display_code: bool,
    pub(super) refused: bool,
}

impl SignInPage<'_> {
    pub(super) fn render(&self) -> String {
        let mut body = format!(
            "<h1>Sign in to Fast.io</h1>\n<p class=\"lead\">{}</p>\n",
            who_asks(
                self.client_name,
                self.agent_name,
                "would like to connect to your account."
            )
        );
        if self.refused {
            body.push_str("<p class=\"problem\" role=\"alert\">E-mail or password is wrong.</p>\n");
        }
        let _ = write!(
            body,
            r#"<form method="post" action="/connect/sign-in">
{hidden}<p><label for="email">E-mail</label>
<input id="email" name="email" type="email" value="{email}" autocomplete="username" required></p>
<p><label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required></p>
<p class="actions"><button type="submit">Sign in</button></p>
</form>
<aside aria-label="Demo account">
<p>This is a simulated Fast.io. Sign in as <strong>{name}</strong>:</p>
<dl><dt>E-mail</dt><dd><code>{demo_email}</code></dd>
<dt>Password</dt><dd><code>{demo_password}</code></dd></dl>
</aside>
"#,
            hidden = hidden_fields(self.auth_request_id, self.display_code),
            email = escaped(self.email),
            name = demo::PERSON_NAME,
            demo_email = demo::EMAIL,
            demo_password = demo::PASSWORD,
        );
        document("Sign in", &body)
    }
}

pub(super) struct DecisionPage<'a> {
    pub(super) auth_request_id: &'a str,
    pub(super) csrf: &'a str,
    pub(super) client_name: &'a str,
    pub(super) ask: &'a Ask,
    pub(super) catalogue: &'a Catalogue,
    /// What came with the request: choices made before a problem was found stay made.
    pub(super) fields: &'a Fields,
    pub(super) problem: Option<&'static str>,
}

impl DecisionPage<'_> {
    pub(super) fn render(&self) -> String {
        let mut body = format!(
            "<h1>Allow access?</h1>\n<p class=\"lead\">{}</p>\n<p class=\"account\">Signed in as \
             {} ({})</p>\n",
            who_asks(
                self.client_name,
                self.ask.agent_name.as_deref(),
                "would like to act on your behalf."
            ),
            escaped(&self.catalogue.person.name),
            escaped(&self.catalogue.person.email),
        );
        if let Some(problem) = self.problem {
            let _ = writeln!(
                body,
                r#"<p class="problem" role="alert">{}</p>"#,
                escaped(problem)
            );
        }
        let _ = write!(
            body,
            "<form method=\"post\" action=\"/connect/decide\">\n{}<input type=\"hidden\" \
             name=\"csrf\" value=\"{}\">\n",
            hidden_fields(
                self.auth_request_id,
                self.fields.get("display_code") == Some("true")
            ),
            escaped(self.csrf),
        );
        self.render_reach(&mut body);
        if self.ask.account_settings {
            body.push_str(
                "<p class=\"warning\">It also asks to change your account settings: password, \
                 e-mail and two-factor sign-in.</p>\n",
            );
        }
        body.push_str(
            "<p class=\"actions\"><button type=\"submit\" name=\"decision\" \
             value=\"approve\">Allow</button>\n<button type=\"submit\" name=\"decision\" \
             value=\"decline\" class=\"quiet\">Decline</button></p>\n</form>\n<p \
             class=\"note\">You can end this access at any time in your account settings.</p>\n",
        );
        document("Allow access?", &body)
    }

    /// The entities to pick from, or what is granted as a whole.
    fn render_reach(&self, body: &mut String) {
        match self.ask.scope_type.picks() {
            Some(EntityKind::Org) => self.render_picker(body, "Which organizations?", || {
                self.catalogue
                    .orgs
                    .iter()
                    .map(|org| (org.id.as_str(), org.name.as_str(), None))
                    .collect()
            }),
            Some(_) => self.render_picker(body, "Which workspaces?", || {
                self.catalogue
                    .workspaces()
                    .map(|workspace| {
                        let org = self.catalogue.org(&workspace.org_id);
                        let org = org.map(|org| org.name.as_str());
                        (workspace.id.as_str(), workspace.name.as_str(), org)
                    })
                    .collect()
            }),
            None => {
                let _ = writeln!(
                    body,
                    "<div class=\"summary\"><p>It may <strong>{}</strong> {}.</p></div>",
                    mode_in_words(self.ask.ceiling),
                    summary(self.ask.scope_type),
                );
            }
        }
    }

    fn render_picker<'p>(
        &self,
        body: &mut String,
        legend: &str,
        entities: impl FnOnce() -> Vec<(&'p str, &'p str, Option<&'p str>)>,
    ) {
        let _ = writeln!(
            body,
            "<fieldset><legend>{legend}</legend>\n<ul class=\"picker\">"
        );
        for (id, name, parent) in entities() {
            let parent = parent.map_or_else(String::new, |parent| {
                format!("<span class=\"parent\">{}</span>", escaped(parent))
            });
            let picked = self.fields.all("entity").any(|picked| picked == id);
            let mode = self
                .fields
                .get(&format!("mode_{id}"))
                .and_then(|mode| mode.parse().ok())
                .unwrap_or(self.ask.ceiling);
            let _ = write!(
                body,
                r#"<li><label class="pick" for="entity_{id}">
<input type="checkbox" id="entity_{id}" name="entity" value="{id}"{checked}>
<span><span class="name">{name}</span>{parent}</span></label>
<select name="mode_{id}" aria-label="Access to {name}">{options}</select></li>
"#,
                id = escaped(id),
                name = escaped(name),
                checked = if picked { " checked" } else { "" },
                options = mode_options(self.ask.ceiling, mode),
            );
        }
        body.push_str("</ul></fieldset>\n");
    }
}

/// The code, for copying into the app.
pub(super) fn code(code: &str) -> String {
    document(
        "Your code",
        &format!(
            "<h1>Almost done</h1>\n<p class=\"lead\">Copy this code into the app that asked for \
             it.</p>\n<p><output id=\"code\">{}</output></p>\n<p class=\"note\">It is good for \
             five minutes and for one use.</p>\n",
            escaped(code)
        ),
    )
}

/// Something went wrong that the client cannot be told.
pub(super) fn problem(heading: &str, text: &str) -> String {
    document(
        heading,
        &format!(
            "<h1>{}</h1>\n<p class=\"lead\">{}</p>\n",
            escaped(heading),
            escaped(text)
        ),
    )
}

fn document(title: &str, body: &str) -> String {
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{} - Fast.io (simulated)</title>
<link rel="stylesheet" href="/connect/style.css">
<link rel="icon" href="data:,">
</head>
<body>
<header>Fast.io <span>simulated</span></header>
<main>
{body}</main>
</body>
</html>
"#,
        escaped(title)
    )
}

fn hidden_fields(auth_request_id: &str, display_code: bool) -> String {
    let id = escaped(auth_request_id);
    let mut fields = format!("<input type=\"hidden\" name=\"auth_request_id\" value=\"{id}\">\n");
    if display_code {
        fields.push_str("<input type=\"hidden\" name=\"display_code\" value=\"true\">\n");
    }
    fields
}

fn who_asks(client_name: &str, agent_name: Option<&str>, wish: &str) -> String {
    let client = escaped(client_name);
    match agent_name {
        Some(agent) => format!(
            "<strong>{}</strong>, through {client}, {wish}",
            escaped(agent)
        ),
        None => format!("<strong>{client}</strong> {wish}"),
    }
}

fn summary(scope_type: ScopeType) -> &'static str {
    match scope_type {
        ScopeType::User => "everything in your account, except its settings",
        ScopeType::Org | ScopeType::AllOrgs => {
            "all your organizations, with their workspaces and shares"
        }
        ScopeType::Workspace | ScopeType::AllWorkspaces => "all your workspaces and their shares",
        ScopeType::AllShares => "all shares that you are a member of",
        ScopeType::AllSignEnvelopes => "all your signature envelopes",
    }
}

fn mode_in_words(mode: Mode) -> &'static str {
    match mode {
        Mode::Read => "read",
        Mode::ReadWrite => "read and change",
        Mode::Admin => "read, change and administer",
    }
}

/// The modes up to what was asked for.
fn mode_options(ceiling: Mode, chosen: Mode) -> String {
    let modes = [
        (Mode::Read, "Read only"),
        (Mode::ReadWrite, "Read and write"),
        (Mode::Admin, "Read, write, administer"),
    ];
    let mut options = String::new();
    for (mode, label) in modes.into_iter().filter(|(mode, _)| *mode <= ceiling) {
        let selected = if mode == chosen { " selected" } else { "" };
        let _ = write!(
            options,
            "<option value=\"{}\"{selected}>{label}</option>",
            mode.as_str()
        );
    }
    options
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}
