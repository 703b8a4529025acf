//! The broker's side: it sends a courier and hears its report, or finds what one left.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use doorward_core::decide::flying::Empty;
use doorward_core::secret::FlightKey;
use doorward_store::{FlightPlace, Look, Spool};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

use super::{BESIDE_THE_CALL, Flown, Order, Report, Seen, WORD, bytes_of, lost};
use crate::control::SecretText;

/// Larger than any report.
const LARGEST_REPORT: u64 = 8 * 1024 * 1024;
/// How often a courier that nobody here started is looked for. The kernel has no way to be woken by the end of a lock
/// that could also be given up.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// A courier that has reported is at its end.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// What is known of a flight by whoever waits for it.
pub(crate) struct Flight {
    pub(crate) spool: Spool,
    pub(crate) place: FlightPlace,
    /// Nothing where the store holds none: then no reply can be opened.
    pub(crate) key: Option<FlightKey>,
    /// How long the call itself may take.
    pub(crate) timeout: Duration,
}

impl Flight {
    /// How long a courier is waited for: it ends itself a moment before.
    fn patience(&self) -> Duration {
        self.timeout
            .saturating_add(BESIDE_THE_CALL)
            .saturating_add(ENDS_WITHIN)
    }

    fn opened(&self, sealed: &[u8]) -> Flown {
        let opened = self
            .key
            .as_ref()
            .and_then(|key| self.place.open(key, sealed));
        match opened.map(|plain| serde_json::from_slice::<Seen>(&plain)) {
            Some(Ok(seen)) => seen.flown(),
            Some(Err(_)) | None => lost("the reply in the spool does not open"),
        }
    }
}

/// Sends a courier with this order, and waits for what it brings.
pub(crate) async fn send(program: PathBuf, order: Order, flight: Flight) -> Flown {
    let failed = |why: String| Flown::Empty(Empty::CourierFailed { why });
    let text = match serde_json::to_vec(&order) {
        Ok(text) => Zeroizing::new(text),
        Err(error) => return failed(error.to_string()),
    };
    drop(order);
    let mut child = match start(&program) {
        Ok(child) => child,
        Err(error) => {
            return failed(format!(
                "{} could not be started: {error}",
                program.display()
            ));
        }
    };
    let report = tokio::time::timeout(flight.patience(), hear(&mut child, &text)).await;
    let flown = match report {
        Ok(Ok(Report::Landed(sealed))) => match bytes_of(&SecretText::new(sealed)) {
            Some(sealed) => flight.opened(&sealed),
            None => adopt(&flight).await,
        },
        Ok(Ok(Report::Refused(why))) => failed(why),
        // It says no more. What it did before is told by the spool.
        Ok(Err(_)) | Err(_) => {
            let left = adopt(&flight).await;
            if matches!(left, Flown::Empty(Empty::NeverSent)) {
                failed(format!("{} ended before it sent", program.display()))
            } else {
                left
            }
        }
    };
    // So that it leaves nothing in the process table.
    let _reaped = tokio::time::timeout(ENDS_WITHIN, child.wait()).await;
    flown
}

fn start(program: &PathBuf) -> io::Result<Child> {
    Command::new(program)
        .arg0("doorward")
        .arg(WORD)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // What it has to say is in its report; a terminal or a log of the broker's may be gone before it is.
        .stderr(Stdio::null())
        .spawn()
}

async fn hear(child: &mut Child, order: &[u8]) -> io::Result<Report> {
    let pipes = child.stdin.take().zip(child.stdout.take());
    let (mut stdin, stdout) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
    // One that refuses at once reads nothing, and still says why.
    let _refused = stdin.write_all(order).await;
    drop(stdin);
    let mut text = Vec::new();
    stdout.take(LARGEST_REPORT).read_to_end(&mut text).await?;
    serde_json::from_slice(&text).map_err(io::Error::other)
}

/// Waits for a courier that may still fly, as long as one may live, and takes what it left.
pub(crate) async fn adopt(flight: &Flight) -> Flown {
    let waited = tokio::time::timeout(flight.patience(), async {
        loop {
            match flight.spool.look(flight.place.flight) {
                Ok(Look::Carried) => tokio::time::sleep(LOOK_EVERY).await,
                looked => return looked,
            }
        }
    });
    match waited.await {
        Ok(Ok(Look::Landed(sealed))) => flight.opened(&sealed),
        Ok(Ok(Look::NeverSent)) => Flown::Empty(Empty::NeverSent),
        Ok(Ok(Look::Lost)) => lost("the courier ended without a reply"),
        Ok(Ok(Look::Carried)) | Err(_) => lost("the courier did not end in time"),
        Ok(Err(error)) => lost(&format!("the spool cannot be read: {error}")),
    }
}
