//! Agents ask to be let in, and a person answers.

use doorward_core::agent::Client;
use doorward_core::decide::pairing::{Asked, Polled};
use doorward_core::decide::serving::Caller;
use doorward_core::decide::{pairing, revoking};
use doorward_core::grant::{Door, Lifetime, Rights};
use doorward_core::ids::{AgentId, KeyId, RequestId};
use doorward_core::key::{AgentKey, KeyHash};
use doorward_core::name::ClaimedName;
use doorward_core::pairing::{
    Approval, ApprovalRequest, POLL_INTERVAL, Program, REQUEST_LIFE, Wanted, user_code,
};
use doorward_core::problem::{Code, Refusal};
use doorward_core::secret::DeviceCode;
use doorward_store::PinCheck;

use super::Actor;
use crate::config::ApprovalRoom;
use crate::handle::{DeviceAuthorization, LifetimeAsk, PollAnswer, Proof, RegisteredClient, Terms};
use crate::random;
use crate::today;
use crate::views::AgentAdded;

impl Actor {
    pub(super) async fn register(
        &mut self,
        name: ClaimedName,
        redirect_uris: Vec<String>,
    ) -> Result<RegisteredClient, Refusal> {
        self.check_unlocked()?;
        let id = AgentId::from_random(random::bytes());
        let client = Client {
            id,
            name,
            redirect_uris,
            created_at: self.now(),
        };
        let plan = pairing::register(self.book(), client.clone());
        self.carry_out(plan).await?;
        let Client {
            id,
            name,
            redirect_uris,
            created_at,
        } = client;
        Ok(RegisteredClient {
            id,
            name,
            redirect_uris,
            created_at,
        })
    }

    pub(super) async fn ask_approval(
        &mut self,
        client: AgentId,
        wanted: Vec<Wanted>,
        program: Option<Program>,
    ) -> Result<DeviceAuthorization, Refusal> {
        self.check_unlocked()?;
        // 256 random bits, as an agent key has: it is hashed the same way.
        let device_code = DeviceCode::new(
            AgentKey::from_random(random::bytes())
                .expose()
                .replacen("dwk_", "dwd_", 1),
        );
        let asked = Asked {
            id: RequestId::from_random(random::bytes()),
            client,
            wanted,
            user_code: self.unused_user_code(),
            device_code: KeyHash::of(device_code.expose()),
            program,
        };
        let user_code = asked.user_code.clone();
        let plan = pairing::ask(self.book(), self.now(), asked)?;
        self.carry_out(plan).await?;
        Ok(DeviceAuthorization {
            device_code,
            user_code,
            expires_in: REQUEST_LIFE,
            interval: POLL_INTERVAL,
        })
    }

    /// No code names two things that a person could answer.
    pub(super) fn unused_user_code(&self) -> String {
        loop {
            let code = user_code(random::bytes());
            let mut requests = self.book().requests();
            let mut questions = self.book().questions();
            if !requests.any(|request| request.user_code == code)
                && !questions.any(|asked| asked.user_code == code)
            {
                return code;
            }
        }
    }

    pub(super) async fn poll(
        &mut self,
        client: AgentId,
        device_code: &KeyHash,
    ) -> Result<PollAnswer, Refusal> {
        self.check_unlocked()?;
        let now = self.now();
        let request = self
            .book()
            .requests()
            .find(|request| request.device_code == *device_code)
            .map(|found| found.id);
        let polled_at = request.and_then(|request| self.polls.insert(request, now));
        self.polls
            .retain(|_, polled| now.since(*polled) < REQUEST_LIFE);
        let key = AgentKey::from_random(random::bytes());
        let fresh = (KeyId::from_random(random::bytes()), key.hash());
        Ok(
            match pairing::poll(self.book(), now, client, device_code, polled_at, fresh) {
                Polled::Pending => PollAnswer::Pending,
                Polled::SlowDown => PollAnswer::SlowDown,
                Polled::Denied => PollAnswer::Denied,
                Polled::Expired => PollAnswer::Expired,
                Polled::Unknown => PollAnswer::Unknown,
                Polled::Issued {
                    plan,
                    scope,
                    expires_at,
                } => {
                    self.carry_out(plan).await?;
                    let expires_in = expires_at.map(|end| end.since(now).as_secs());
                    PollAnswer::Issued {
                        key,
                        scope,
                        expires_in,
                    }
                }
            },
        )
    }

    pub(super) async fn revoke_key(
        &mut self,
        caller: &Caller,
        hash: &KeyHash,
    ) -> Result<(), Refusal> {
        let caller = self.authenticated(caller)?;
        let plan = revoking::revoke_key(self.book(), &caller.agent, hash, self.now());
        self.carry_out(plan).await
    }

    pub(super) async fn approve(
        &mut self,
        code: &str,
        terms: Terms,
        proof: Proof,
    ) -> Result<String, Refusal> {
        self.check_unlocked()?;
        let now = self.now();
        // What is asked is looked at before the PIN is: a mistyped code must not cost a try.
        let request = pairing::request_with_code(self.book(), now, code)?.clone();
        let approval = self.approval(&request, &terms)?;
        let scope = pairing::scope_given(self.book(), &approval);
        let plan = pairing::approve(
            self.book(),
            now,
            &request,
            approval,
            &mut random::bytes::<16>,
        )?;
        self.check_proof(proof).await?;
        self.carry_out(plan).await?;
        Ok(scope)
    }

    pub(super) async fn deny(&mut self, code: &str) -> Result<(), Refusal> {
        self.check_unlocked()?;
        let request = pairing::request_with_code(self.book(), self.now(), code)?.clone();
        self.carry_out(pairing::deny(&request, "a person said no"))
            .await
    }

    pub(super) async fn add_agent(
        &mut self,
        name: ClaimedName,
        terms: Terms,
        proof: Proof,
    ) -> Result<AgentAdded, Refusal> {
        self.check_unlocked()?;
        let Some(connection) = &terms.connection else {
            return Err(Refusal::new(
                Code::BadRequest,
                "Say which connection the agent may use.",
                "Add `--connection`.",
            ));
        };
        let row = self.person_connection(connection)?;
        let doors = terms.doors.clone().unwrap_or_else(|| vec![Door::Proxy]);
        let rights = Rights::new(doors, terms.policy.clone())?;
        let approval = Approval {
            grants: vec![(row.id, rights)],
            lifetime: self.lifetime(terms.lifetime, None)?,
        };
        let scope = pairing::scope_given(self.book(), &approval);
        let key = AgentKey::from_random(random::bytes());
        let fresh = (KeyId::from_random(random::bytes()), key.hash());
        let plan = pairing::add(
            self.book(),
            self.now(),
            &name,
            approval,
            fresh,
            &mut random::bytes::<16>,
        )?;
        self.check_proof(proof).await?;
        self.carry_out(plan).await?;
        Ok(self.added(&name, &key, scope))
    }

    pub(super) async fn add_metrics_reader(
        &mut self,
        name: ClaimedName,
        lifetime: Option<LifetimeAsk>,
        proof: Proof,
    ) -> Result<AgentAdded, Refusal> {
        self.check_unlocked()?;
        let key = AgentKey::from_random(random::bytes());
        let plan = pairing::add_metrics_reader(
            self.book(),
            self.now(),
            &name,
            (KeyId::from_random(random::bytes()), key.hash()),
            self.lifetime(lifetime, None)?,
            &mut random::bytes::<16>,
        )?;
        self.check_proof(proof).await?;
        self.carry_out(plan).await?;
        Ok(self.added(&name, &key, pairing::METRICS_SCOPE.to_owned()))
    }

    /// An agent that was added by hand, with its key: this once.
    fn added(&self, name: &ClaimedName, key: &AgentKey, scope: String) -> AgentAdded {
        let row = self.book().key(&key.hash());
        AgentAdded {
            id: row.map(|row| row.agent.to_string()).unwrap_or_default(),
            name: name.as_str().to_owned(),
            key: key.expose().to_owned(),
            scope,
        }
    }

    fn approval(&self, request: &ApprovalRequest, terms: &Terms) -> Result<Approval, Refusal> {
        let lifetime = self.lifetime(terms.lifetime, request.program.as_ref())?;
        let grants = match &terms.connection {
            Some(name) => {
                let row = self.person_connection(name)?;
                vec![(
                    row.id,
                    request.wanted.iter().map(|wanted| wanted.door).collect(),
                )]
            }
            None => pairing::as_asked(self.book(), request, lifetime)?
                .grants
                .into_iter()
                .map(|(connection, rights)| (connection, rights.doors().to_vec()))
                .collect::<Vec<_>>(),
        };
        let grants = grants
            .into_iter()
            .map(|(connection, asked)| {
                let doors: Vec<Door> = terms.doors.clone().unwrap_or(asked);
                Ok((connection, Rights::new(doors, terms.policy.clone())?))
            })
            .collect::<Result<_, Refusal>>()?;
        Ok(Approval { grants, lifetime })
    }

    fn lifetime(
        &self,
        asked: Option<LifetimeAsk>,
        program: Option<&Program>,
    ) -> Result<Lifetime, Refusal> {
        let now = self.now();
        Ok(match asked.unwrap_or(LifetimeAsk::UntilRevoked) {
            LifetimeAsk::UntilRevoked => Lifetime::UntilRevoked,
            LifetimeAsk::Hour => Lifetime::Until(now.plus(std::time::Duration::from_hours(1))),
            LifetimeAsk::Today => Lifetime::Until(today::end_of_day(now)),
            LifetimeAsk::WhileRunning => match program {
                Some(program) => Lifetime::WhileRunning(program.id),
                None => {
                    return Err(Refusal::new(
                        Code::RightsInvalid,
                        "The program that asked is not known, so its end would not be noticed.",
                        "Choose another lifetime: `hour`, `today` or `until-revoked`.",
                    ));
                }
            },
        })
    }

    /// Whether a person is there. This is the one place where an approval's proof is checked.
    pub(super) async fn check_proof(&self, proof: Proof) -> Result<(), Refusal> {
        let pin = match (self.config.approval, proof) {
            (ApprovalRoom::Window, Proof::Window) => return Ok(()),
            (ApprovalRoom::Window, Proof::Pin(_)) => {
                return Err(Refusal::new(
                    Code::NeedsWindow,
                    "The desktop app holds Doorward, and there approvals are given in its window alone.",
                    "Open the Doorward window; the request waits there.",
                ));
            }
            (ApprovalRoom::Terminal, Proof::Pin(pin)) => pin,
            (ApprovalRoom::Terminal, Proof::Window) => {
                return Err(Refusal::new(
                    Code::PinRequired,
                    "There is no window here: the approval PIN is needed.",
                    "Use `doorward approve CODE` at a terminal.",
                ));
            }
        };
        self.check_pin(&pin).await
    }

    /// Tries a PIN. The store counts the try and logs a wrong one.
    pub(super) async fn check_pin(&self, pin: &doorward_core::secret::Pin) -> Result<(), Refusal> {
        let now = self.now();
        match self
            .store
            .check_pin(pin, now)
            .await
            .map_err(|error| error.refusal())?
        {
            PinCheck::Right => Ok(()),
            PinCheck::Wrong { left } => Err(Refusal::new(
                Code::PinWrong,
                format!("That is not the approval PIN. {left} tries are left."),
                "Type the PIN that was set at the first start; `doorward pin` changes it.",
            )),
            PinCheck::Blocked { until } => Err(Refusal::new(
                Code::PinBlocked,
                format!(
                    "Too many wrong PINs: none is looked at until {}.",
                    until.to_rfc3339()
                ),
                "If it was not you, a program is guessing: look at `doorward audit export`.",
            )
            .retry_after(until.since(now))),
            PinCheck::Missing => Err(Refusal::new(
                Code::PinMissing,
                "No approval PIN is set yet.",
                "Set one at a terminal with `doorward pin`.",
            )),
        }
    }
}
