//! Every open connection of a listener, so that one task can close idle and slow ones and shutdown
//! can reach them all. A request touches only atomics of its own connection; the lock is taken when
//! a connection opens or closes and by the sweeper.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use futures::task::AtomicWaker;
use http::HeaderValue;
use tokio::sync::Notify;

use super::ServerLimits;

/// How long the last answers of a drain may take to leave.
const CUT_TIME: Duration = Duration::from_millis(500);

/// Who is at the other end.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// The address.
    pub(crate) ip: IpAddr,
    /// The address as the value of `x-forwarded-for`.
    pub(crate) ip_text: HeaderValue,
    /// Whether the connection is TLS.
    pub(crate) secure: bool,
}

impl Peer {
    pub(super) fn new(ip: IpAddr, secure: bool) -> Self {
        // The text of an address is visible ASCII.
        let ip_text = HeaderValue::from_str(&ip.to_string())
            .unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        Peer { ip, ip_text, secure }
    }
}

/// What a connection is told to do. Later ones win over earlier ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(super) enum Command {
    Serve = 0,
    /// Finish what is in flight, take nothing new.
    Drain = 1,
    /// A request head came too slowly.
    TimeOut = 2,
    /// Answer what has no answer yet that the server stops, and close.
    Cut = 3,
    /// Close at once.
    Kill = 4,
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Who is at the other end.
    pub(crate) peer: Peer,
    http1: AtomicBool,
    command: AtomicU8,
    waker: AtomicWaker,
    cut: Notify,
    requests: AtomicU64,
    in_flight: AtomicU32,
    bytes_read: AtomicU64,
    /// `bytes_read` when the last request ended: more than that and no request in flight means that
    /// a part of a head is here.
    bytes_settled: AtomicU64,
    /// The sweeper's own: `requests` when it last looked, and since when nothing happened.
    seen_requests: AtomicU64,
    quiet_since_ms: AtomicU64,
    /// Whether a request has begun of which nothing was written yet.
    owes: AtomicBool,
    /// How many connections of the listener owe an answer.
    owing: Arc<AtomicU32>,
    /// Whether its task is to let others go on.
    back: AtomicBool,
}

impl Connection {
    pub(super) fn new(peer: Peer, owing: Arc<AtomicU32>) -> Self {
        Connection {
            peer,
            http1: AtomicBool::new(false),
            command: AtomicU8::new(Command::Serve as u8),
            waker: AtomicWaker::new(),
            cut: Notify::new(),
            requests: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            bytes_read: AtomicU64::new(0),
            bytes_settled: AtomicU64::new(0),
            seen_requests: AtomicU64::new(u64::MAX),
            quiet_since_ms: AtomicU64::new(0),
            owes: AtomicBool::new(false),
            owing,
            back: AtomicBool::new(false),
        }
    }

    /// Counts bytes that came in. Called by the connection's own task only.
    pub(super) fn read_bytes(&self, count: u64) {
        let sum = self.bytes_read.load(Ordering::Relaxed) + count;
        self.bytes_read.store(sum, Ordering::Relaxed);
    }

    pub(super) fn speaks_http1(&self) {
        self.http1.store(true, Ordering::Relaxed);
    }

    /// Marks the beginning of a request; the guard marks the end of its answer.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        if !self.owes.swap(true, Ordering::Relaxed) {
            self.owing.fetch_add(1, Ordering::Relaxed);
        }
        InFlight(Arc::clone(self))
    }

    /// How many requests have begun.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Whether other connections owe answers, too.
    pub(super) fn others_owe(&self) -> bool {
        self.owing.load(Ordering::Relaxed) > u32::from(self.owes.load(Ordering::Relaxed))
    }

    /// Its answer is being written.
    pub(super) fn settle(&self) {
        if self.owes.swap(false, Ordering::Relaxed) {
            self.owing.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Its task is to let others go on. Called by the task itself only.
    pub(super) fn step_back(&self) {
        self.back.store(true, Ordering::Relaxed);
    }

    /// Whether it is to, once.
    pub(super) fn takes_step_back(&self) -> bool {
        let back = self.back.load(Ordering::Relaxed);
        if back {
            self.back.store(false, Ordering::Relaxed);
        }
        back
    }

    /// Whether a request's answer has not ended.
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0
    }

    /// What to do; registers who is woken when that changes.
    pub(super) fn command(&self, waker: &Waker) -> Command {
        self.waker.register(waker);
        match self.command.load(Ordering::Acquire) {
            0 => Command::Serve,
            1 => Command::Drain,
            2 => Command::TimeOut,
            3 => Command::Cut,
            _ => Command::Kill,
        }
    }

    fn tell(&self, command: Command) {
        self.command.fetch_max(command as u8, Ordering::Release);
        self.waker.wake();
        if command >= Command::Cut {
            self.cut.notify_waiters();
        }
    }

    /// Waits until requests without an answer are not waited for any more.
    pub(super) async fn cut(&self) {
        let cut = self.cut.notified();
        if self.command.load(Ordering::Acquire) < Command::Cut as u8 {
            cut.await;
        }
    }

    /// What the sweeper makes of the connection at `now_ms`.
    fn verdict(&self, now_ms: u64, limits: &ServerLimits) -> Command {
        let requests = self.requests();
        if self.is_busy() || requests != self.seen_requests.load(Ordering::Relaxed) {
            self.seen_requests.store(requests, Ordering::Relaxed);
            self.quiet_since_ms.store(now_ms, Ordering::Relaxed);
            return Command::Serve;
        }
        let quiet = Duration::from_millis(
            now_ms.saturating_sub(self.quiet_since_ms.load(Ordering::Relaxed)),
        );
        let unsettled =
            self.bytes_read.load(Ordering::Relaxed) != self.bytes_settled.load(Ordering::Relaxed);
        let partial_head = self.http1.load(Ordering::Relaxed) && unsettled;
        if partial_head && quiet >= limits.header_timeout {
            Command::TimeOut
        } else if quiet >= limits.idle_timeout {
            Command::Drain
        } else {
            Command::Serve
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.settle();
    }
}

/// A request whose answer has not ended.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Connection>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let read = self.0.bytes_read.load(Ordering::Relaxed);
        self.0.bytes_settled.store(read, Ordering::Relaxed);
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The open connections of one listener.
pub(super) struct Registry {
    limits: ServerLimits,
    opened: Instant,
    draining: AtomicBool,
    connections: Mutex<HashMap<u64, Arc<Connection>>>,
    next: AtomicU64,
    emptied: Notify,
    owing: Arc<AtomicU32>,
}

/// Why there is no place for a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    /// All are taken.
    Full,
    /// The server stops.
    Draining,
}

/// A place among the connections, given back on drop.
pub(super) struct Admitted {
    registry: Arc<Registry>,
    key: u64,
    pub(super) connection: Arc<Connection>,
}

impl Registry {
    pub(super) fn new(limits: ServerLimits) -> Self {
        Registry {
            limits,
            opened: Instant::now(),
            draining: AtomicBool::new(false),
            connections: Mutex::new(HashMap::new()),
            next: AtomicU64::new(0),
            emptied: Notify::new(),
            owing: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection.
    pub(super) fn admit(self: &Arc<Self>, peer: Peer) -> Result<Admitted, Refused> {
        let mut connections = self.lock();
        if self.draining.load(Ordering::Relaxed) {
            return Err(Refused::Draining);
        }
        if connections.len() >= self.limits.connections_max {
            return Err(Refused::Full);
        }
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection::new(peer, Arc::clone(&self.owing)));
        connections.insert(key, Arc::clone(&connection));
        Ok(Admitted { registry: Arc::clone(self), key, connection })
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Tells idle and slow connections to close; returns how many were too slow. Called every
    /// [`sweep_interval`](Self::sweep_interval).
    pub(super) fn sweep(&self) -> u64 {
        let now_ms = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut slow = 0;
        for connection in self.lock().values() {
            match connection.verdict(now_ms, &self.limits) {
                Command::Serve => {}
                command => {
                    slow += u64::from(command == Command::TimeOut);
                    connection.tell(command);
                }
            }
        }
        slow
    }

    pub(super) fn sweep_interval(&self) -> Duration {
        let shortest = self.limits.header_timeout.min(self.limits.idle_timeout);
        (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(1))
    }

    /// Takes no new connections, lets the open ones finish until `deadline`, then answers what has no
    /// answer and closes them. Returns how many had to be closed.
    pub(super) async fn drain(&self, deadline: tokio::time::Instant) -> usize {
        self.draining.store(true, Ordering::Relaxed);
        self.tell_all(Command::Drain);
        let _ = tokio::time::timeout_at(deadline, self.empty()).await;
        let left = self.tell_all(Command::Cut);
        let _ = tokio::time::timeout(CUT_TIME, self.empty()).await;
        self.tell_all(Command::Kill);
        self.empty().await;
        left
    }

    fn tell_all(&self, command: Command) -> usize {
        let connections = self.lock();
        connections.values().for_each(|connection| connection.tell(command));
        connections.len()
    }

    async fn empty(&self) {
        loop {
            let notified = self.emptied.notified();
            if self.len() == 0 {
                return;
            }
            notified.await;
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut connections = self.registry.lock();
        connections.remove(&self.key);
        if connections.is_empty() {
            self.registry.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> Arc<Connection> {
        Arc::new(Connection::new(Peer::new(IpAddr::from([127, 0, 0, 1]), false), Arc::default()))
    }

    fn limits() -> ServerLimits {
        ServerLimits {
            header_timeout: Duration::from_millis(100),
            idle_timeout: Duration::from_millis(1000),
            ..ServerLimits::default()
        }
    }

    #[test]
    fn a_part_of_a_head_times_out_and_an_idle_connection_drains() {
        let (connection, limits) = (connection(), limits());
        connection.speaks_http1();
        assert_eq!(connection.verdict(0, &limits), Command::Serve);
        assert_eq!(connection.verdict(999, &limits), Command::Serve);
        assert_eq!(connection.verdict(1000, &limits), Command::Drain);
        connection.read_bytes(7);
        assert_eq!(connection.verdict(99, &limits), Command::Serve);
        assert_eq!(connection.verdict(100, &limits), Command::TimeOut);
    }

    #[test]
    fn a_request_in_flight_is_never_idle() {
        let (connection, limits) = (connection(), limits());
        connection.speaks_http1();
        connection.read_bytes(7);
        let request = connection.begin();
        assert_eq!(connection.verdict(5_000, &limits), Command::Serve);
        assert_eq!(connection.verdict(50_000, &limits), Command::Serve);
        drop(request);
        assert_eq!(connection.verdict(50_999, &limits), Command::Serve);
        assert_eq!(connection.verdict(51_000, &limits), Command::Drain);
    }

    #[test]
    fn admission_ends_at_the_limit() {
        let registry = Arc::new(Registry::new(ServerLimits { connections_max: 1, ..limits() }));
        let peer = Peer::new(IpAddr::from([127, 0, 0, 1]), false);
        let first = registry.admit(peer.clone());
        assert!(first.is_ok());
        assert_eq!(registry.admit(peer.clone()).err(), Some(Refused::Full));
        drop(first);
        assert!(registry.admit(peer.clone()).is_ok());
        registry.draining.store(true, Ordering::Relaxed);
        assert_eq!(registry.admit(peer).err(), Some(Refused::Draining));
    }
}
