//! The agents around a broker: they ask, are let in, fetch tokens and use them.

use doorward_broker::handle::{PollAnswer, Proof, Rejection, Terms, TokenAsk};
use doorward_broker::views::TokenAnswer;
use doorward_core::decide::serving::Caller;
use doorward_core::ids::AgentId;
use doorward_core::pairing::{Program, Wanted};
use doorward_core::problem::Refusal;
use doorward_core::secret::AccessToken;

use crate::world::{PIN, World, granted, name, pin, within};

/// An agent that was let in.
pub(crate) struct Agent {
    pub(crate) id: AgentId,
    pub(crate) key: String,
    pub(crate) scope: String,
}

/// An agent that asks and was not answered yet.
pub(crate) struct Asking {
    pub(crate) client: AgentId,
    pub(crate) device_code: String,
    pub(crate) user_code: String,
}

impl World {
    pub(crate) async fn pair(&self, agent: &str, scope: &str) -> Agent {
        let asking = self.asks(agent, scope, None).await;
        let scope = granted(self.approve(&asking, Terms::default()).await);
        let key = self.fetch(&asking).await;
        Agent {
            id: asking.client,
            key,
            scope,
        }
    }

    pub(crate) async fn asks(&self, agent: &str, scope: &str, program: Option<Program>) -> Asking {
        let client = granted(self.handle().register_client(agent, Vec::new()).await);
        let wanted = granted(Wanted::parse_scope(scope));
        let asked = self.handle().ask_approval(client.id, wanted, program).await;
        let asked = granted(asked);
        Asking {
            client: client.id,
            device_code: asked.device_code.expose().to_owned(),
            user_code: asked.user_code,
        }
    }

    pub(crate) async fn approve(&self, asking: &Asking, terms: Terms) -> Result<String, Refusal> {
        self.handle()
            .approve(asking.user_code.clone(), terms, Proof::Pin(pin(PIN)))
            .await
    }

    pub(crate) async fn poll(&self, asking: &Asking) -> PollAnswer {
        granted(self.handle().poll(asking.client, &asking.device_code).await)
    }

    pub(crate) async fn fetch(&self, asking: &Asking) -> String {
        let answer = self.poll(asking).await;
        let PollAnswer::Issued { key, .. } = &answer else {
            panic!("no key: {}", polled(&answer))
        };
        key.expose().to_owned()
    }

    pub(crate) fn caller(&self, agent: &Agent) -> Caller {
        granted(self.handle().authenticate(&agent.key))
    }

    pub(crate) async fn token_for(
        &self,
        agent: &Agent,
        connection: &str,
    ) -> Result<TokenAnswer, Refusal> {
        let caller = self.handle().authenticate(&agent.key)?;
        within(self.handle().token(&caller, named(connection))).await
    }

    pub(crate) async fn token(&self, agent: &Agent) -> Result<TokenAnswer, Refusal> {
        self.token_for(agent, "fastio").await
    }

    pub(crate) async fn token_text(&self, agent: &Agent) -> String {
        granted(self.token(agent).await).access.expose().to_owned()
    }

    pub(crate) async fn reject(&self, agent: &Agent, token: &str) -> Result<TokenAnswer, Refusal> {
        let caller = self.handle().authenticate(&agent.key)?;
        within(self.handle().token_rejected(&caller, rejection(token))).await
    }

    /// The status that the provider's API answers to a token.
    pub(crate) async fn use_token(&self, token: &str) -> u16 {
        let address = format!("{}user/auth/check/", self.sim.api_base());
        let request = reqwest::Client::new().get(address).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    }
}

pub(crate) fn named(connection: &str) -> TokenAsk {
    TokenAsk {
        connection: Some(name(connection)),
        ..TokenAsk::default()
    }
}

pub(crate) fn rejection(token: &str) -> Rejection {
    Rejection {
        connection: name("fastio"),
        access: AccessToken::new(token.to_owned()),
        status: Some(401),
        code: None,
        patience: None,
    }
}

pub(crate) fn polled(answer: &PollAnswer) -> &'static str {
    match answer {
        PollAnswer::Pending => "pending",
        PollAnswer::SlowDown => "slow_down",
        PollAnswer::Denied => "denied",
        PollAnswer::Expired => "expired",
        PollAnswer::Unknown => "unknown",
        PollAnswer::Issued { .. } => "issued",
    }
}
