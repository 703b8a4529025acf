//! What comes in: the request log, the counts, the rate-limit windows and the queued faults.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use time::{Duration, OffsetDateTime};

use crate::fault::{Fault, LimitForm};
use crate::kind::{Kind, Selector};
use crate::knobs::{ExpiresHeader, Knobs};
use crate::world::buckets::Buckets;
use crate::world::sighting::Sighting;

/// How many requests the log remembers.
const LOG_LENGTH: usize = 10_000;

/// One request as the log remembers it. No values of parameters and no query, so nothing secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoggedRequest {
    /// Counts up from 1.
    pub sequence: u64,
    /// When it arrived, by the simulator's clock.
    pub at: String,
    /// Its method.
    pub method: String,
    /// Its path without the query.
    pub path: String,
    /// What it was about.
    pub kind: Kind,
    /// The names of its query and form parameters.
    pub parameters: Vec<String>,
    /// How far it has come.
    pub progress: Progress,
    /// The status that was answered, or that would have been.
    pub status: Option<u16>,
    /// What it carried.
    pub seen: Sighting,
    /// At the MCP server, the JSON-RPC method and, for a call, the tool: `tools/call storage`.
    pub rpc: Option<String>,
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// It is being worked on, or waits in a `delay_ms`.
    UnderWay,
    /// It hangs and nothing was done.
    HangingBeforeWork,
    /// It hangs and everything was done.
    HangingAfterWork,
    /// It was answered.
    Answered,
    /// The connection was closed and nothing was done.
    ClosedBeforeWork,
    /// The connection was closed and everything was done.
    DroppedAfterWork,
    /// The answer is to be cut off in the middle of its body.
    CutInBody,
    /// The answer is to stand still in the middle of its body.
    StalledInBody,
}

/// How many requests there were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// By kind; every kind is there.
    pub kinds: BTreeMap<Kind, u64>,
    /// By status of the answer.
    pub statuses: BTreeMap<u16, u64>,
}

impl Counts {
    fn zero() -> Self {
        Self {
            kinds: Kind::ALL.into_iter().map(|kind| (kind, 0)).collect(),
            statuses: BTreeMap::new(),
        }
    }

    /// How many there were of a kind or group.
    #[must_use]
    pub fn of(&self, selector: impl Into<Selector>) -> u64 {
        let selector = selector.into();
        self.kinds
            .iter()
            .filter(|(kind, _)| selector.matches(**kind))
            .map(|(_, count)| count)
            .sum()
    }
}

/// A request at the door.
#[derive(Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) kind: Kind,
    pub(crate) parameters: Vec<String>,
    pub(crate) seen: Sighting,
    pub(crate) rpc: Option<String>,
}

/// What is to happen to it.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) sequence: u64,
    pub(crate) limit: LimitReport,
    pub(crate) verdict: Verdict,
}

#[derive(Debug)]
pub(crate) enum Verdict {
    /// Go on, struck by the fault if there is one.
    Proceed(Option<Box<Fault>>),
    /// Answer 429.
    Limited,
}

/// What the rate-limit headers of the answer say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LimitReport {
    pub(crate) available: u32,
    pub(crate) max: u32,
    pub(crate) until: OffsetDateTime,
    pub(crate) form: LimitForm,
}

/// A fault and how many requests it could have struck so far.
#[derive(Debug)]
struct Queued {
    fault: Fault,
    candidates: u64,
}

#[derive(Debug)]
struct FaultWindow {
    opened_by: Fault,
    until: OffsetDateTime,
    form: LimitForm,
}

#[derive(Debug)]
pub(crate) struct Traffic {
    counts: Counts,
    log: VecDeque<LoggedRequest>,
    last_sequence: u64,
    faults: Vec<Queued>,
    windows: Vec<FaultWindow>,
    buckets: Buckets,
}

impl Traffic {
    pub(crate) fn new() -> Self {
        Self {
            counts: Counts::zero(),
            log: VecDeque::new(),
            last_sequence: 0,
            faults: Vec::new(),
            windows: Vec::new(),
            buckets: Buckets::default(),
        }
    }

    /// Counts and logs a request, and decides what happens to it.
    pub(crate) fn admit(
        &mut self,
        arrival: Arrival<'_>,
        knobs: &Knobs,
        now: OffsetDateTime,
    ) -> Admission {
        *self.counts.kinds.entry(arrival.kind).or_default() += 1;
        self.last_sequence += 1;
        let sequence = self.last_sequence;
        let drawn = self.buckets.draw((arrival.kind, arrival.path), knobs, now);
        let ordinary = LimitReport {
            available: drawn.left.unwrap_or(0),
            max: drawn.max,
            until: drawn.until,
            form: form_of(knobs.expires_header),
        };
        let counted = !matches!(arrival.kind, Kind::Consent | Kind::Unknown);
        let (limit, verdict) = if let Some((until, form)) = self.fault_window(&arrival, now) {
            (
                LimitReport {
                    available: 0,
                    until,
                    form,
                    ..ordinary
                },
                Verdict::Limited,
            )
        } else if counted && drawn.left.is_none() {
            (ordinary, Verdict::Limited)
        } else {
            match self.take_fault(&arrival) {
                Some(fault) => match self.open_window(&fault, now) {
                    Some((until, form)) => (
                        LimitReport {
                            available: 0,
                            until,
                            form,
                            ..ordinary
                        },
                        Verdict::Limited,
                    ),
                    None => (ordinary, Verdict::Proceed(Some(fault))),
                },
                None => (ordinary, Verdict::Proceed(None)),
            }
        };
        if self.log.len() == LOG_LENGTH {
            self.log.pop_front();
        }
        self.log.push_back(LoggedRequest {
            sequence,
            at: crate::clock::fastio_datetime(now),
            method: arrival.method.to_owned(),
            path: arrival.path.to_owned(),
            kind: arrival.kind,
            parameters: arrival.parameters,
            progress: Progress::UnderWay,
            status: None,
            seen: arrival.seen,
            rpc: arrival.rpc,
        });
        Admission {
            sequence,
            limit,
            verdict,
        }
    }

    /// Notes how far a request has come.
    pub(crate) fn progress(&mut self, sequence: u64, progress: Progress, status: Option<u16>) {
        if let (Progress::Answered, Some(status)) = (progress, status) {
            *self.counts.statuses.entry(status).or_default() += 1;
        }
        if let Some(entry) = self
            .log
            .iter_mut()
            .rev()
            .find(|entry| entry.sequence == sequence)
        {
            entry.progress = progress;
            entry.status = status.or(entry.status);
        }
    }

    /// The place of the newest request in the log.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    pub(crate) fn queue(&mut self, fault: Fault) {
        self.faults.push(Queued {
            fault,
            candidates: 0,
        });
    }

    pub(crate) fn faults(&self) -> Vec<&Fault> {
        self.faults.iter().map(|queued| &queued.fault).collect()
    }

    pub(crate) fn clear_faults(&mut self) {
        self.faults.clear();
        self.windows.clear();
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(crate) fn reset_counts(&mut self) {
        self.counts = Counts::zero();
        self.log.clear();
    }

    pub(crate) fn log(&self) -> impl Iterator<Item = &LoggedRequest> {
        self.log.iter()
    }

    fn fault_window(
        &mut self,
        arrival: &Arrival<'_>,
        now: OffsetDateTime,
    ) -> Option<(OffsetDateTime, LimitForm)> {
        self.windows.retain(|window| now < window.until);
        self.windows
            .iter()
            .find(|window| arrival.is_meant(&window.opened_by))
            .map(|window| (window.until, window.form))
    }

    fn take_fault(&mut self, arrival: &Arrival<'_>) -> Option<Box<Fault>> {
        let index = self.faults.iter_mut().position(|queued| {
            let meant = queued.fault.count > 0 && arrival.is_meant(&queued.fault);
            queued.candidates += u64::from(meant);
            meant && queued.fault.strikes(queued.candidates)
        })?;
        let fault = &mut self.faults[index].fault;
        // The largest count means "for as long as it is queued".
        if fault.count < u32::MAX {
            fault.count -= 1;
        }
        let struck = fault.clone();
        if fault.count == 0 {
            self.faults.remove(index);
        }
        Some(Box::new(struck))
    }

    /// A fault that limits opens its window with the request that it struck.
    fn open_window(
        &mut self,
        fault: &Fault,
        now: OffsetDateTime,
    ) -> Option<(OffsetDateTime, LimitForm)> {
        let limit = fault.rate_limit?;
        let length = Duration::seconds(i64::try_from(limit.window_s).unwrap_or(i64::MAX / 1000));
        let until = crate::clock::rounded_up(now + length);
        self.windows.push(FaultWindow {
            opened_by: fault.clone(),
            until,
            form: limit.header,
        });
        Some((until, limit.header))
    }
}

impl Arrival<'_> {
    fn is_meant(&self, fault: &Fault) -> bool {
        fault.kind.matches(self.kind)
            && fault
                .path_contains
                .as_ref()
                .is_none_or(|part| self.path.contains(part))
            && fault
                .method
                .as_ref()
                .is_none_or(|method| method.eq_ignore_ascii_case(self.method))
            && fault
                .rpc_contains
                .as_ref()
                .is_none_or(|part| self.rpc.as_ref().is_some_and(|rpc| rpc.contains(part)))
    }
}

fn form_of(header: ExpiresHeader) -> LimitForm {
    match header {
        ExpiresHeader::Datetime => LimitForm::Datetime,
        ExpiresHeader::Epoch => LimitForm::Epoch,
        ExpiresHeader::Absent => LimitForm::None,
    }
}
