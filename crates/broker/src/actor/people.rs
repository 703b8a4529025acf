//! What the person sees and what they end or pause.

use std::collections::HashMap;
use std::sync::Arc;

use doorward_core::connection::Connection;
use doorward_core::decide::{revoking, scheduling};
use doorward_core::ids::{AgentId, ConnectionId};
use doorward_core::key::{KeyRecord, KeyStanding};
use doorward_core::name::Name;
use doorward_core::pairing::Verdict;
use doorward_core::problem::Refusal;

use super::Actor;
use crate::handle::PauseTarget;
use crate::views::{AgentRevoked, AgentView, ConnectionView, GrantView, RequestView};

impl Actor {
    pub(super) fn connections(&self) -> Result<Vec<ConnectionView>, Refusal> {
        self.check_unlocked()?;
        // Counted in one pass: with many agents, a pass for each connection is what a person waits for.
        let mut agents: HashMap<ConnectionId, usize> = HashMap::new();
        for grant in self
            .book()
            .grants()
            .filter(|grant| !grant.is_over(self.now()))
        {
            *agents.entry(grant.connection).or_default() += 1;
        }
        let used = self.in_use();
        let count = |row: &Connection| agents.get(&row.id).copied().unwrap_or_default();
        let mut views: Vec<_> = self
            .book()
            .connections()
            .map(|row| self.view_of(row, count(row), used.contains(&row.id)))
            .collect();
        views.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(views)
    }

    pub(super) fn connection_view(&self, id: ConnectionId) -> Result<ConnectionView, Refusal> {
        match self.book().connection(id) {
            Some(row) => {
                let grants = self.book().grants_for(row.id);
                let agents = grants.filter(|grant| !grant.is_over(self.now())).count();
                Ok(self.view_of(row, agents, self.in_use().contains(&id)))
            }
            None => Err(doorward_core::decide::serving::unknown("")),
        }
    }

    fn view_of(&self, row: &Connection, agents: usize, in_use: bool) -> ConnectionView {
        let now = self.now();
        ConnectionView {
            id: row.id.to_string(),
            name: row.name.clone(),
            tenant: self.tenant_name(row.tenant),
            provider: row.provider.name.clone(),
            provider_title: row.provider.title.clone(),
            issuer: row.provider.issuer.clone(),
            account: row.account.as_ref().map(|account| account.label.clone()),
            asked: row.ask.scope.clone(),
            read_only: row.ask.read_only,
            granted: row.granted.scopes.clone(),
            granted_stated: row.granted.stated,
            health: self.published.health(row, now),
            connected_at: row.connected_at,
            access_expires_at: row.access_expires_at,
            proven_at: row.proven_at,
            agents,
            health_since: self.seen.since(row),
            next_refresh: scheduling::next_refresh(row, now, in_use),
            last_error: row.trouble.as_ref().map(|trouble| trouble.last.clone()),
            rates: self.seen.rates(row.id, now),
        }
    }

    pub(super) fn tenant_name(&self, id: doorward_core::ids::TenantId) -> Name {
        let tenant = self.book().tenant(id).map(|tenant| tenant.name.clone());
        tenant.unwrap_or_else(doorward_core::decide::connecting::default_tenant)
    }

    pub(super) fn agents(&self) -> Result<Vec<AgentView>, Refusal> {
        self.check_unlocked()?;
        let now = self.now();
        let locks = self.lock_views();
        let mut keys_by_agent: HashMap<AgentId, Vec<&Arc<KeyRecord>>> = HashMap::new();
        for key in self.book().keys() {
            keys_by_agent.entry(key.agent).or_default().push(key);
        }
        let mut views: Vec<_> = self
            .book()
            .agents()
            .map(|agent| {
                let grants = self
                    .book()
                    .grants_of(agent.id)
                    .filter(|grant| !grant.is_over(now))
                    .filter_map(|grant| {
                        Some(GrantView {
                            id: grant.id.to_string(),
                            connection: self.book().connection(grant.connection)?.name.clone(),
                            doors: grant.rights.doors().to_vec(),
                            policy: grant.rights.policy().clone(),
                            lifetime: grant.lifetime,
                            answers: self.answers_of(grant.id),
                        })
                    });
                let last_use = |key: &KeyRecord| {
                    let metered = self
                        .published
                        .key_meters
                        .get(&key.id)
                        .and_then(|meter| meter.last_used());
                    metered.max(key.last_used_at)
                };
                let keys = keys_by_agent.get(&agent.id).map_or(&[][..], Vec::as_slice);
                let live = || {
                    keys.iter()
                        .filter(|key| key.standing(now, last_use(key)) == KeyStanding::Live)
                };
                AgentView {
                    id: agent.id.to_string(),
                    name: agent.name.as_str().to_owned(),
                    tenant: self.tenant_name(agent.tenant),
                    paused: agent.paused,
                    metrics: live().any(|key| key.metrics),
                    grants: grants.collect(),
                    keys: live().count(),
                    last_used_at: keys.iter().filter_map(|key| last_use(key)).max(),
                    created_at: agent.created_at,
                    holds: locks
                        .iter()
                        .filter(|lock| lock.agent == agent.id.to_string())
                        .cloned()
                        .collect(),
                }
            })
            .collect();
        views.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(views)
    }

    pub(super) fn requests(&self) -> Result<Vec<RequestView>, Refusal> {
        self.check_unlocked()?;
        let now = self.now();
        let mut views: Vec<_> = self
            .book()
            .requests()
            .filter(|request| request.verdict == Verdict::Waiting && now < request.expires_at)
            .map(|request| RequestView {
                id: request.id.to_string(),
                name: request.name.as_str().to_owned(),
                code: request.user_code.clone(),
                wanted: request
                    .wanted
                    .iter()
                    .map(doorward_core::pairing::Wanted::as_scope)
                    .collect(),
                program: request.program.clone(),
                created_at: request.created_at,
                expires_at: request.expires_at,
            })
            .collect();
        views.sort_by_key(|request| request.created_at);
        Ok(views)
    }

    pub(super) async fn revoke_agent(&mut self, text: &str) -> Result<AgentRevoked, Refusal> {
        self.check_unlocked()?;
        let now = self.now();
        let agent = revoking::agent_meant(self.book(), text)?.clone();
        let handed_out = self
            .book()
            .grants_of(agent.id)
            .filter_map(|grant| {
                let row = self.book().connection(grant.connection)?;
                let is_current =
                    grant.handed_generation == Some(row.generation) && row.access_is_live(now);
                is_current.then(|| (row.name.clone(), row.access_expires_at))
            })
            .collect();
        let plan = revoking::revoke_agent(self.book(), &agent, now);
        self.carry_out(plan).await?;
        Ok(AgentRevoked {
            name: agent.name.as_str().to_owned(),
            handed_out,
        })
    }

    pub(super) async fn set_paused(
        &mut self,
        target: PauseTarget,
        paused: bool,
    ) -> Result<usize, Refusal> {
        self.check_unlocked()?;
        let plan = match target {
            PauseTarget::Agent(text) => {
                revoking::set_agent_paused(revoking::agent_meant(self.book(), &text)?, paused)
            }
            PauseTarget::Connection(name) => {
                revoking::set_connection_paused(&*self.person_connection(&name)?, paused)
            }
            PauseTarget::AllAgents => {
                let all = self
                    .book()
                    .agents()
                    .map(|agent| revoking::set_agent_paused(agent, paused));
                all.fold(
                    doorward_core::plan::Plan::nothing(),
                    doorward_core::plan::Plan::and,
                )
            }
        };
        let changed = plan.changes.len();
        self.carry_out(plan).await?;
        Ok(changed)
    }
}
