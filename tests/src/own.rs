//! A provider whose sign-in is the simulator's and whose API is a test's own.

use fastio_sim::Consent;
use serde_json::Value;

use crate::world::World;

impl World {
    /// Connects it as `own`.
    pub async fn connect_own(&self, api: &str) {
        let folder = self.folder().join("config/doorward/providers");
        std::fs::create_dir_all(&folder).expect("it can be made");
        let manifest = manifest(self.sim.base_url().trim_end_matches('/'), api);
        std::fs::write(folder.join("own.toml"), manifest).expect("it can be written");
        let connecting = self.start(&["--json", "connect", "own", "--no-browser"]);
        let line = connecting.line().await;
        let started: Value = serde_json::from_str(&line).unwrap_or_default();
        let Some(url) = started["url"].as_str() else {
            panic!("connect says {line:?}{}", connecting.said());
        };
        self.consent(url, &Consent::everything()).await;
        connecting.ended().await.done();
    }
}

fn manifest(sim: &str, api: &str) -> String {
    format!(
        r#"
        name = "own"
        title = "Own"
        base = "{sim}"
        authorization_endpoint = "/current/oauth/authorize/"
        token_endpoint = "/current/oauth/token/"
        revocation_endpoint = "/current/oauth/revoke/"
        registration_endpoint = "/current/oauth/register/"
        api = "{api}"
        scope_parameters = ["scope_type", "scope"]
        default_scope = "user"
        "#
    )
}
