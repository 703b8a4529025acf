//! A person connects: everything up to the moment at which the browser can be opened.

use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_core::book::Book;
use doorward_core::change::Change;
use doorward_core::connection::TroubleKind;
use doorward_core::consent::{CONSENT_LIFE, PendingConsent};
use doorward_core::decide::connecting::{self, Place};
use doorward_core::ids::FlowId;
use doorward_core::name::Name;
use doorward_core::problem::{Code, Refusal};
use doorward_core::provider::{Manifest, Provider};
use doorward_core::registration::{ClientAuthentication, ClientIdentity, Registration};
use doorward_core::scope::Ask;
use doorward_core::secret::CodeVerifier;
use tokio::net::TcpListener;
use url::Url;

use super::consents::{self, Consent};
use super::{Actor, Message, reply};
use crate::callback;
use crate::handle::{ConnectAsk, Reply};
use crate::provider::registration::{self, Registered};
use crate::provider::{Providers, discovery, manifest, token};
use crate::random;
use crate::views::ConsentStarted;

/// A consent that is ready to be opened.
pub(crate) struct Prepared {
    /// The tenant that was named, if one was.
    tenant: Option<Name>,
    pending: PendingConsent,
    registered: Option<Registered>,
    verifier: CodeVerifier,
    address: Url,
    listener: TcpListener,
}

impl Actor {
    /// Starts a consent. What takes long happens in a task of its own, which comes back as `Prepared`.
    pub(super) fn connect(&mut self, ask: ConnectAsk, to: Reply<ConsentStarted>) {
        let (manifest, name, place) = match self.check_unlocked().and_then(|()| self.placed(&ask)) {
            Ok(placed) => placed,
            Err(refusal) => return reply(to, Err(refusal)),
        };
        if let Err(refusal) = self.make_room(&name) {
            return reply(to, Err(refusal));
        }
        let (providers, book, report) =
            (self.providers.clone(), self.book().clone(), self.report());
        let now = self.now();
        tokio::spawn(async move {
            let result = prepare(&providers, &book, now, manifest, name, &place, ask)
                .await
                .map(Box::new);
            // The mailbox is gone only when the process is ending.
            let _gone = report.send(Message::Prepared { result, reply: to }).await;
        });
    }

    fn placed(&self, ask: &ConnectAsk) -> Result<(Manifest, Name, Place), Refusal> {
        let existing = ask
            .name
            .as_ref()
            .and_then(|name| self.book().connection_named(name));
        let (manifest, default_name) = match (&ask.provider, existing) {
            (Some(provider), _) => {
                let manifest = manifest::find(&self.config.providers, provider)?;
                let name = manifest.name.clone();
                (manifest, name)
            }
            (None, Some(connection)) => {
                let provider = connection.provider.name.as_str();
                let known = manifest::find(&self.config.providers, provider);
                let issuer = connection.provider.issuer.clone();
                let manifest = match known {
                    Ok(manifest) => manifest.at_base(&issuer)?,
                    Err(_) => manifest::find(&self.config.providers, &issuer)?,
                };
                (manifest, connection.name.to_string())
            }
            (None, None) => {
                return Err(Refusal::new(
                    Code::ProviderUnknown,
                    "Say which provider to connect, or which connection to connect again.",
                    "`doorward connect fastio`, or `doorward connect --name NAME` for one that exists.",
                ));
            }
        };
        let manifest = match &ask.base {
            Some(base) => manifest.at_base(base)?,
            None => manifest,
        };
        check_scope(&manifest, ask)?;
        let name = match &ask.name {
            Some(name) => name.clone(),
            None => default_name.parse().map_err(|_| {
                Refusal::new(
                    Code::BadRequest,
                    format!("`{default_name}` cannot be a connection's name."),
                    "Choose one with `--name`.",
                )
            })?,
        };
        let place = connecting::place(
            self.book(),
            self.now(),
            &name,
            ask.tenant.as_ref(),
            &mut random::bytes::<16>,
        )?;
        Ok((manifest, name, place))
    }

    /// One consent for a connection, told by its name, as one that is new has no other mark yet: a newer one replaces one that nobody has answered, so that a person who closed
    /// the tab need not wait. One that is being exchanged is waited for.
    fn make_room(&mut self, name: &Name) -> Result<(), Refusal> {
        let older: Vec<_> = self
            .consents
            .values()
            .filter(|consent| consent.pending.name == *name)
            .map(|consent| (consent.pending.id, consent.is_exchanging()))
            .collect();
        if older.iter().any(|(_, is_exchanging)| *is_exchanging) {
            return Err(Refusal::new(
                Code::ConsentPending,
                "A consent for this connection was answered and is being completed.",
                "Wait a moment, then look with `doorward connections`.",
            ));
        }
        for (flow, _) in older {
            self.end_consent(flow, Err(consents::replaced()));
        }
        Ok(())
    }

    /// A consent is ready: from now on an answer can come.
    pub(super) async fn prepared(
        &mut self,
        result: Result<Box<Prepared>, Refusal>,
        to: Reply<ConsentStarted>,
    ) {
        // Whoever asked has gone away: a consent that nobody knows of would only hold its port.
        if to.is_closed() {
            return;
        }
        let placed = result.and_then(|prepared| {
            self.make_room(&prepared.pending.name)?;
            Ok((self.place_again(&prepared)?, prepared))
        });
        let (place, prepared) = match placed {
            Ok(placed) => placed,
            Err(refusal) => return reply(to, Err(refusal)),
        };
        let Prepared {
            tenant: _,
            mut pending,
            registered,
            verifier,
            address,
            listener,
        } = *prepared;
        pending.tenant = place.tenant;
        pending.connection = place.connection;
        pending.reconnects = place.reconnects;
        let mut plan = place.plan;
        if let Some(Registered {
            registration,
            secret,
            token,
        }) = registered
        {
            plan = plan.change(Change::RegistrationPut {
                registration,
                secret,
                token,
            });
        }
        if let Err(refusal) = self.carry_out(plan).await {
            return reply(to, Err(refusal));
        }
        let started = ConsentStarted {
            flow: pending.id.to_string(),
            connection: pending.name.clone(),
            provider_title: pending.provider.title.clone(),
            scope: pending.ask.scope.clone(),
            read_only: pending.ask.read_only,
            agent_name: pending.ask.agent_name.clone(),
            url: address.into(),
            expires_at: pending.expires_at,
        };
        let listener =
            tokio::spawn(callback::listen(listener, pending.id, self.report())).abort_handle();
        let consent = Consent {
            pending,
            verifier: Some(verifier),
            listener,
            waiters: Vec::new(),
        };
        self.consents.insert(consent.pending.id, consent);
        reply(to, Ok(started));
    }
}

impl Actor {
    /// Where a consent's connection belongs by now: while it was prepared another one may have made the tenant or the
    /// connection.
    fn place_again(&self, prepared: &Prepared) -> Result<Place, Refusal> {
        let Prepared {
            tenant, pending, ..
        } = prepared;
        let place = connecting::place(
            self.book(),
            self.now(),
            &pending.name,
            tenant.as_ref(),
            &mut random::bytes::<16>,
        )?;
        connecting::stays_with_issuer(self.book(), place.connection, &pending.provider)?;
        Ok(place)
    }
}

fn check_scope(manifest: &Manifest, ask: &ConnectAsk) -> Result<(), Refusal> {
    let Some(scope) = &ask.scope else {
        return Ok(());
    };
    if scope
        .chars()
        .any(|letter| letter.is_control() || letter == '"' || letter == '\\')
    {
        return Err(Refusal::new(
            Code::BadRequest,
            "A scope is words with spaces between them.",
            "Mend `--scope`.",
        ));
    }
    let unknown = scope.split_ascii_whitespace().find(|word| {
        !manifest
            .known_scopes
            .iter()
            .any(|known| known.word == *word)
    });
    match unknown {
        Some(word) if !manifest.known_scopes.is_empty() => Err(Refusal::new(
            Code::BadRequest,
            format!("{} has no scope `{word}`.", manifest.title),
            format!(
                "It has: {}.",
                manifest
                    .known_scopes
                    .iter()
                    .map(|known| known.word.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        )),
        _ => Ok(()),
    }
}

async fn prepare(
    providers: &Providers,
    book: &Book,
    now: doorward_core::time::Timestamp,
    manifest: Manifest,
    name: Name,
    place: &Place,
    ask: ConnectAsk,
) -> Result<Prepared, Refusal> {
    let scope = ask.scope.unwrap_or_else(|| manifest.default_scope.clone());
    let provider = discovery::resolve(providers, manifest).await?;
    let (listener, client, mut registered, redirect_uri) =
        client_and_listener(providers, book, now, &provider).await?;
    let mut pending = PendingConsent {
        id: FlowId::from_random(random::bytes()),
        tenant: place.tenant,
        connection: place.connection,
        name,
        reconnects: place.reconnects,
        provider,
        client,
        ask: Ask {
            scope,
            read_only: ask.read_only,
            agent_name: ask.agent_name.unwrap_or_else(|| "Doorward".to_owned()),
        },
        device_name: format!("doorward-{}", URL_SAFE_NO_PAD.encode(random::bytes::<9>())),
        redirect_uri,
        state: URL_SAFE_NO_PAD.encode(random::bytes::<24>()),
        expires_at: now.plus(CONSENT_LIFE),
    };
    let (challenge, verifier) = token::pkce();
    let mut address = token::authorization_address(&pending, challenge.clone());
    let is_kept = registered.is_none() && pending.client.registration.is_some();
    if is_kept && !token::may_authorize(providers, &pending.provider, &address).await {
        // The provider has forgotten the registration; a person would only see its error page.
        let fresh =
            registration::register(providers, &pending.provider, &pending.redirect_uri).await?;
        pending.client = identity(&fresh.registration);
        address = token::authorization_address(&pending, challenge);
        registered = Some(fresh);
    }
    Ok(Prepared {
        tenant: ask.tenant,
        pending,
        registered,
        verifier,
        address,
        listener,
    })
}

type ClientAndListener = (TcpListener, ClientIdentity, Option<Registered>, String);

/// The client to use and a listener at its redirect URI. A kept registration is used only on the port it was made
/// with; where that is taken, or the provider has rejected it, Doorward registers again.
async fn client_and_listener(
    providers: &Providers,
    book: &Book,
    now: doorward_core::time::Timestamp,
    provider: &Provider,
) -> Result<ClientAndListener, Refusal> {
    if let Some(client_id) = &provider.client_id {
        let (listener, redirect_uri) = listen_anywhere().await?;
        let client = ClientIdentity {
            client_id: client_id.clone(),
            authentication: ClientAuthentication::None,
            registration: None,
        };
        return Ok((listener, client, None, redirect_uri));
    }
    let is_rejected = |id| {
        book.connections().any(|row| {
            let trouble = row.trouble.as_ref().map(|trouble| trouble.kind);
            row.client.registration == Some(id) && trouble == Some(TroubleKind::ClientRejected)
        })
    };
    let is_usable = |kept: &&std::sync::Arc<Registration>| {
        kept.issuer == provider.issuer
            && kept.secret_expires_at.is_none_or(|end| now < end)
            && !is_rejected(kept.id)
    };
    let mut kept: Vec<_> = book.registrations().filter(is_usable).collect();
    kept.sort_by_key(|registration| std::cmp::Reverse(registration.created_at));
    for registration in kept {
        if let Some(listener) = listen_at(&registration.redirect_uri).await {
            return Ok((
                listener,
                identity(registration),
                None,
                registration.redirect_uri.clone(),
            ));
        }
    }
    let (listener, redirect_uri) = listen_anywhere().await?;
    let registered = registration::register(providers, provider, &redirect_uri).await?;
    let client = identity(&registered.registration);
    Ok((listener, client, Some(registered), redirect_uri))
}

fn identity(registration: &Registration) -> ClientIdentity {
    ClientIdentity {
        client_id: registration.client_id.clone(),
        authentication: registration.authentication,
        registration: Some(registration.id),
    }
}

async fn listen_anywhere() -> Result<(TcpListener, String), Refusal> {
    let bound = async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        Ok::<_, std::io::Error>((listener, format!("http://127.0.0.1:{port}/callback")))
    };
    bound.await.map_err(|error| {
        Refusal::new(
            Code::Internal,
            format!("No port could be opened for the browser's answer: {error}."),
            "Check the machine's limits and firewall, then connect again.",
        )
    })
}

async fn listen_at(redirect_uri: &str) -> Option<TcpListener> {
    let port = Url::parse(redirect_uri).ok()?.port()?;
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.ok()
}
