//! An agent asks to be let in (`asking`), a person answers (`answering`), the agent fetches its
//! key (`fetching`), and what has become old goes (`sweeping`).

mod answering;
mod asking;
mod fetching;
mod sweeping;

pub use answering::{METRICS_SCOPE, add, add_metrics_reader, approve, as_asked, deny, scope_given};
pub use asking::{Asked, ask, register, request_with_code};
pub use fetching::{Polled, poll};
pub use sweeping::sweep;
