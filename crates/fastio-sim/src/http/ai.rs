//! Conversations about the files of a place.
//!
//! The answer is the line of the files that shares most words with the question, and cites it.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::account::page;
use crate::http::call::Call;
use crate::http::envelope::{Refusal, Reply};
use crate::http::site::SharedSite;
use crate::http::web_uploads::step;
use crate::scope::Mode;
use crate::secret::random_node_id;
use crate::world::World;
use crate::world::catalogue::Workspace;
use crate::world::errands::{Thread, Turn};

/// How long a conversation may get.
const LONGEST: usize = 100;

pub(crate) async fn start(call: Call) -> Result<Reply, Refusal> {
    let question = call.needed("question")?;
    let mut world = call.site.world();
    let place = call.open(&world, Mode::ReadWrite)?;
    let turn = Turn::new(
        question.clone(),
        line_about(place, &question),
        call.site.now(),
    );
    let thread = Thread {
        id: random_node_id(),
        place: call.place(),
        name: call.given("name").unwrap_or_else(|| question.clone()),
        privacy: call
            .given("privacy")
            .unwrap_or_else(|| "private".to_owned()),
        published: false,
        turns: vec![turn.clone()],
    };
    let id = thread.id.clone();
    world.threads.push(thread);
    world.effects.note("question asked", &question);
    announce(&call.site, &world, call.place().id, id.clone());
    Ok(Reply::new(json!({
        "thread": { "thread_id": id },
        "turn": { "turn_id": turn.id },
    })))
}

pub(crate) async fn message(call: Call) -> Result<Reply, Refusal> {
    let question = call.needed("question")?;
    let now = call.site.now();
    let mut world = call.site.world();
    let place = call.open(&world, Mode::ReadWrite)?;
    let turn = Turn::new(question.clone(), line_about(place, &question), now);
    let thread = thread(&call, &mut world)?;
    if thread.turns.len() >= LONGEST {
        return Err(Refusal::Conflict);
    }
    thread.turns.push(turn.clone());
    let (id, seq) = (thread.id.clone(), thread.turns.len());
    world.effects.note("question asked", &question);
    announce(&call.site, &world, call.place().id, id.clone());
    Ok(Reply::new(json!({
        "turn_id": turn.id,
        "thread_id": id,
        "seq": seq,
        "status": "ready",
    })))
}

pub(crate) async fn list(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    call.open(&world, Mode::Read)?;
    let place = call.place();
    let shown = world.threads.iter().filter(|thread| thread.place == place);
    page("threads", shown.map(description).collect(), call.query())
}

pub(crate) async fn details(call: Call) -> Result<Reply, Refusal> {
    let mut world = call.site.world();
    call.open(&world, Mode::Read)?;
    let shown = description(thread(&call, &mut world)?);
    Ok(Reply::new(json!({ "thread": shown })))
}

pub(crate) async fn messages(call: Call) -> Result<Reply, Refusal> {
    let now = call.site.now();
    let mut world = call.site.world();
    call.open(&world, Mode::Read)?;
    let step = step(&world);
    let turns: Vec<Value> = thread(&call, &mut world)?
        .turns
        .iter()
        .enumerate()
        .map(|(index, turn)| turn.description(index + 1, now, step))
        .collect();
    Ok(Reply::new(json!({ "messages": turns })))
}

/// In a share the answer stands under `turn`, in a workspace under `message`.
pub(crate) async fn message_details(call: Call) -> Result<Reply, Refusal> {
    let now = call.site.now();
    let mut world = call.site.world();
    call.open(&world, Mode::Read)?;
    let step = step(&world);
    let wanted = call.named("turn");
    let shown = thread(&call, &mut world)?
        .turns
        .iter()
        .enumerate()
        .find(|(_, turn)| turn.id == wanted)
        .map(|(index, turn)| turn.description(index + 1, now, step))
        .ok_or(Refusal::NotFound("message"))?;
    let key = if call.place().is_share {
        "turn"
    } else {
        "message"
    };
    Ok(Reply::new(json!({ key: shown })))
}

pub(crate) async fn update(call: Call) -> Result<Reply, Refusal> {
    change(&call, "conversation changed", |thread| {
        if let Some(name) = call.given("name") {
            thread.name = name;
        }
        if let Some(privacy) = call.given("privacy") {
            thread.privacy = privacy;
        }
    })
}

pub(crate) async fn publish(call: Call) -> Result<Reply, Refusal> {
    change(&call, "conversation published", |thread| {
        thread.published = true;
    })
}

pub(crate) async fn cancel(call: Call) -> Result<Reply, Refusal> {
    let now = call.site.now();
    let step = step(&call.site.world());
    change(&call, "answer canceled", |thread| {
        for turn in &mut thread.turns {
            turn.canceled |= turn.state(now, step) != "complete";
        }
    })
}

pub(crate) async fn delete(call: Call) -> Result<Reply, Refusal> {
    let mut world = call.site.world();
    call.open(&world, Mode::ReadWrite)?;
    let id = thread(&call, &mut world)?.id.clone();
    world.threads.retain(|thread| thread.id != id);
    world.effects.note("conversation deleted", &id);
    Ok(Reply::new(json!({})))
}

fn change(call: &Call, deed: &str, work: impl FnOnce(&mut Thread)) -> Result<Reply, Refusal> {
    let mut world = call.site.world();
    call.open(&world, Mode::ReadWrite)?;
    let thread = thread(call, &mut world)?;
    work(thread);
    let (shown, id) = (description(thread), thread.id.clone());
    world.effects.note(deed, &id);
    Ok(Reply::new(json!({ "thread": shown })))
}

fn thread<'w>(call: &Call, world: &'w mut World) -> Result<&'w mut Thread, Refusal> {
    let place = call.place();
    world
        .threads
        .iter_mut()
        .find(|thread| thread.id == call.named("thread") && thread.place == place)
        .ok_or(Refusal::NotFound("conversation"))
}

fn description(thread: &Thread) -> Value {
    json!({
        "thread_id": thread.id,
        "id": thread.id,
        "name": thread.name,
        "privacy": thread.privacy,
        "published": thread.published,
        "turns": thread.turns.len(),
    })
}

/// The line of the files that shares most words with a question, and the file.
fn line_about(place: &Workspace, question: &str) -> Option<(String, String)> {
    let words = |text: &str| -> HashSet<String> {
        text.to_lowercase()
            .split(|letter: char| !letter.is_alphanumeric())
            .filter(|word| word.len() > 3)
            .map(str::to_owned)
            .collect()
    };
    let asked = words(question);
    let files = place.nodes.iter().filter(|node| !node.trashed);
    files
        .filter_map(|node| Some((node, node.content()?.bytes.piece(0, 64 * 1024))))
        .flat_map(|(node, bytes)| {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.into_iter().map(move |line| (node.id.clone(), line))
        })
        .map(|(node, line)| (words(&line).intersection(&asked).count(), node, line))
        .filter(|(shared, ..)| *shared > 0)
        .max_by_key(|(shared, ..)| *shared)
        .map(|(_, node, line)| (node, line))
}

/// Tells those who wait for activity as an answer goes on.
fn announce(site: &SharedSite, world: &World, place: String, thread: String) {
    let step = Duration::try_from(step(world)).unwrap_or(Duration::from_millis(1));
    let site = site.clone();
    tokio::spawn(async move {
        for _ in 0..3 {
            site.changed(&mut site.world(), &place, format!("ai_state:{thread}"));
            tokio::time::sleep(step).await;
        }
    });
}
