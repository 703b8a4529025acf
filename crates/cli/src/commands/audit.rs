//! `doorward audit verify` and `doorward audit export`

use doorward_broker::control::Request;
use doorward_broker::views::{
    ActivityAsk, ActivityPage, AuditFaultView, AuditRowView, AuditVerified,
};
use doorward_broker::{Clock as _, SystemClock};
use doorward_core::problem::{Code, Refusal};

use crate::args::{AuditExport, AuditShow};
use crate::failure::Outcome;
use crate::link::Context;
use crate::words::{moment, table};

pub(super) async fn verify(context: &mut Context) -> Outcome {
    let mut link = context.on_store().await?;
    let verified: AuditVerified = link.ask(Request::VerifyAudit).await?;
    match &verified.fault {
        None => context
            .output
            .answer(&verified, |verified| match verified.rows {
                1 => "The audit log is whole: 1 row, in its place.".to_owned(),
                rows => format!("The audit log is whole: {rows} rows, each in its place."),
            }),
        Some(fault) => Err(broken(fault).into()),
    }
}

fn broken(fault: &AuditFaultView) -> Refusal {
    let AuditFaultView { row, what } = fault;
    let found = match what.as_str() {
        "edited" => format!("row {row} was edited"),
        "missing" => format!("row {row} is missing"),
        "reordered" => format!("row {row} is out of order"),
        "cut_off" => format!("the log was cut off after row {row}"),
        "head_forged" => "the sealed head of the log is not genuine".to_owned(),
        other => format!("row {row}: {other}"),
    };
    Refusal::new(
        Code::AuditBroken,
        format!("The audit log does not verify: {found}."),
        "Keep a copy of the data folder. Rows before that one are good; do not trust what came after.",
    )
}

/// What a person reads at once.
const ROWS_SHOWN: u32 = 50;

pub(super) async fn show(context: &mut Context, ask: AuditShow) -> Outcome {
    let mut link = context.on_store().await?;
    let page: ActivityPage = link
        .ask(Request::Activity(ActivityAsk {
            agent: ask.agent,
            connection: ask.connection,
            topic: ask.about.map(Into::into),
            before: None,
            limit: ask.limit.unwrap_or(ROWS_SHOWN),
            up_to_now: true,
        }))
        .await?;
    let now = SystemClock.now();
    context.output.answer(&page, |page| {
        if page.rows.is_empty() {
            return "Nothing of that kind has happened yet.".to_owned();
        }
        let rows = page
            .rows
            .iter()
            .map(|row| [moment(now, row.at), row.says.clone()]);
        let mut text = table(["when", "what"], rows.collect());
        if page.has_more {
            text.push_str("There are older rows: `--limit`, or `doorward audit export`.\n");
        }
        text
    })
}

pub(super) async fn export(context: &mut Context, ask: AuditExport) -> Outcome {
    let mut link = context.on_store().await?;
    let rows: Vec<AuditRowView> = link
        .ask(Request::Audit {
            limit: ask.limit.unwrap_or(u32::MAX),
        })
        .await?;
    let lines: Result<Vec<String>, serde_json::Error> =
        rows.iter().map(serde_json::to_string).collect();
    let lines = lines.map_err(|error| {
        crate::failure::Failure::io(
            "A row cannot be written as JSON",
            &std::io::Error::other(error),
        )
    })?;
    if lines.is_empty() {
        Ok(())
    } else {
        context.output.text(&lines.join("\n"))
    }
}
