//! Holding the broker in this process, or knowing why not.
//!
//! One task does it from the program's start to its end. Everyone else reads what it last published, and asks it to
//! look again, to take over, or to quit. The folder has one holder at a time: where another Doorward has it, this one
//! waits for what the person says, and touches nothing.

use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use doorward_broker::control::{Client, Request};
use doorward_broker::{
    Clock as _, Handle, Holder, HolderKind, Keys, Shell, SteadyClock, SystemClock,
};
use doorward_core::problem::Refusal;
use doorward_gateway::{BindError, Gateway};
use doorward_host::{Folders, Open};
use tokio::sync::{mpsc, oneshot, watch};

use crate::problem::Problem;

/// A Doorward that was asked to stop finishes what is under way at a provider first.
const OTHER_ENDS_WITHIN: Duration = Duration::from_secs(40);
const STEP: Duration = Duration::from_millis(100);

/// Where and how the broker is held.
pub(crate) struct Post {
    /// The person's folders.
    pub(crate) folders: Folders,
    /// The gateway's port.
    pub(crate) port: u16,
    /// Where the key of a new store comes from.
    pub(crate) keys: Keys,
}

/// Whether this process holds the broker.
#[derive(Clone)]
pub(crate) enum Holding {
    /// It tries to.
    Starting,
    /// It does.
    Here(Handle),
    /// Another one does.
    Elsewhere(Problem),
    /// Nobody does, and this is why.
    Failed(Problem),
    /// It did: the program ends.
    Over,
}

enum Order {
    LookAgain(oneshot::Sender<()>),
    TakeOver(oneshot::Sender<Result<(), Problem>>),
    Quit,
}

/// What everyone else has of the task that holds the broker.
#[derive(Clone)]
pub(crate) struct Keeper {
    holding: watch::Receiver<Holding>,
    orders: mpsc::Sender<Order>,
    post: Arc<Post>,
}

impl Keeper {
    /// The keeper, and the task itself, which ends when the program is to end.
    pub(crate) fn new(
        post: Post,
        shell: Arc<dyn Shell>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let post = Arc::new(post);
        let (publish, holding) = watch::channel(Holding::Starting);
        let (orders, heard) = mpsc::channel(8);
        let keeper = Self {
            holding,
            orders,
            post: Arc::clone(&post),
        };
        let keeping = Keeping {
            post,
            shell,
            publish,
            orders: heard,
        };
        (keeper, keeping.run())
    }

    /// Where further provider manifests lie.
    pub(crate) fn providers(&self) -> std::path::PathBuf {
        self.post.folders.providers()
    }

    /// What is held, and each change of it.
    pub(crate) fn holding(&self) -> watch::Receiver<Holding> {
        self.holding.clone()
    }

    /// The broker, or why there is none here. Waits while it starts.
    pub(crate) async fn handle(&self) -> Result<Handle, Problem> {
        let mut holding = self.holding.clone();
        let settled = holding
            .wait_for(|holding| !matches!(holding, Holding::Starting))
            .await;
        match settled.as_deref() {
            Ok(Holding::Here(handle)) => Ok(handle.clone()),
            Ok(Holding::Elsewhere(problem) | Holding::Failed(problem)) => Err(problem.clone()),
            Ok(Holding::Over | Holding::Starting) | Err(_) => Err(ending()),
        }
    }

    /// The same. Where it was known already that there is none here, the task looks once more first.
    pub(crate) async fn handle_now(&self) -> Result<Handle, Problem> {
        let is_missing = matches!(
            &*self.holding.borrow(),
            Holding::Elsewhere(_) | Holding::Failed(_)
        );
        if is_missing {
            let (reply, answer) = oneshot::channel();
            if self.orders.send(Order::LookAgain(reply)).await.is_ok() {
                // Without an answer the task is over, which the next line says.
                let _looked: Result<(), _> = answer.await;
            }
        }
        self.handle().await
    }

    /// Ends the Doorward that holds the folder, and holds it here.
    pub(crate) async fn take_over(&self) -> Result<(), Problem> {
        let (reply, answer) = oneshot::channel();
        self.orders
            .send(Order::TakeOver(reply))
            .await
            .map_err(|_| ending())?;
        answer.await.unwrap_or_else(|_| Err(ending()))
    }

    /// Ends the program.
    pub(crate) async fn quit(&self) {
        // A task that cannot hear it has ended already.
        let _heard: Result<(), _> = self.orders.send(Order::Quit).await;
    }
}

fn ending() -> Problem {
    Problem::new(
        Problem::FAILED,
        "Doorward is ending.",
        "Start it again to go on.",
    )
}

/// A broker that is held and open to its callers.
struct House {
    handle: Handle,
    running: doorward_broker::Running,
    open: Open,
}

/// How the holding of a broker went on.
enum Next {
    /// Try to hold it.
    Start,
    /// End the program.
    End,
}

struct Keeping {
    post: Arc<Post>,
    shell: Arc<dyn Shell>,
    publish: watch::Sender<Holding>,
    orders: mpsc::Receiver<Order>,
}

impl Keeping {
    async fn run(mut self) {
        let mut looked: Option<oneshot::Sender<()>> = None;
        loop {
            self.publish.send_replace(Holding::Starting);
            let started = start(&self.post, Arc::clone(&self.shell)).await;
            let next = match started {
                Ok(house) => {
                    self.publish
                        .send_replace(Holding::Here(house.handle.clone()));
                    answered(looked.take());
                    self.keep(house).await
                }
                Err(missing) => {
                    self.publish.send_replace(missing);
                    answered(looked.take());
                    self.wait(&mut looked).await
                }
            };
            if let Next::End = next {
                self.publish.send_replace(Holding::Over);
                return;
            }
        }
    }

    /// Until it ends, fails, or is told to end.
    async fn keep(&mut self, house: House) -> Next {
        let House {
            handle,
            running,
            mut open,
        } = house;
        let mut ended = pin!(running.ended());
        let mut signal = pin!(signal());
        let next = loop {
            tokio::select! {
                // `doorward` asked it to stop over the control socket.
                () = &mut ended => return Next::End,
                failed = open.failed() => {
                    tracing::error!(error = ?failed.err(), "the gateway failed: starting again");
                    break Next::Start;
                }
                name = &mut signal => {
                    tracing::info!(signal = name, "stopping");
                    break Next::End;
                }
                order = self.orders.recv() => match order {
                    Some(Order::LookAgain(reply)) => answered(Some(reply)),
                    Some(Order::TakeOver(reply)) => answer(reply, Ok(())),
                    Some(Order::Quit) | None => break Next::End,
                },
            }
        };
        self.publish.send_replace(match next {
            Next::Start => Holding::Starting,
            Next::End => Holding::Over,
        });
        if let Err(error) = open.close().await {
            tracing::warn!(%error, "the gateway ended badly");
        }
        handle.stop().await;
        ended.await;
        next
    }

    /// Until there is a reason to try again.
    async fn wait(&mut self, looked: &mut Option<oneshot::Sender<()>>) -> Next {
        let mut signal = pin!(signal());
        loop {
            let order = tokio::select! {
                order = self.orders.recv() => order,
                _ = &mut signal => None,
            };
            match order {
                Some(Order::LookAgain(reply)) => {
                    *looked = Some(reply);
                    return Next::Start;
                }
                Some(Order::TakeOver(reply)) => match end_other(&self.post.folders.data).await {
                    Ok(()) => {
                        // Before the answer, so that whoever asks next waits for what becomes of it.
                        self.publish.send_replace(Holding::Starting);
                        answer(reply, Ok(()));
                        return Next::Start;
                    }
                    failed @ Err(_) => answer(reply, failed),
                },
                Some(Order::Quit) | None => return Next::End,
            }
        }
    }
}

fn answered(reply: Option<oneshot::Sender<()>>) {
    if let Some(reply) = reply {
        answer(reply, ());
    }
}

/// Whoever asked may be gone: a window was closed.
fn answer<T>(reply: oneshot::Sender<T>, said: T) {
    let _heard: Result<(), T> = reply.send(said);
}

/// The name of the next signal that ends a program; a desktop session ends with one.
async fn signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = || -> io::Result<_> {
        Ok((
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ))
    };
    match listen() {
        Ok((mut interrupt, mut terminate, mut hangup)) => tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
            _ = hangup.recv() => "SIGHUP",
        },
        Err(error) => {
            tracing::warn!(%error, "signals cannot be listened for");
            std::future::pending().await
        }
    }
}

/// Holds the folder, takes the port, and lets callers in.
async fn start(post: &Post, shell: Arc<dyn Shell>) -> Result<House, Holding> {
    let config = doorward_host::config(&post.folders, HolderKind::Desktop, post.keys);
    let started = doorward_broker::start(config, shell, Arc::new(SteadyClock::start())).await;
    let (handle, running) = started.map_err(|error| match error.holder() {
        Some(holder) => Holding::Elsewhere(held_by(holder)),
        None => Holding::Failed(error.refusal().into()),
    })?;
    let opened = async {
        let gateway = Gateway::bind(post.port).map_err(|error| not_bound(&error))?;
        let url = gateway.url();
        let open = doorward_host::open(&post.folders, &handle, gateway)
            .await
            .map_err(|error| {
                let hint = "`doorward doctor` looks closer.";
                Problem::new(Problem::FAILED, format!("{error}."), hint)
            })?;
        handle.listening_at(url).await.map_err(Problem::from)?;
        Ok(open)
    };
    match opened.await {
        Ok(open) => Ok(House {
            handle,
            running,
            open,
        }),
        Err(problem) => {
            handle.stop().await;
            running.ended().await;
            Err(Holding::Failed(problem))
        }
    }
}

fn held_by(holder: &Holder) -> Problem {
    let Holder { pid, kind, since } = holder;
    let now = SystemClock.now();
    let what = match kind {
        HolderKind::Serve => "`doorward serve`",
        HolderKind::Desktop => "Another Doorward app",
        HolderKind::Command => "A `doorward` command",
    };
    let ago = crate::telling::ago(now.since(*since));
    Problem::new(
        Problem::FOLDER_HELD,
        format!("{what} (process {pid}) took hold of your connections and agents {ago}."),
        "Take over, or use that one: `doorward status` shows it.",
    )
}

fn not_bound(error: &BindError) -> Problem {
    let text = error.to_string();
    let (what, _) = text.split_once(". ").unwrap_or((&text, ""));
    Problem::new(
        Problem::PORT,
        format!("Agents could not reach Doorward: {what}."),
        "Stop that program, or settle another port with `port = N` in config.toml; then try again.",
    )
}

/// Asks the Doorward that holds the folder to end, and waits until it has.
async fn end_other(data: &Path) -> Result<(), Problem> {
    let Some(Holder { pid, .. }) = doorward_broker::holder(data) else {
        return Ok(());
    };
    let failed = |what: String| {
        Problem::new(
            "take_over_failed",
            what,
            format!("End it yourself, then look again: `kill {pid}`."),
        )
    };
    let mut client = Client::connect(data).await.map_err(|error| {
        failed(format!(
            "The other Doorward cannot be asked to end: {error}."
        ))
    })?;
    let asked: Result<Result<(), Refusal>, io::Error> = client.ask(&Request::Stop).await;
    match asked {
        // It may be gone before its answer is.
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(refusal)) => return Err(refusal.into()),
    }
    let mut waited = Duration::ZERO;
    while doorward_broker::holder(data).is_some() {
        if waited >= OTHER_ENDS_WITHIN {
            return Err(failed(
                "The other Doorward was asked to end and has not.".to_owned(),
            ));
        }
        tokio::time::sleep(STEP).await;
        waited += STEP;
    }
    Ok(())
}
