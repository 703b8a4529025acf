//! `doorward audit verify` and `doorward audit export`

use doorward_broker::control::Request;
use doorward_broker::views::{AuditFaultView, AuditRowView, AuditVerified};
use doorward_core::problem::{Code, Refusal};

use crate::args::AuditExport;
use crate::failure::Outcome;
use crate::link::Context;

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
