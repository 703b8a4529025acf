//! Changing files and folders.

use serde_json::json;

use crate::http::call::Call;
use crate::http::envelope::{Refusal, Reply};
use crate::http::storage::{description, node};
use crate::scope::Mode;
use crate::world::World;
use crate::world::catalogue::{Content, Node, Workspace};

pub(crate) async fn create_folder(call: Call) -> Result<Reply, Refusal> {
    create(&call, None)
}

pub(crate) async fn create_note(call: Call) -> Result<Reply, Refusal> {
    let text = call.given("content").unwrap_or_default();
    create(&call, Some(text))
}

/// Puts a copy of the file that an upload made into this folder.
pub(crate) async fn add_file(call: Call) -> Result<Reply, Refusal> {
    let upload = call.needed("upload_id")?;
    let now = call.site.now();
    let mut world = call.site.world();
    let folder = folder(&call, &world)?;
    let upload = world
        .uploads
        .find(&upload)
        .ok_or(Refusal::NotFound("upload"))?;
    let name = call.given("name").unwrap_or_else(|| upload.name.clone());
    let bytes = upload
        .new_file_id
        .as_deref()
        .and_then(|file| world.catalogue.place(&upload.place.id)?.content(file))
        .ok_or(Refusal::Conflict)?
        .bytes;
    let id = place(&call, &mut world)?.add(&name, folder.clone(), Some(bytes), now);
    noted(
        &call,
        &mut world,
        "node created",
        &format!("{folder}/{name}"),
        &id,
    );
    shown(&call, &world, &id)
}

pub(crate) async fn update_note(call: Call) -> Result<Reply, Refusal> {
    let text = call.needed("content")?;
    change(&call, "note written", move |node| {
        if !node.is_file() {
            return Err(Refusal::NotFound("file"));
        }
        let content = Content::of(&node.name, bytes::Bytes::from(text).into());
        node.versions.push(content);
        Ok(())
    })
}

pub(crate) async fn rename(call: Call) -> Result<Reply, Refusal> {
    let name = call.needed("name")?;
    change(&call, "node renamed", move |node| {
        node.name = name;
        Ok(())
    })
}

pub(crate) async fn move_node(call: Call) -> Result<Reply, Refusal> {
    let parent = call.needed("parent")?;
    {
        let world = call.site.world();
        let place = call.open(&world, Mode::ReadWrite)?;
        place.folder(&parent).ok_or(Refusal::NotFound("folder"))?;
        if place.lies_in(&parent, call.named("node")) {
            return Err(Refusal::Conflict);
        }
    }
    change(&call, "node moved", move |node| {
        node.parent = parent;
        Ok(())
    })
}

pub(crate) async fn copy(call: Call) -> Result<Reply, Refusal> {
    let parent = call.needed("parent")?;
    let now = call.site.now();
    let mut world = call.site.world();
    let id = call.named("node");
    {
        let place = call.open(&world, Mode::ReadWrite)?;
        node(place, id)?;
        place.folder(&parent).ok_or(Refusal::NotFound("folder"))?;
        if place.lies_in(&parent, id) {
            return Err(Refusal::Conflict);
        }
    }
    let copy = place(&call, &mut world)?
        .copy(id, parent.clone(), now)
        .ok_or(Refusal::NotFound("node"))?;
    noted(
        &call,
        &mut world,
        "node copied",
        &format!("{id} to {parent}"),
        &copy,
    );
    shown(&call, &world, &copy)
}

pub(crate) async fn delete(call: Call) -> Result<Reply, Refusal> {
    change(&call, "node deleted", |node| {
        node.trashed = true;
        Ok(())
    })
}

pub(crate) async fn restore(call: Call) -> Result<Reply, Refusal> {
    change(&call, "node restored", |node| {
        if !node.trashed {
            return Err(Refusal::Conflict);
        }
        node.trashed = false;
        Ok(())
    })
}

pub(crate) async fn purge(call: Call) -> Result<Reply, Refusal> {
    let id = call.named("node").to_owned();
    let mut world = call.site.world();
    let gone: Vec<String> = {
        let place = writable(&call, &world, &id)?;
        let inside = place
            .nodes
            .iter()
            .filter(|node| place.lies_in(&node.id, &id));
        inside.map(|node| node.id.clone()).collect()
    };
    place(&call, &mut world)?
        .nodes
        .retain(|node| !gone.contains(&node.id));
    noted(&call, &mut world, "node purged", &id, &id);
    Ok(Reply::new(json!({ "purged": gone.len() })))
}

pub(crate) async fn restore_version(call: Call) -> Result<Reply, Refusal> {
    let wanted = call.named("version").to_owned();
    change(&call, "version restored", move |node| {
        let version = wanted
            .parse()
            .ok()
            .and_then(|index: usize| node.versions.get(index).cloned())
            .ok_or(Refusal::NotFound("version"))?;
        node.versions.push(version);
        Ok(())
    })
}

pub(crate) async fn metadata(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    node(call.open(&world, Mode::Read)?, call.named("node"))?;
    let shelf = call.path.join("/");
    let values = world.shelves.all(&shelf).first();
    let values = values.map(|record| record.fields.clone());
    Ok(Reply::new(
        json!({ "metadata": values.unwrap_or_default() }),
    ))
}

pub(crate) async fn write_metadata(call: Call) -> Result<Reply, Refusal> {
    let mut world = call.site.world();
    writable(&call, &world, call.named("node"))?;
    let shelf = call.path.join("/");
    let before = world.shelves.all(&shelf).first();
    let before = before.map(|record| record.id.clone());
    if let Some(id) = before {
        world.shelves.remove(&shelf, &id);
    }
    let record = world.shelves.add(&shelf, call.record());
    world.effects.note("metadata written", &shelf);
    Ok(Reply::new(json!({ "metadata": record.fields })))
}

pub(crate) async fn delete_metadata(call: Call) -> Result<Reply, Refusal> {
    let mut world = call.site.world();
    writable(&call, &world, call.named("node"))?;
    let shelf = call.path.join("/");
    let id = world
        .shelves
        .all(&shelf)
        .first()
        .map(|record| record.id.clone());
    let id = id.ok_or(Refusal::NotFound("metadata"))?;
    world.shelves.remove(&shelf, &id);
    world.effects.note("metadata deleted", &shelf);
    Ok(Reply::new(json!({})))
}

fn create(call: &Call, text: Option<String>) -> Result<Reply, Refusal> {
    let name = call.needed("name")?;
    let now = call.site.now();
    let mut world = call.site.world();
    let folder = folder(call, &world)?;
    let bytes = text.map(|text| bytes::Bytes::from(text).into());
    let id = place(call, &mut world)?.add(&name, folder.clone(), bytes, now);
    noted(
        call,
        &mut world,
        "node created",
        &format!("{folder}/{name}"),
        &id,
    );
    shown(call, &world, &id)
}

/// Changes one node that the caller may write and nobody else has locked.
fn change(
    call: &Call,
    deed: &str,
    work: impl FnOnce(&mut Node) -> Result<(), Refusal>,
) -> Result<Reply, Refusal> {
    let id = call.named("node").to_owned();
    let now = call.site.now();
    let mut world = call.site.world();
    writable(call, &world, &id)?;
    let node = place(call, &mut world)?
        .node_mut(&id)
        .ok_or(Refusal::NotFound("node"))?;
    work(node)?;
    node.modified = now;
    let named = format!("{id} {}", node.name);
    noted(call, &mut world, deed, &named, &id);
    shown(call, &world, &id)
}

/// The place of a node that the caller may write.
fn writable<'w>(call: &Call, world: &'w World, id: &str) -> Result<&'w Workspace, Refusal> {
    let place = call.open(world, Mode::ReadWrite)?;
    node(place, id)?;
    let now = call.site.now();
    if world
        .locks
        .bars(&place.id, id, &call.caller.session_id, now)
    {
        return Err(Refusal::Locked);
    }
    Ok(place)
}

/// The folder that the path names, which the caller may write.
fn folder(call: &Call, world: &World) -> Result<String, Refusal> {
    call.open(world, Mode::ReadWrite)?
        .folder(call.named("node"))
        .map(str::to_owned)
        .ok_or(Refusal::NotFound("folder"))
}

fn place<'w>(call: &Call, world: &'w mut World) -> Result<&'w mut Workspace, Refusal> {
    world
        .catalogue
        .place_mut(&call.place().id)
        .ok_or(Refusal::NotFound("workspace"))
}

fn noted(call: &Call, world: &mut World, deed: &str, named: &str, id: &str) {
    let place = call.place().id;
    world.effects.note(deed, &format!("{place}/{named}"));
    let event = deed.replace(' ', "_");
    world.activity.log(&place, &event, id, call.site.now());
    call.site.changed(world, &place, format!("storage:{id}"));
}

fn shown(call: &Call, world: &World, id: &str) -> Result<Reply, Refusal> {
    let place = call.open(world, Mode::Read)?;
    let node = node(place, id)?;
    let shown = description(&world.locks, place, node, call.site.now());
    Ok(Reply::new(json!({ "node": shown, "id": id })))
}
