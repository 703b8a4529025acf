//! The window's side of what crosses: `ui/src/backend/bindings.ts` is made from the types here, and this test fails
//! where the two differ.

use doorward_broker::control::{Connect, TermsAsk};
use doorward_broker::handle::{LifetimeAsk, PauseTarget};
use doorward_broker::views::{
    ActivityAsk, ActivityPage, AgentRevoked, AgentView, AnswerView, AuditRowView, ConnectionView,
    ConsentStarted, Disconnected, GrantView, LockView, ProviderOffer, QuestionView, RequestView,
    ScopeOffer, Status, StoreState,
};
use doorward_core::asking::Always;
use doorward_core::audit::AuditTopic;
use doorward_core::grant::{Door, Lifetime, Policy, ProgramId};
use doorward_core::health::Health;
use doorward_core::name::Name;
use doorward_core::pairing::Program;
use doorward_core::problem::Refusal;
use doorward_core::tally::{Count, Rates};
use doorward_core::time::Timestamp;
use ts_rs::{Config, TS};

use crate::goto::{Goto, Page};
use crate::limits::{TypedLimits, WrongLimit};
use crate::problem::Problem;
use crate::snapshot::Snapshot;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ui/src/backend/bindings.ts");
const HEAD: &str = "\
// What crosses between the window and the program. Made from the program's types by its tests: `make bindings` writes
// it, and a test fails when the two differ. Times are milliseconds since the epoch.
";

macro_rules! declared {
    ($config:expr, $($type:ty),+ $(,)?) => {
        [$(format!("\nexport {}\n", <$type as TS>::decl($config))),+].concat()
    };
}

fn bindings() -> String {
    // Milliseconds and counts stay far below the numbers that JavaScript holds exactly.
    let config = Config::default().with_large_int("number");
    let declared = declared!(
        &config,
        Name,
        Timestamp,
        Door,
        Policy,
        ProgramId,
        Program,
        Lifetime,
        LifetimeAsk,
        Health,
        Count,
        Rates,
        StoreState,
        Refusal,
        LockView,
        Status,
        ConnectionView,
        Always,
        AnswerView,
        GrantView,
        AgentView,
        RequestView,
        QuestionView,
        ScopeOffer,
        ProviderOffer,
        Snapshot,
        Connect,
        ConsentStarted,
        Disconnected,
        AgentRevoked,
        AuditTopic,
        ActivityAsk,
        AuditRowView,
        ActivityPage,
        TermsAsk,
        TypedLimits,
        WrongLimit,
        PauseTarget,
        Problem,
        Page,
        Goto,
    );
    format!("{HEAD}{declared}")
}

#[test]
fn the_windows_types_are_the_programs() {
    let made = bindings();
    if std::env::var_os("DOORWARD_WRITE_BINDINGS").is_some() {
        std::fs::write(FILE, &made).unwrap();
    }
    let found = std::fs::read_to_string(FILE).unwrap();
    assert_eq!(found, made, "run `make bindings`");
}
