//! The synchronous path.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request};
use http_body_util::BodyExt as _;
use nexus_exec::full_body;
use nexus_model::record::{Level, Status};
use nexus_model::resource::RecordPolicy;
use nexus_model::view::Verdict;
use nexus_model::{Code, InvocationFilter, OpContext, Principal, Scope};
use nexus_node::{InvokeInput, LogFilter, Mode, PageOptions, ReplayOptions};
use nexus_testkit::FakeRuntime;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::world::{World, admin, anonymous, invocation_of, name, spec, text};

/// Waits until an invocation is in the log: it is written behind the response.
pub(crate) async fn settled(
    world: &World,
    id: nexus_model::InvocationId,
) -> nexus_model::view::InvocationView {
    let mut position = nexus_log::Position::START;
    loop {
        if let Ok(view) = world.node.invocation(&admin(), id).await
            && view.row.status != Status::Running
        {
            return view;
        }
        let entries = world.log.read_from(position, 1000).await.unwrap();
        match entries.last() {
            Some(last) => position = last.position,
            None => world.log.wait_past(position).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_answered_recorded_shown_and_replayed() {
    let world = World::new().await;
    world.deploy("hello", "http echo", None).await;
    let request = Request::post("/hello?name=Ada")
        .header("host", "shop.localhost")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .body(full_body("{\"a\":1}"))
        .unwrap();
    let route = world.node.route("shop.localhost", &Method::POST, "/hello").unwrap();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let ctx = OpContext { traceparent: Some(trace.into()), ..anonymous() };
    let response = world.node.serve_http(ctx, &route, request).await.unwrap();
    let id = invocation_of(&response);
    assert_eq!(text(response).await, "{\"a\":1}");

    let view = settled(&world, id).await;
    assert_eq!((view.row.status, view.row.http_status), (Status::Succeeded, Some(200)));
    assert_eq!(view.row.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(view.principal, "anonymous");
    assert_eq!(view.cold_reason, "first call");
    assert_eq!(view.input["url"], "http://shop.localhost/hello?name=Ada");
    assert_eq!(view.input["body"], json!({ "size": 7, "json": { "a": 1 } }));
    assert_eq!(view.output["body"]["json"], json!({ "a": 1 }));
    assert!(view.row.version.is_some() && view.component.is_some());

    let replay = world.node.replay(&admin(), id, ReplayOptions::default()).await.unwrap();
    assert_eq!(replay.verdict, Verdict::Identical);
    let refused =
        world.node.replay(&admin(), id, ReplayOptions { verify: true }).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotReplayable);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_have_codes_and_invocations() {
    let world = World::new().await;
    for (code, expected) in [
        ("http fail", Code::GuestFailed),
        ("http refuse", Code::GuestRefused),
        ("http trap", Code::GuestTrapped),
        ("http no-answer", Code::GuestNoAnswer),
    ] {
        world.deploy("f", code, None).await;
        let error = world.post("/f", "").await.map(|_| ()).unwrap_err();
        assert_eq!(error.code(), expected, "{code}");
        settled(&world, error.invocation_id().unwrap()).await;
    }
    world.deploy("slow", "http hang", spec(json!({ "timeout-ms": 20 }))).await;
    let error = world.post("/slow", "").await.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), Code::GuestTimedOut);
    let view = settled(&world, error.invocation_id().unwrap()).await;
    assert_eq!(view.row.status, Status::TimedOut);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_cancels_the_guest_and_is_recorded() {
    let world = World::new().await;
    world.deploy("stream", "http stream", None).await;
    let mut response = world.post("/stream", "").await.unwrap();
    let id = invocation_of(&response);
    assert!(response.body_mut().frame().await.unwrap().is_ok());
    drop(response);
    assert_eq!(settled(&world, id).await.row.status, Status::Cancelled);

    world.deploy("hang", "http hang", None).await;
    {
        let call = world.post("/hang", "");
        tokio::pin!(call);
        let mut turns = 0;
        // Polled until the guest runs, then dropped like a connection that closes.
        std::future::poll_fn(|cx| {
            turns += 1;
            let _ = call.as_mut().poll(cx);
            if world.runtime_running() > 0 {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
    }
    let mut position = nexus_log::Position::START;
    let cancelled = loop {
        world.log.wait_past(position).await;
        let entries = world.log.read_from(position, 1).await.unwrap();
        position = entries[0].position;
        if let nexus_model::record::Record::Invocation(at) = &entries[0].record
            && at.function == "hang"
        {
            break at.status();
        }
    };
    assert_eq!(cancelled, Status::Cancelled);
}

impl World {
    fn runtime_running(&self) -> u64 {
        nexus_exec::Runtime::stats(&*self.runtime).running
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_refuse_what_is_too_much() {
    let world = World::with(Mode::Dev, |config| {
        config.concurrency = 1;
        config.waiting_calls_max = 0;
    })
    .await;
    world.deploy("own", "http stream", spec(json!({ "concurrency": 1 }))).await;
    world.deploy("other", "http echo", None).await;
    let first = world.post("/own", "").await.unwrap();
    let throttled = world.post("/own", "").await.map(|_| ()).unwrap_err();
    assert_eq!(throttled.code(), Code::Throttled);
    assert!(throttled.retry_after().is_some());
    let overloaded = world.post("/other", "").await.map(|_| ()).unwrap_err();
    assert_eq!(overloaded.code(), Code::Overloaded);
    let id = invocation_of(&first);
    drop(first);
    settled(&world, id).await;
    assert_eq!(world.text("/other", "x").await, "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_runs_is_listed_and_can_be_stopped() {
    let world = World::with(Mode::Dev, |_| {}).await;
    world.deploy("slow", "http hang", None).await;
    let call = async { world.post("/slow", "").await.map(|_| ()).unwrap_err() };
    let look = async {
        let running = InvocationFilter {
            project: Some("shop".to_owned()),
            statuses: vec![Status::Running],
            ..InvocationFilter::default()
        };
        let page = || PageOptions { limit: 10, ..PageOptions::default() };
        let row = loop {
            let list = world.node.invocations(&admin(), running.clone(), page()).await.unwrap();
            if let [row] = &list.items[..] {
                break row.clone();
            }
            tokio::task::yield_now().await;
        };
        assert_eq!((row.function.as_str(), row.status), ("slow", Status::Running));
        let other = InvocationFilter { function: Some("other".to_owned()), ..running.clone() };
        assert_eq!(world.node.invocations(&admin(), other, page()).await.unwrap().items, []);
        let view = world.node.invocation(&admin(), row.id).await.unwrap();
        assert_eq!(view.row.status, Status::Running);
        assert_eq!((view.row.attempt, view.row.version), (1, row.version));
        assert_eq!(view.not_replayable, "it has not ended");
        let why = world.node.why_invocation(&admin(), &name("shop"), row.id).await.unwrap();
        assert!(why.answer.starts_with("It has been running since "), "{}", why.answer);
        assert_eq!(why.because, ["anonymous waits for its answer"]);
        let elsewhere = (&name("other"), row.id);
        assert!(world.node.cancel_invocation(&admin(), elsewhere, "").await.is_err());
        let own = (&name("shop"), row.id);
        world.node.cancel_invocation(&admin(), own, "it hangs").await.unwrap();
        row.id
    };
    let (error, id) = tokio::join!(call, look);
    assert!(error.detail().contains("was cancelled by"), "{}", error.detail());
    let view = settled(&world, id).await;
    assert_eq!(view.row.status, Status::Cancelled);
    let message = view.failure.unwrap().message;
    assert!(message.ends_with(": it hangs"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_begins_while_memory_is_short() {
    let world = World::with(Mode::Dev, |config| config.memory_max = Some(1)).await;
    world.deploy("echo", "http echo", None).await;
    let short = |reasons: Vec<String>| reasons.iter().any(|at| at.contains("MiB of memory"));
    while !short(world.node.ready().reasons) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let refused = world.post("/echo", "x").await.map(|_| ()).unwrap_err();
    assert_eq!(refused.code(), Code::Overloaded);
    assert!(refused.detail().contains("no call begins above 0 MiB"), "{}", refused.detail());
    assert!(refused.hint().unwrap().contains("functions.memory-max"));
    assert!(world.node.ready().ready, "who asks for less is served elsewhere no better");
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_follow_host_path_and_method() {
    let world = World::with(Mode::Dev, |_| {}).await;
    world.deploy("a", "http echo", spec(json!({ "on": { "http": [{ "path": "/" }, { "path": "/x", "methods": ["GET"] }] } }))).await;
    world.deploy("b", "http echo", spec(json!({ "on": { "http": [{ "path": "/x/y" }, { "path": "/", "host": "b.example.com" }] } }))).await;
    world.deploy("plain", "http echo", None).await;
    world.deploy("events", "event echo", None).await;
    for (host, method, path, expected) in [
        ("shop.localhost:8080", Method::GET, "/", "a"),
        ("SHOP.localhost", Method::POST, "/anything/else", "a"),
        ("shop.localhost", Method::GET, "/x", "a"),
        ("shop.localhost", Method::HEAD, "/x/z", "a"),
        ("shop.localhost", Method::POST, "/x", "NX1007"),
        ("shop.localhost", Method::POST, "/x/y/", "b"),
        ("shop.localhost", Method::POST, "/x/yy", "NX1007"),
        ("shop.localhost", Method::POST, "/plain/below", "plain"),
        ("shop.localhost", Method::POST, "/plainer", "a"),
        ("shop.localhost", Method::POST, "/events", "a"),
        ("b.example.com", Method::GET, "/x", "b"),
        ("127.0.0.1:8080", Method::GET, "/plain", "plain"),
        ("[::1]:8080", Method::GET, "/plain", "plain"),
    ] {
        assert_eq!(world.routed(host, method.clone(), path), expected, "{method} {host}{path}");
    }
    let clash = spec(json!({ "on": { "http": [{ "path": "/x", "methods": ["GET", "PUT"] }] } }));
    let error = world.try_deploy("c", "http echo", clash).await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict);
    assert!(error.detail().contains("function 'a'"), "{error}");
    let beside = spec(json!({ "on": { "http": [{ "path": "/x", "methods": ["PUT"] }] } }));
    world.deploy("c", "http echo", beside).await;
    assert_eq!(world.routed("shop.localhost", Method::PUT, "/x"), "c");
    world.node.delete_function(&admin(), &name("shop"), &name("b")).await.unwrap();
    assert_eq!(world.routed("shop.localhost", Method::GET, "/x/y"), "a");
    assert_eq!(world.routed("b.example.com", Method::GET, "/x/y"), "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn token_routes_ask_for_the_scope() {
    let world = World::new().await;
    let routes = json!({ "on": { "http": [{ "path": "/t", "auth": "token" }] } });
    world.deploy("t", "http echo", spec(routes)).await;
    let error = world.post("/t", "").await.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
    let route = world.node.route("shop.localhost", &Method::POST, "/t").unwrap();
    for (scope, code) in [(Scope::Invoke, None), (Scope::Read, Some(Code::Forbidden))] {
        let ctx =
            OpContext { principal: Principal::token("ci"), scopes: [scope].into(), ..admin() };
        let request =
            Request::post("/t").header("host", "shop.localhost").body(full_body("")).unwrap();
        let result = world.node.serve_http(ctx, &route, request).await;
        assert_eq!(result.map(|_| ()).map_err(|error| error.code()).err(), code, "{scope:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn record_policies_keep_what_they_say() {
    let world = World::new().await;
    for (policy, kept) in [
        (json!("always"), true),
        (json!("durable"), true),
        (json!("errors"), false),
        (json!({ "sample": 0.0 }), false),
        (json!({ "sample": 1.0 }), true),
        (json!("off"), false),
    ] {
        let parsed: RecordPolicy = serde_json::from_value(policy.clone()).unwrap();
        world.deploy("f", "http echo", spec(json!({ "record": policy }))).await;
        let response = world.post("/f", "body").await.unwrap();
        let id = invocation_of(&response);
        assert_eq!(text(response).await, "body");
        if parsed == RecordPolicy::Durable {
            assert!(
                world.log.invocation(id).await.unwrap().is_some(),
                "durable before the answer ends"
            );
        }
        let view = settled(&world, id).await;
        assert_eq!(view.input.is_object(), kept, "{policy}");
        assert_eq!(view.not_replayable.is_empty(), kept, "{policy}");
        assert_eq!(view.row.http_status, Some(200));
    }
    world.deploy("f", "http trap", spec(json!({ "record": "errors" }))).await;
    let id = world.post("/f", "body").await.map(|_| ()).unwrap_err().invocation_id().unwrap();
    assert!(settled(&world, id).await.input.is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_not_told_what_a_function_says_of_its_failure() {
    let open = || spec(json!({ "on": { "http": [{ "path": "/f", "auth": "none" }] } }));
    let mut told = Vec::new();
    for mode in [Mode::Serve, Mode::Dev] {
        let world = World::with(mode, |_| {}).await;
        world.deploy("f", "http trap", open()).await;
        let error = world.post("/f", "").await.map(|_| ()).unwrap_err();
        assert_eq!(error.code(), Code::GuestTrapped);
        assert!(error.invocation_id().is_some(), "whoever runs it finds the rest by that");
        told.push(error.detail().to_owned());
    }
    assert_eq!(told[0], Code::GuestTrapped.title());
    assert_ne!(told[1], told[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn redacted_values_are_sealed_and_large_bodies_become_blobs() {
    let world = World::new().await;
    let rules = json!({ "redact": { "headers": ["authorization"], "fields": ["card"] } });
    world.deploy("f", "http echo", spec(rules)).await;
    let filler = "x".repeat(300 << 10);
    let body = format!("{{\"card\":\"4711\",\"filler\":\"{filler}\"}}");
    let request = Request::post("/f")
        .header("host", "shop.localhost")
        .header("authorization", "Bearer hush")
        .body(full_body(body.clone()))
        .unwrap();
    let response = world.send(request).await.unwrap();
    let id = invocation_of(&response);
    assert_eq!(text(response).await, body);
    let view = settled(&world, id).await;
    let shown = serde_json::to_string(&view).unwrap();
    assert!(!shown.contains("4711") && !shown.contains("hush"), "{}", &shown[..500]);
    assert!(shown.contains(&filler), "the rest of the large body is there");
    assert_eq!(view.redacted.len(), 3);
    let record = world.log.invocation(id).await.unwrap().unwrap();
    assert_eq!(record.output.unwrap().body.unwrap().blob.len(), 32);
    let replay = world.node.replay(&admin(), id, ReplayOptions::default()).await.unwrap();
    assert_eq!(replay.output["body"]["json"]["card"], "4711", "a replay sees the original");
    assert_eq!(view.row.level, Level::Exact);
    // What was dropped cannot be replayed, and the list does not say that it could.
    let rules = json!({ "redact": { "fields": ["card"], "mode": "drop" } });
    world.deploy("f", "http echo", spec(rules)).await;
    let dropped = invocation_of(&world.post("/f", r#"{"card":"4711"}"#).await.unwrap());
    assert_eq!(settled(&world, dropped).await.row.level, Level::None);
}

#[tokio::test(flavor = "multi_thread")]
async fn direct_calls_work_for_every_world() {
    let world = World::new().await;
    for (code, input) in
        [("http echo", "{\"a\":1}"), ("event echo", "plain"), ("command echo", "stdin")]
    {
        world.deploy("f", code, None).await;
        let call = InvokeInput { data: input.into(), ..InvokeInput::default() };
        let output = world.node.invoke(&admin(), &name("shop"), &name("f"), call).await.unwrap();
        assert_eq!(output.body, input, "{code}");
        settled(&world, output.invocation).await;
    }
    world.deploy("f", "event fail", None).await;
    let call = InvokeInput::default();
    let error =
        world.node.invoke(&admin(), &name("shop"), &name("f"), call.clone()).await.unwrap_err();
    assert_eq!(error.code(), Code::GuestFailed);
    assert!(error.invocation_id().is_some());
    let missing = world.node.invoke(&admin(), &name("shop"), &name("ff"), call).await.unwrap_err();
    assert_eq!((missing.code(), missing.hint()), (Code::NotFound, Some("did you mean 'f'?")));
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_is_not_compiled_yet_is_said_and_then_served() {
    let world = World::new().await;
    world.deploy("f", "http echo", None).await;
    let fresh = FakeRuntime::new();
    fresh.hold_compiles();
    let world = world.restart(Arc::clone(&fresh)).await;
    let error = world.post("/f", "").await.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), Code::Overloaded);
    assert!(error.detail().contains("compiled"), "{error}");
    while world.node.ready().compiling == 0 {
        tokio::task::yield_now().await;
    }
    assert!(!world.node.ready().ready);
    fresh.release_compiles();
    while !world.node.ready().ready {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.text("/f", "again").await, "again");
    assert_eq!(fresh.prepared(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_reach_only_what_the_rule_allows() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio_util::task::TaskTracker::new();
    server.spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let read = socket.read(&mut request).await.unwrap();
            let traced = String::from_utf8_lossy(&request[..read]).contains("traceparent: 00-");
            let status = if traced { "204 No Content" } else { "400 Bad Request" };
            let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n");
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let code = |host: &str| format!("http fetch http://{host}:{port}/");
    let open = json!({ "on": { "http": [{ "path": "/", "auth": "none" }] } });
    let named = json!({ "on": { "http": [{ "path": "/", "auth": "none" }] }, "allow-hosts": ["localhost"] });
    for (mode, host, config, expected) in [
        (Mode::Dev, "127.0.0.1", &open, "204"),
        (Mode::Serve, "127.0.0.1", &open, "Denied"),
        (Mode::Serve, "localhost", &open, "Denied"),
        (Mode::Serve, "localhost", &named, "204"),
        (Mode::Serve, "127.0.0.1", &named, "Denied"),
        (Mode::Dev, "10.0.0.1", &open, "Denied"),
    ] {
        let world = World::with(mode, |_| {}).await;
        world.deploy("f", &code(host), spec(config.clone())).await;
        let found = world.text("/", "").await;
        assert!(found.starts_with(expected), "{mode:?} {host}: {found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_follow_logs_and_streams_show_what_ran() {
    use futures::StreamExt as _;
    let world = World::new().await;
    world.deploy("f", "http log hello", None).await;
    let filter = InvocationFilter { project: Some("shop".into()), ..InvocationFilter::default() };
    let rows = world.node.follow_invocations(&admin(), filter.clone(), None).await.unwrap();
    let (begin, mut rows) = (rows.from.parse().unwrap(), rows.items);
    let mut lines = world.node.follow_logs(&admin(), Default::default(), None).await.unwrap().items;
    let id = invocation_of(&world.post("/f", "").await.unwrap());
    let row = rows.next().await.unwrap();
    assert_eq!(row.item.id, id);
    assert_eq!(lines.next().await.unwrap().item.text, "hello");
    let page =
        world.node.invocations(&admin(), filter.clone(), PageOptions::default()).await.unwrap();
    assert_eq!(page.items.iter().map(|row| row.id).collect::<Vec<_>>(), [id]);
    let logs = world.node.logs(&admin(), Default::default(), (None, 10)).await.unwrap().items;
    assert_eq!((logs.len(), logs[0].invocation), (1, Some(id)));
    let second = invocation_of(&world.post("/f", "").await.unwrap());
    let after = row.cursor.parse().unwrap();
    for (from, expected) in [(after, vec![second]), (begin, vec![id, second])] {
        let resumed = world.node.follow_invocations(&admin(), filter.clone(), Some(from)).await;
        let resumed = resumed.unwrap().items.take(expected.len());
        let ids: Vec<_> = resumed.map(|row| row.item.id).collect().await;
        assert_eq!(ids, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_log_line_is_reached_page_by_page() {
    let world = World::new().await;
    world.deploy("f", "http log a; b; c", None).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(invocation_of(&world.post("/f", "").await.unwrap()));
    }
    let whole = world.node.logs(&admin(), Default::default(), (None, 1000)).await.unwrap();
    assert_eq!((whole.items.len() % 4, whole.next), (0, None));
    let lines = whole.items;
    for limit in [1, 2, 5, lines.len()] {
        let (mut from, mut found) = (None, Vec::new());
        loop {
            let page = world.node.logs(&admin(), Default::default(), (from, limit)).await.unwrap();
            assert!(page.items.len() <= limit);
            found.splice(0..0, page.items);
            let Some(next) = page.next else { break };
            from = Some(next.parse().unwrap());
        }
        assert_eq!(found, lines, "{limit} a page");
    }
    // Lines before a moment, although newer ones would fill the page.
    let newest = lines.iter().position(|line| line.invocation == Some(ids[3])).unwrap();
    let filter = LogFilter { until: Some(lines[newest].at), ..LogFilter::default() };
    let page = world.node.logs(&admin(), filter, (None, 1)).await.unwrap();
    assert_eq!(page.items, lines[newest - 1..newest]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_one_invocation_come_again_together_or_not_at_all() {
    use futures::StreamExt as _;
    let world = World::new().await;
    world.deploy("f", "http log one; two", None).await;
    let follow = async |after| {
        world.node.follow_logs(&admin(), Default::default(), after).await.unwrap().items
    };
    let mut lines = follow(None).await;
    world.post("/f", "").await.unwrap();
    let first = lines.next().await.unwrap();
    let second = lines.next().await.unwrap();
    world.post("/f", "").await.unwrap();
    let (mid, end) = (first.cursor.parse().unwrap(), second.cursor.parse().unwrap());
    for (after, expected) in [(mid, ["one", "two", "one"]), (end, ["one", "two", ""])] {
        let mut resumed = follow(Some(after)).await;
        for text in expected.into_iter().filter(|text| !text.is_empty()) {
            assert_eq!(resumed.next().await.unwrap().item.text, text);
        }
    }
}
