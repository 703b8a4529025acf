//! A machine whose names can be taken away: Doorward runs with a list of hosts of its own.

use std::path::PathBuf;

use doorward_e2e::{Consent, Served, World};

use super::scene::Scene;

/// Public names are not resolved to this machine, names without a dot are.
const HOST: &str = "provider";

/// The list of hosts and the name servers as Doorward sees them.
pub(crate) struct Names {
    hosts: PathBuf,
    servers: PathBuf,
}

impl Names {
    pub(crate) fn of(world: &World) -> Self {
        let at = |name: &str| world.folder().join("aside").join(name);
        let names = Self {
            hosts: at("hosts"),
            servers: at("resolv.conf"),
        };
        // Where nothing listens: the answer that a name is not to be had comes at once.
        let nobody = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";
        std::fs::write(&names.servers, nobody).expect("it can be written");
        names
    }

    /// The provider's name leads to it.
    pub(crate) fn known(&self) {
        let hosts = format!("127.0.0.1 localhost {HOST}\n");
        std::fs::write(&self.hosts, hosts).expect("it can be written");
    }

    /// It leads nowhere.
    pub(crate) fn forgotten(&self) {
        std::fs::write(&self.hosts, "127.0.0.1 localhost\n").expect("it can be written");
    }

    /// Serves with these names.
    pub(crate) async fn serve(&self, world: &World) -> Served {
        let script = format!(
            "mount --bind {} /etc/hosts && mount --bind {} /etc/resolv.conf && exec \"$@\"",
            self.hosts.display(),
            self.servers.display()
        );
        let wrapper = ["unshare", "--mount", "sh", "-c", &script, "sh"];
        world
            .serve_within(&wrapper, &[("DOORWARD_LOG", "info")])
            .await
    }
}

/// Connects to the provider by its name. All else that it says of itself it says by its address.
pub(crate) async fn connect(world: World, served: Served) -> Scene {
    let base = world.sim.base_url();
    let (_, port) = base.rsplit_once(':').expect("it names its port");
    let folder = world.folder().join("config/doorward/providers");
    std::fs::create_dir_all(&folder).expect("it can be made");
    let manifest = format!(
        "name = \"named\"\ntitle = \"Named\"\nbase = \"http://{HOST}:{port}/named\"\n\
         authorization_endpoint = \"{base}/current/oauth/authorize/\"\n\
         token_endpoint = \"/current/oauth/token/\"\n\
         client_id = \"fastio-cli\"\n\
         check = \"/current/user/auth/check/\"\n\
         scope_parameters = [\"scope_type\"]\ndefault_scope = \"user\"\n"
    );
    std::fs::write(folder.join("named.toml"), manifest).expect("it can be written");
    world.set_pin().await;
    let process = world.start(&[
        "--json",
        "connect",
        "named",
        "--name",
        "fastio",
        "--no-browser",
    ]);
    let line = process.line().await;
    let started: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
    let url = started["url"]
        .as_str()
        .unwrap_or_else(|| panic!("connect says {line:?}{}", process.said()));
    world.consent(url, &Consent::everything()).await;
    process.ended().await.done();
    let agent = world.pair("Reporter", "fastio:token").await;
    Scene {
        served,
        world,
        agent,
    }
}
