//! Bodies that stream both ways, and clients that go away.

use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{BodyExt as _, StreamBody};
use nexus_exec::Body;
use nexus_model::record::Status;
use nexus_model::view::Verdict;
use tokio::sync::oneshot;

use super::world::{World, request, text};

fn pieces(count: usize) -> (Body, tokio::sync::mpsc::Sender<Bytes>) {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Bytes>(count.max(1));
    let frames = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
    use futures::StreamExt as _;
    let frames = frames.map(|piece| Ok(http_body::Frame::data(piece)));
    (StreamBody::new(frames).boxed_unsync(), sender)
}

#[tokio::test]
async fn pieces_come_and_go() {
    let world = World::of("http").await;
    let (body, sender) = pieces(1);
    let mut call = world.call(request("POST", "/echo", body));
    let (respond, answer) = oneshot::channel();
    call.respond = Some(respond);
    let client = async {
        let mut answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut heard = Vec::new();
        // Each piece is answered before the next one is sent: nothing waits for the whole body.
        for number in 0..10 {
            let piece = format!("piece {number};").repeat(number * 300 + 1);
            sender.send(Bytes::from(piece.clone())).await.unwrap();
            let mut got = Vec::new();
            while got.len() < piece.len() {
                let frame = answer.body_mut().frame().await.unwrap().unwrap();
                got.extend_from_slice(frame.data_ref().unwrap());
            }
            assert_eq!(text(&got), piece);
            heard.extend(got);
        }
        drop(sender);
        let end = answer.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(end.trailers_ref().unwrap()["x-end"], "yes");
        heard
    };
    let ((ended, record), heard) = tokio::join!(world.record(call), client);
    assert_eq!(ended.status, Status::Succeeded, "{:?} {:?}", ended.failure, ended.logs);
    assert_eq!(ended.output.bytes, heard);
    assert!(ended.input_body.pieces.len() >= 10, "{:?}", ended.input_body.pieces);
    assert_eq!(ended.trailers.len(), 1);
    for _ in 0..100 {
        let replayed = world.prepared.replay(&record, None).await.unwrap();
        assert_eq!(replayed.view.divergence, None);
    }
}

#[tokio::test]
async fn a_client_that_has_all_that_was_announced_may_go() {
    let world = World::of("http").await;
    let mut call = world.call(request("GET", "/sized", nexus_exec::empty_body()));
    let (respond, answer) = oneshot::channel();
    call.respond = Some(respond);
    let client = async {
        let mut answer = answer.await.unwrap();
        let frame = answer.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(frame.data_ref().unwrap(), "12345");
        // A server reads no further than the announced length.
        drop(answer);
    };
    let ((ended, record), ()) = tokio::join!(world.record(call), client);
    assert_eq!(ended.status, Status::Succeeded, "{:?} {:?}", ended.failure, ended.logs);
    let replayed = world.prepared.replay(&record, None).await.unwrap();
    assert_eq!(replayed.view.divergence, None);
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_the_guest() {
    let world = World::of("http").await;
    let mut call = world.call(request("GET", "/stream", nexus_exec::empty_body()));
    let (respond, answer) = oneshot::channel();
    call.respond = Some(respond);
    let client = async {
        let mut answer = answer.await.unwrap();
        for _ in 0..20 {
            answer.body_mut().frame().await.unwrap().unwrap();
        }
    };
    let ((ended, record), ()) = tokio::join!(world.record(call), client);
    assert_eq!(ended.status, Status::Cancelled, "{:?}", ended.failure);
    assert!(ended.output.size >= 20 * 4096);
    for _ in 0..10 {
        let replayed = world.prepared.replay(&record, None).await.unwrap();
        assert_eq!(replayed.view.divergence, None);
        assert_eq!(replayed.view.verdict, Verdict::IdenticalUpTo);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_whole_answer() {
    let world = World::of("http").await;
    let mut call = world.call(request("GET", "/late-trap", nexus_exec::empty_body()));
    let (respond, answer) = oneshot::channel();
    call.respond = Some(respond);
    let client = async { answer.await.unwrap().into_body().collect().await };
    let ((ended, record), collected) = tokio::join!(world.record(call), client);
    assert_eq!(ended.status, Status::Trapped);
    assert_eq!(text(&ended.output.bytes), "half of it");
    let _ = collected.unwrap_err();
    let replayed = world.prepared.replay(&record, None).await.unwrap();
    assert_eq!(replayed.view.divergence, None);
}

#[tokio::test]
async fn a_body_that_the_guest_leaves_is_broken_off() {
    let world = World::of("http").await;
    let mut call = world.call(request("GET", "/unfinished", nexus_exec::empty_body()));
    let (respond, answer) = oneshot::channel();
    call.respond = Some(respond);
    let client = async {
        let mut body = answer.await.unwrap().into_body();
        let first = body.frame().await.unwrap().unwrap();
        assert_eq!(first.data_ref().unwrap(), "half of it");
        // The server is not told of the end in the same turn: it would throw away what it has.
        let again = std::future::poll_fn(|context| {
            let polled = std::pin::Pin::new(&mut body).poll_frame(context);
            std::task::Poll::Ready(polled.is_pending())
        });
        assert!(again.await);
        let _ = body.frame().await.unwrap().unwrap_err();
    };
    let ((ended, record), ()) = tokio::join!(world.record(call), client);
    let failure = ended.failure.unwrap();
    assert_eq!((ended.status, failure.code.as_str()), (Status::Failed, "NX5002"), "{failure:?}");
    assert!(failure.message.contains("before its answer was complete"), "{failure:?}");
    let replayed = world.prepared.replay(&record, None).await.unwrap();
    assert_eq!(replayed.view.divergence, None);

    // Recordings that were made before this counted as a failure say otherwise.
    let mut older = record;
    older.status = Status::Succeeded as i32;
    older.failure = None;
    let replayed = world.prepared.replay(&older, None).await.unwrap();
    assert_eq!(replayed.view.divergence, None);
}

#[tokio::test]
async fn a_request_that_the_guest_leaves_is_no_whole_request() {
    let world = World::of("http").await;
    let (ended, record) = world.http("/post-half?upstream").await;
    let said = text(&ended.output.bytes);
    assert!(said.starts_with("Err("), "{said}");
    let replayed = world.prepared.replay(&record, None).await.unwrap();
    assert_eq!(replayed.view.divergence, None);
}

#[tokio::test]
async fn a_head_request_lets_the_guest_write() {
    let world = World::of("http").await;
    let mut call = world.call(request("HEAD", "/hello", nexus_exec::empty_body()));
    let (respond, answer) = oneshot::channel();
    call.respond = Some(respond);
    call.timeout = Duration::from_secs(10);
    let client = async { answer.await.unwrap().into_body().collect().await.unwrap().to_bytes() };
    let ((ended, _), body) = tokio::join!(world.record(call), client);
    assert_eq!((ended.status, body.len()), (Status::Succeeded, 0), "{:?}", ended.failure);
}

#[tokio::test]
async fn a_function_without_an_answer_fails() {
    let world = World::of("http").await;
    let (ended, _) = world.http("/silent").await;
    assert_eq!(ended.status, Status::Failed);
    assert_eq!(ended.failure.unwrap().code, "NX5006");
}
