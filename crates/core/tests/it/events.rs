//! What can happen to a book, in the words of whoever does it. An index means one of those that there are by then.

use proptest::prelude::*;
use proptest::sample::Index;

#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A person starts a consent.
    Connect {
        name: Index,
        tenant: Index,
    },
    /// A consent is answered.
    Answer {
        consent: Index,
        account: Index,
        refresh: bool,
        session: bool,
    },
    /// A refresh begins, unless one is in flight.
    Begin {
        connection: Index,
    },
    /// A flight comes back.
    Finish {
        flight: Index,
        outcome: u8,
    },
    /// A flight comes back without a reply.
    Empty {
        flight: Index,
        end: u8,
    },
    /// Whoever held the book is gone, and another one reads it.
    Restart,
    /// The access token is refused by the API.
    Dead {
        connection: Index,
    },
    /// A person disconnects.
    Disconnect {
        connection: Index,
    },
    /// A revocation is tried.
    Revoke {
        item: Index,
        outcome: u8,
    },
    /// A person pauses or resumes.
    Pause {
        connection: Index,
        paused: bool,
    },
    /// A program registers and asks.
    Ask {
        known: bool,
        client: Index,
        first: Index,
        second: Index,
    },
    /// A person answers a request.
    Approve {
        request: Index,
        connections: Vec<Index>,
        token: bool,
        limited: bool,
        hour: bool,
    },
    Deny {
        request: Index,
    },
    /// An agent polls.
    Poll {
        request: Index,
    },
    /// An agent is revoked.
    RevokeAgent {
        agent: Index,
    },
    /// An agent asks for a token.
    Use {
        key: Index,
        name: Index,
    },
    /// What is old is swept.
    Sweep,
    /// Time passes, or the clock is set.
    Clock {
        seconds: i64,
    },
}

/// Any event, the frequent ones more often.
pub(crate) fn event() -> impl Strategy<Value = Event> {
    let index = any::<Index>;
    prop_oneof![
        3 => (index(), index()).prop_map(|(name, tenant)| Event::Connect { name, tenant }),
        5 => (index(), index(), prop::bool::weighted(0.8), prop::bool::weighted(0.7)).prop_map(
            |(consent, account, refresh, session)| Event::Answer { consent, account, refresh, session }
        ),
        4 => index().prop_map(|connection| Event::Begin { connection }),
        6 => (index(), 0..8_u8).prop_map(|(flight, outcome)| Event::Finish { flight, outcome }),
        2 => (index(), 0..3_u8).prop_map(|(flight, end)| Event::Empty { flight, end }),
        1 => Just(Event::Restart),
        1 => index().prop_map(|connection| Event::Dead { connection }),
        2 => index().prop_map(|connection| Event::Disconnect { connection }),
        2 => (index(), 0..4_u8).prop_map(|(item, outcome)| Event::Revoke { item, outcome }),
        1 => (index(), any::<bool>()).prop_map(|(connection, paused)| Event::Pause { connection, paused }),
        3 => (any::<bool>(), index(), index(), index()).prop_map(
            |(known, client, first, second)| Event::Ask { known, client, first, second }
        ),
        4 => (index(), prop::collection::vec(index(), 0..3), any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(request, connections, token, limited, hour)| Event::Approve {
                request, connections, token, limited, hour
            }),
        1 => index().prop_map(|request| Event::Deny { request }),
        4 => index().prop_map(|request| Event::Poll { request }),
        1 => index().prop_map(|agent| Event::RevokeAgent { agent }),
        3 => (index(), index()).prop_map(|(key, name)| Event::Use { key, name }),
        2 => Just(Event::Sweep),
        3 => prop_oneof![
            (0..700_i64),
            Just(3600),
            Just(-3600),
            Just(40 * 24 * 3600),
            Just(-40 * 24 * 3600)
        ]
        .prop_map(|seconds| Event::Clock { seconds }),
    ]
}
