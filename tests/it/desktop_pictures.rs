//! Pictures of the application for people who read about it, taken from the application itself.

use doorward_e2e::desktop::{App, Desktop, Window};
use doorward_e2e::{Consent, Process, World, demo, eventually, repository};
use serde_json::json;

use crate::desktop::{choose_passphrase, connect};

/// How large a window is in a picture, in pixels of the page.
const MAIN_SIZE: (u32, u32) = (1000, 720);
const APPROVAL_SIZE: (u32, u32) = (560, 720);

/// A desktop in one of the two looks.
struct Studio {
    desktop: Desktop,
    look: &'static str,
    theme: &'static str,
}

impl Studio {
    fn start(&self) -> App {
        // Two dots for each pixel, for screens that have as many.
        let dense = ("GDK_SCALE", "2");
        self.desktop
            .start_with(&[], &[("GTK_THEME", self.theme), dense])
    }

    async fn take(&self, name: &str, window: &Window) {
        window.evaluate("scrollTo(0, 0)", &json!([])).await;
        let picture = window.picture().await;
        let folder = repository().join("docs/screenshots");
        std::fs::create_dir_all(&folder).expect("it can be made");
        let file = folder.join(format!("{name}-{}.png", self.look));
        std::fs::write(file, picture).expect("it can be written");
    }

    /// An agent of the person's own asks, and waits for an answer.
    async fn asks(&self, main: &Window, name: &str, scope: &str) -> Process {
        let workspace = if scope.starts_with("clinic") {
            demo::LEAFLETS
        } else {
            demo::WEBSITE
        };
        let agent = self.desktop.world.start_agent(name, scope, workspace);
        main.press("Approvals").await;
        main.says(name).await;
        agent
    }

    /// The same, and it is let in and at work.
    async fn let_in(&self, main: &Window, name: &str, scope: &str, lifetime: &str) -> Process {
        let agent = self.asks(main, name, scope).await;
        main.choose(lifetime).await;
        main.press("Approve").await;
        main.says(&format!("Approved. {name}")).await;
        eventually("it works", async || agent.said().contains("listed")).await;
        agent
    }
}

async fn take_all(look: &'static str, theme: &'static str) {
    let studio = Studio {
        desktop: Desktop::of(World::builder()).await,
        look,
        theme,
    };
    let world = &studio.desktop.world;
    let app = studio.start();
    let main = app.main().await;
    main.resize(MAIN_SIZE.0, MAIN_SIZE.1).await;
    choose_passphrase(&main).await;
    studio.take("first-run", &main).await;

    connect(&studio.desktop, &main, &["Website"]).await;
    let clinic = ["--tenant", "clinic", "--name", "clinic", "--read-only"];
    world
        .connect(&clinic, &Consent::only([demo::LEAFLETS]).read_only())
        .await;
    let (always, hour) = ("Until you revoke it", "For an hour");
    let _agents = [
        studio
            .let_in(&main, "Invoice sorter", "fastio:token", always)
            .await,
        studio
            .let_in(&main, "Release notes", "fastio:token", hour)
            .await,
        studio
            .let_in(&main, "Leaflet checker", "clinic:token", always)
            .await,
    ];
    main.press("Agents").await;
    main.says("Leaflet checker").await;
    studio.take("agents", &main).await;
    main.press("Connections").await;
    main.says(demo::EMAIL).await;
    studio.take("connections", &main).await;

    let _asking = studio
        .asks(&main, "Photo archive", "fastio:proxy fastio:token")
        .await;
    main.can_press("Approve").await;
    studio.take("approvals", &main).await;
    studio
        .desktop
        .tray()
        .item()
        .await
        .choose("1 approval waits")
        .await;
    let approval = app.approval().await;
    approval.resize(APPROVAL_SIZE.0, APPROVAL_SIZE.1).await;
    approval.says("“Photo archive”").await;
    approval.can_press("Approve").await;
    studio.take("approval-window", &approval).await;
    approval.press("Deny").await;
    app.terminate();
    app.ended().await.done();

    let app = studio.start();
    let main = app.main().await;
    main.resize(MAIN_SIZE.0, MAIN_SIZE.1).await;
    main.says("Doorward is locked").await;
    studio.take("locked", &main).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "writes docs/screenshots: make screenshots"]
async fn pictures_of_every_page() {
    take_all("light", "Adwaita").await;
    take_all("dark", "Adwaita:dark").await;
}
