//! The threads that answer.
//!
//! A call at the proxy door is two connections that wake each other. A scheduler that shares its work between threads
//! wakes another thread for each of those moments, to take over work that is done before it is awake. So each thread
//! here keeps what it was given: a connection of an agent, from its first request to its last, and the connections to
//! providers that its calls go over. That takes an eighth off the processor time of a call (docs/decisions/0015).

use std::io;
use std::sync::Arc;
use std::thread;

use doorward_broker::Handle;
use tokio::runtime;
use tokio::sync::oneshot;

/// More would answer more calls at once than the agents of one machine make.
const MOST: usize = 4;

/// All of them. Each ends when this is dropped, and what it was answering with it.
pub(crate) struct Workers<S>(Vec<Worker<S>>);

struct Worker<S> {
    runtime: runtime::Handle,
    site: Arc<S>,
    /// Held by each of its connections, and so their count.
    load: Arc<()>,
    _goes_on: oneshot::Sender<()>,
}

impl<S> Workers<S> {
    /// One for each core. Each has a site of its own, with its own connections to providers.
    pub(crate) fn start(handle: &Handle, site: impl Fn(Handle) -> S) -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let start = |number| {
            let (goes_on, ended) = oneshot::channel();
            Ok(Worker {
                runtime: start_thread(number, ended)?,
                site: Arc::new(site(handle.with_connections_of_its_own())),
                load: Arc::default(),
                _goes_on: goes_on,
            })
        };
        let workers: io::Result<_> = (0..cores.min(MOST)).map(start).collect();
        workers.map(Self)
    }

    /// Gives a connection to the one that has the fewest.
    pub(crate) fn give<C>(&self, connection: impl FnOnce(Arc<S>) -> C)
    where
        C: Future<Output = ()> + Send + 'static,
    {
        let load = |worker: &&Worker<S>| Arc::strong_count(&worker.load);
        if let Some(worker) = self.0.iter().min_by_key(load) {
            let held = Arc::clone(&worker.load);
            let connection = connection(Arc::clone(&worker.site));
            worker.runtime.spawn(async move {
                connection.await;
                drop(held);
            });
        }
    }
}

fn start_thread(number: usize, ended: oneshot::Receiver<()>) -> io::Result<runtime::Handle> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name(format!("door-{number}"))
        .spawn(move || {
            // Nothing is ever sent: it ends when the other half is dropped.
            let _ = runtime.block_on(ended);
        })?;
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn whoever_has_the_fewest_gets_the_next_and_keeps_it() {
        let (goes_on, ends): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel()).unzip();
        let start = |(number, ended)| Worker {
            runtime: start_thread(number, ended).unwrap(),
            site: Arc::new(Mutex::new(HashSet::new())),
            load: Arc::default(),
            _goes_on: oneshot::channel().0,
        };
        let workers = Workers(ends.into_iter().enumerate().map(start).collect());
        let (said, heard) = std::sync::mpsc::channel();
        for _ in 0..6 {
            let said = said.clone();
            workers.give(|site: Arc<Mutex<HashSet<_>>>| async move {
                site.lock().unwrap().insert(thread::current().id());
                let at_first = thread::current().id();
                tokio::task::yield_now().await;
                said.send(at_first == thread::current().id()).unwrap();
                std::future::pending::<()>().await;
            });
        }
        assert!((0..6).all(|_| heard.recv().unwrap()));
        let mut threads = HashSet::new();
        for worker in &workers.0 {
            assert_eq!(Arc::strong_count(&worker.load), 3);
            threads.extend(worker.site.lock().unwrap().iter().copied());
        }
        assert_eq!(threads.len(), 3);
        drop(goes_on);
        // With the threads their connections end.
        while workers
            .0
            .iter()
            .any(|worker| Arc::strong_count(&worker.load) > 1)
        {
            thread::yield_now();
        }
    }
}
