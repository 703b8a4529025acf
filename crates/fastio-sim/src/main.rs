//! The simulator as a program, for demos and for tests of other programs.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;
use fastio_sim::{Knobs, Sim};
use tokio::signal::unix::{SignalKind, signal};

/// A simulated Fast.io. Prints one line of JSON when it is ready and runs until SIGTERM.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The port of the provider; 0 lets the system choose.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The port for controlling it; 0 lets the system choose.
    #[arg(long, default_value_t = 0)]
    control_port: u16,
    /// Plays a second origin on this port, for leak tests; 0 lets the system choose.
    #[arg(long, value_name = "PORT")]
    stranger_port: Option<u16>,
    /// A file that gets the same line of JSON.
    #[arg(long, value_name = "PATH")]
    ready_file: Option<PathBuf>,
    /// A knob to turn, such as `refresh_rotation=keep`; may be repeated.
    #[arg(long = "knob", value_name = "NAME=VALUE")]
    knobs: Vec<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    let mut builder = Sim::builder()
        .knobs(read_knobs(&arguments.knobs)?)
        .port(arguments.port)
        .control_port(arguments.control_port);
    if let Some(port) = arguments.stranger_port {
        builder = builder.stranger_port(port);
    }
    let sim = builder
        .start()
        .await
        .context("the simulator cannot listen")?;
    // Before anyone is told that it runs, so that it can be ended from then on.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    announce(&sim, arguments.ready_file.as_deref())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn read_knobs(settings: &[String]) -> anyhow::Result<Knobs> {
    settings
        .iter()
        .try_fold(Knobs::default(), |knobs, setting| {
            let (name, value) = setting
                .split_once('=')
                .with_context(|| format!("--knob {setting}: expected NAME=VALUE"))?;
            knobs
                .with_setting(name, value)
                .with_context(|| format!("--knob {setting}"))
        })
}

/// Tells where the simulator listens. The file appears whole or not at all.
fn announce(sim: &Sim, ready_file: Option<&Path>) -> anyhow::Result<()> {
    let line = serde_json::json!({
        "base_url": sim.base_url(),
        "api_base": sim.api_base(),
        "mcp_url": sim.mcp_url(),
        "stranger_url": sim.stranger_url(),
        "control_url": sim.control_url(),
        "pid": std::process::id(),
    })
    .to_string();
    if let Some(path) = ready_file {
        let unfinished = path.with_extension("unfinished");
        std::fs::write(&unfinished, format!("{line}\n"))
            .and_then(|()| std::fs::rename(&unfinished, path))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    writeln!(std::io::stdout(), "{line}").context("the ready line cannot be printed")?;
    Ok(())
}
