//! The approval PIN, typed at the terminal by the person who approves.

use doorward_broker::control::{Request, SecretText};
use doorward_broker::views::Status;
use doorward_core::problem::Code;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::failure::{Failure, Outcome};
use crate::link::Link;
use crate::output::failure_text;
use crate::terminal::Terminal;

/// A person who mistypes gets so many tries.
pub(crate) const TRIES: usize = 3;
/// As the store demands; said before it can refuse.
const LEAST_LETTERS: usize = 6;

/// Asks for the PIN and sends what `request` makes of it, up to three times. Where none is set yet, the person
/// chooses one and it counts as typed.
pub(crate) async fn with_pin<T: DeserializeOwned>(
    link: &mut Link,
    terminal: &Terminal,
    request: impl Fn(SecretText) -> Request,
) -> Outcome<T> {
    let status: Status = link.ask(Request::Status).await?;
    if let Some(refusal) = status.locked_because {
        return Err(refusal.into());
    }
    let mut ready = match status.pin_set {
        Some(false) => Some(set_first(link, terminal).await?),
        Some(true) | None => None,
    };
    let mut tries = TRIES;
    loop {
        let pin = match ready.take() {
            Some(pin) => pin,
            None => terminal.ask_secret("Approval PIN").await?,
        };
        tries -= 1;
        match link.ask(request(secret(&pin))).await {
            Err(failure) if failure.is(Code::PinWrong) && tries > 0 => {
                terminal.say(&failure_text(&failure))?;
            }
            Err(failure) if failure.is(Code::PinMissing) && tries > 0 => {
                ready = Some(set_first(link, terminal).await?);
            }
            answer => return answer,
        }
    }
}

/// Lets the person choose the first PIN.
pub(crate) async fn set_first(link: &mut Link, terminal: &Terminal) -> Outcome<Zeroizing<String>> {
    terminal
        .say("No approval PIN is set yet. It is what you type here when you let an agent in.")?;
    let pin = choose(terminal).await?;
    link.ask::<()>(Request::SetPin {
        before: None,
        pin: secret(&pin),
    })
    .await?;
    Ok(pin)
}

/// Replaces the PIN.
pub(crate) async fn change(link: &mut Link, terminal: &Terminal) -> Outcome {
    let mut before = terminal.ask_secret("Approval PIN so far").await?;
    let pin = choose(terminal).await?;
    let mut tries = TRIES;
    loop {
        tries -= 1;
        let request = Request::SetPin {
            before: Some(secret(&before)),
            pin: secret(&pin),
        };
        match link.ask(request).await {
            Err(failure) if failure.is(Code::PinWrong) && tries > 0 => {
                terminal.say(&failure_text(&failure))?;
                before = terminal.ask_secret("Approval PIN so far").await?;
            }
            answer => return answer,
        }
    }
}

async fn choose(terminal: &Terminal) -> Outcome<Zeroizing<String>> {
    for _ in 0..TRIES {
        let first = terminal
            .ask_secret(&format!(
                "New approval PIN, at least {LEAST_LETTERS} characters"
            ))
            .await?;
        if first.chars().count() < LEAST_LETTERS {
            terminal.say(&format!("That has fewer than {LEAST_LETTERS} characters."))?;
            continue;
        }
        if *terminal.ask_secret("The same again").await? == *first {
            return Ok(first);
        }
        terminal.say("Those were two different PINs.")?;
    }
    Err(Failure::new(
        "failed",
        "No approval PIN was chosen.",
        "`doorward pin` asks again; nothing was changed.",
    ))
}

fn secret(text: &Zeroizing<String>) -> SecretText {
    SecretText::new(String::clone(text))
}
