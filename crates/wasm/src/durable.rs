//! Durable invocations: the journal is kept while the guest runs, and repeated in a fresh instance.
//!
//! ```text
//!   begin ─► run ─► effect ─► run ─► sleep 3 days ──► suspended: no instance, nothing in memory
//!              └ piece ┘└ piece ┘        └ piece              │
//!                                                             ▼ wake, or a restart after a crash
//!   the same, answered from the pieces ──────────────► go live: the next operation reaches the world
//! ```
//!
//! What precedes an effect is on disk before the effect begins, and its result before the guest sees
//! it. So a guest that is repeated arrives at the same effect with the same number, and an effect
//! whose result was not kept happens again under the same key.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use nexus_exec::journal::{Divergence, Partial, Player, Stop};
use nexus_exec::{
    Call, CallContext, Ended, Error as ExecError, Host, Piece, Suspension, Unit, Wake,
};
use nexus_model::record::{Failure, Status};
use nexus_model::{Code, limits};
use tokio::sync::{Mutex, watch};
use wasmtime_wasi_http::WasiBody;

use crate::finish;
use crate::host::Exchanges;
use crate::invoke::{Executed, GuestInput, Stopped};
use crate::ledger::{JournalTooLarge, Ledger, Resuming, Shared, lock};
use crate::replay::{check_identity, secret, unit_of};

/// What a durable invocation has besides.
#[derive(Default)]
pub(crate) struct Durable {
    /// Nothing in a replay.
    pub(crate) keeper: Option<Arc<Keeper>>,
    pub(crate) wake: Option<Wake>,
    pub(crate) exchanges: Exchanges,
}

/// The guest waits for longer than it is kept.
#[derive(Clone, Debug, thiserror::Error)]
#[error("suspended")]
pub(crate) struct Suspend(pub(crate) Suspension);

/// Why a journal was not kept.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum NotKept {
    #[error(transparent)]
    TooLarge(#[from] JournalTooLarge),
    #[error("the journal could not be kept: {0}")]
    Unavailable(String),
}

/// Keeps the journal of a running invocation.
pub(crate) struct Keeper {
    host: Arc<dyn Host>,
    context: Arc<CallContext>,
    unit: Arc<Unit>,
    ledger: Shared,
    live: Option<watch::Receiver<bool>>,
    /// The piece that is on its way: it is sent again when its sender was dropped meanwhile.
    on_its_way: Mutex<Option<Piece>>,
    failed: OnceLock<NotKept>,
}

impl Keeper {
    pub(crate) fn new(
        host: Arc<dyn Host>,
        context: Arc<CallContext>,
        unit: Arc<Unit>,
        ledger: Shared,
    ) -> Self {
        let live = lock(&ledger).live();
        let on_its_way = Mutex::default();
        Keeper { host, context, unit, ledger, live, on_its_way, failed: OnceLock::new() }
    }

    /// Waits until operations reach the world.
    pub(crate) async fn live(&self) {
        let Some(mut live) = self.live.clone() else { return };
        // The sender lives in the ledger, which this holds.
        let _ = live.wait_for(|live| *live).await;
    }

    /// Keeps everything that was recorded until now. After a failure it fails for ever: the guest
    /// must not go on.
    pub(crate) async fn keep(&self) -> Result<(), NotKept> {
        let mut on_its_way = self.on_its_way.lock().await;
        loop {
            if let Some(failed) = self.failed.get() {
                return Err(failed.clone());
            }
            if let Some(piece) = on_its_way.clone() {
                if let Err(error) = self.host.persist(&self.context, piece).await {
                    let failed = NotKept::Unavailable(error.to_string());
                    return Err(self.failed.get_or_init(|| failed).clone());
                }
                *on_its_way = None;
            }
            let taken = lock(&self.ledger).take_piece(&finish::secrets(&self.unit));
            match taken {
                Ok(None) => return Ok(()),
                Ok(piece) => *on_its_way = piece,
                Err(error) => return Err(self.failed.get_or_init(|| error.into()).clone()),
            }
        }
    }
}

/// What was persisted of an invocation, ready to be repeated.
pub(crate) struct Resumed {
    pub(crate) resuming: Resuming,
    pub(crate) unit: Arc<Unit>,
    pub(crate) context: Arc<CallContext>,
}

/// Reads the pieces of a journal and makes sure that they can be repeated here.
pub(crate) fn resume(call: &Call, unit: &Unit, pieces: &Bytes) -> Result<Resumed, ExecError> {
    let Partial { mut journal, running } = Partial::decode(pieces).map_err(ExecError::Journal)?;
    check_identity(&journal, unit)?;
    let unit = Arc::new(unit_of(&journal, unit)?);
    journal.unmask(|env| secret(&unit, env));
    let header = journal.header.clone();
    let context = CallContext {
        attempt: header.attempt,
        traceparent: header.traceparent.as_str().into(),
        ..(*call.context).clone()
    };
    let resuming = Resuming { player: Player::new(journal), header, ran: running };
    Ok(Resumed { resuming, unit, context: Arc::new(context) })
}

/// Reads the whole body of a request, so that the invocation can be repeated with it.
pub(crate) async fn whole_input(input: &mut GuestInput) -> Result<Bytes, String> {
    let GuestInput::Http(request) = input else { return Ok(Bytes::new()) };
    let empty: WasiBody =
        http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync();
    let body = std::mem::replace(request.body_mut(), empty);
    let limit = limits::DURABLE_HTTP_BYTES_MAX;
    let whole = Limited::new(body, limit).collect().await;
    let broke =
        |error| format!("the body of the request broke off, or exceeds {limit} bytes: {error}");
    Ok(whole.map_err(broke)?.to_bytes())
}

/// An end that is none of the guest's: it sleeps, it cannot be kept, or its journal does not fit.
pub(crate) fn not_its_end(ledger: &mut Ledger, executed: &Executed) -> Option<Ended> {
    let error = match &executed.result {
        Err(Stopped::Failed(error)) => Some(error),
        _ => None,
    };
    if let Some(Suspend(suspension)) = error.and_then(|error| error.downcast_ref()) {
        return Some(Ended {
            status: Status::Suspended,
            suspension: Some(suspension.clone()),
            ..Ended::default()
        });
    }
    if let Some(failed) = error.and_then(|error| error.downcast_ref::<NotKept>()) {
        let (status, code) = match failed {
            NotKept::TooLarge(_) => (Status::Refused, Code::JournalTooLarge),
            NotKept::Unavailable(_) => (Status::Failed, Code::RecordingPressure),
        };
        return Some(ended(status, code, failed.to_string()));
    }
    let stop = error.and_then(|error| error.downcast_ref::<Stop>().cloned());
    match ledger.stop.clone().or(stop) {
        Some(Stop::Diverged(divergence)) => return Some(diverged(&divergence)),
        Some(Stop::Struck { .. }) | None => {}
    }
    if matches!(executed.result, Err(Stopped::Interrupted(_))) {
        // Struck while it was repeated: nothing of what was persisted is lost.
        ledger.go_live();
    }
    ledger.left_undone().map(|divergence| diverged(&divergence))
}

fn diverged(divergence: &Divergence) -> Ended {
    let message = format!("it cannot go on from its journal: {divergence}");
    ended(Status::Refused, Code::Diverged, message)
}

/// An invocation that cannot be resumed at all.
pub(crate) fn not_resumed(error: &ExecError) -> Ended {
    ended(Status::Refused, error.code(), format!("it cannot be resumed: {error}"))
}

fn ended(status: Status, code: Code, message: String) -> Ended {
    Ended {
        status,
        failure: Some(Failure { code: code.as_str().to_owned(), message, ..Failure::default() }),
        not_replayable: "it was stopped in the middle of its journal".to_owned(),
        ..Ended::default()
    }
}
