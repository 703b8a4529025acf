//! Grants that last while a program runs.
//!
//! The kernel tells when a process ends, through a descriptor of it: nothing is polled. A process number is used again
//! after its process, so a program is known by its number and the moment it began.

use doorward_core::audit::{AuditEvent, AuditKind};
use doorward_core::change::Change;
use doorward_core::grant::{Grant, Lifetime, ProgramId};
use doorward_core::plan::Plan;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{Actor, Message};

impl Actor {
    /// Watches for the end of a grant's program.
    pub(super) fn watch_program(&self, grant: &Grant) {
        let Lifetime::WhileRunning(program) = grant.lifetime else {
            return;
        };
        // A grant is written again at each first hand-out; its program is watched once.
        if grant.handed_generation.is_some() {
            return;
        }
        self.watch(program);
    }

    pub(super) fn watch_all_programs(&self) {
        for grant in self.book().grants() {
            if let Lifetime::WhileRunning(program) = grant.lifetime {
                self.watch(program);
            }
        }
    }

    fn watch(&self, program: ProgramId) {
        let report = self.report();
        tokio::spawn(async move {
            ended(program).await;
            // The mailbox is gone only when the process is ending; programs are looked at again at the next start.
            let _gone = report.send(Message::ProgramEnded { program }).await;
        });
    }

    /// A program has ended, and with it every grant that was given for as long as it runs.
    pub(super) async fn program_ended(&mut self, program: ProgramId) {
        let mut plan = Plan::nothing();
        for grant in self
            .book()
            .grants()
            .filter(|grant| grant.lifetime == Lifetime::WhileRunning(program))
        {
            let Some(agent) = self.book().agent(grant.agent) else {
                continue;
            };
            plan = plan
                .change(Change::GrantErased {
                    tenant: agent.tenant,
                    grant: grant.id,
                })
                .log(
                    AuditEvent::new(AuditKind::GrantExpired)
                        .tenant(agent.tenant)
                        .agent(agent.id)
                        .connection(grant.connection)
                        .with("why", "its program has ended"),
                );
        }
        if let Err(refusal) = self.carry_out(plan).await {
            tracing::error!(%refusal, "grants of a program that has ended could not be erased");
        }
    }
}

/// Comes back when a program does not run any longer.
async fn ended(program: ProgramId) {
    let Some(pid) = i32::try_from(program.pid).ok().and_then(Pid::from_raw) else {
        return;
    };
    // Opened before the start time is compared, so that the number cannot change hands in between.
    let Ok(descriptor) = pidfd_open(pid, PidfdFlags::NONBLOCK) else {
        return;
    };
    if started(program.pid) != Some(program.started) {
        return;
    }
    #[expect(
        deprecated,
        reason = "unsound only for types that may close their descriptor; an owned one does not"
    )]
    let watched = AsyncFd::with_interest(descriptor, Interest::READABLE);
    let Ok(descriptor) = watched else { return };
    // The descriptor of a process becomes readable when the process ends, and at no other time.
    let _readable = descriptor.readable().await;
}

/// The kernel's start time of a process.
#[must_use]
pub(crate) fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name is in brackets and may hold anything; the fields after it are numbers.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}
