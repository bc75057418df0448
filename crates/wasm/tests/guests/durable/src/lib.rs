//! A function that waits, calls, keeps state: all that the SDK offers beyond an event.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use nexus_sdk::http::Send;
use nexus_sdk::{Aggregate, Error, Event, Loaded, Output, context, durable, state};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

nexus_sdk::event!(handle);

fn handle(event: Event<Value>) -> Result<Output, Error> {
    let result = match event.ty.as_str() {
        "order" => order(&event.data),
        "sleep" => sleep(),
        "approve" => approve(),
        "signals" => signals(),
        "account" => account(&event.data),
        "state" => keep(),
        "calls" => calls(),
        // Called, not sent: the data says what to do.
        "dev.nexus.invoke" => match event.data["do"].as_str() {
            Some("journey") => journey(&event.data),
            Some("helper") => helper(&event.data),
            other => Err(Error::permanent(format!("nothing to do: {other:?}"))),
        },
        other => Err(Error::permanent(format!("no such type: {other}"))),
    };
    Ok(Output::result(result?))
}

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Everything that has an effect, once.
fn order(data: &Value) -> Result<Value, Error> {
    context::progress(10, "charging");
    let random = random();
    let (status, charged) = post("/charge", &format!("{data} {random}"))?;
    let slow = Send::post("http://upstream/slow", format!("slow {random}")).start()?;
    let fast = Send::post("http://upstream/fast", format!("fast {random}")).start()?;
    let fast = text(fast.wait()?)?;
    let ids = nexus_sdk::emit([Event::new("com.shop.charged", json!({ "random": random }))])?;
    let slow = text(slow.wait()?)?;
    let first = state::key("order").put_if(&json!({ "random": random }), 0)?;
    let second = state::key("order").shared("stock").put(&"shared")?;
    let version = state::stream("orders").append(&[json!(1), json!(2)], Some(0))?;
    let price: Value = nexus_sdk::call("price", &json!({ "random": random }))?;
    let all = nexus_sdk::call_all::<Value>([("a", 1), ("missing", 2), ("b", 3)])?;
    let all: Vec<Value> = all.into_iter().map(|one| one.unwrap_or_else(|e| json!(e.message()))).collect();
    let started = nexus_sdk::start("later", &7).after(Duration::from_secs(60)).now()?;
    durable::sleep(Duration::from_millis(5))?;
    context::progress(None, "shipping");
    let (_, shipped) = post("/ship", "once")?;
    let kept: Option<Value> = state::get("order")?;
    let events = state::stream("orders").read::<u64>(0, 10)?;
    state::delete("order")?;
    Ok(json!({
        "random": random, "kept": kept, "ids": ids.len(), "started": started.starts_with("inv_"),
        "answers": [status, charged, fast, slow, shipped],
        "versions": [first > 0, second > first, version, events.len()], "price": price, "all": all,
    }))
}

fn post(path: &str, body: &str) -> Result<(u16, String), Error> {
    let answer = Send::post(format!("http://upstream{path}"), body).wait()?;
    Ok((answer.status, text(answer)?))
}

fn text(mut answer: nexus_sdk::http::Answer) -> Result<String, Error> {
    Ok(String::from_utf8_lossy(&answer.body()?).into_owned())
}

fn sleep() -> Result<Value, Error> {
    let before = random();
    let began = std::time::SystemTime::now();
    durable::sleep(Duration::from_secs(3600))?;
    let slept = began.elapsed().is_ok();
    durable::sleep(Duration::from_secs(7200))?;
    Ok(json!({ "same": before != 0, "slept": slept, "deadline": context::deadline_ms() > 0 }))
}

fn approve() -> Result<Value, Error> {
    let (_, asked) = post("/ask", "please")?;
    let answer = durable::signal_within::<Value>("approval", Duration::from_secs(7200))?;
    let (_, told) = post("/tell", &format!("{answer:?}"))?;
    Ok(json!({ "asked": asked, "answer": answer, "told": told }))
}

/// Requests to an outside counter with everything in between that a node may die in.
fn journey(data: &Value) -> Result<Value, Error> {
    let at = |step: &str| format!("{}/{}/{step}", text_of(data, "base"), text_of(data, "name"));
    let random = random();
    send(Send::post(at("begin"), random.to_string()))?;
    durable::sleep(Duration::from_millis(30))?;
    let (left, right) = (Send::post(at("left"), "1").start()?, Send::post(at("right"), "2").start()?);
    text(right.wait()?)?;
    text(left.wait()?)?;
    durable::sleep(Duration::from_millis(1200))?;
    nexus_sdk::emit([Event::new("com.test.journey", json!({ "name": data["name"] }))])?;
    send(Send::post(at("slept"), random.to_string()))?;
    let inputs = ["one", "two"].map(|step| {
        ("helper", json!({ "do": "helper", "url": at(step), "name": data["name"] }))
    });
    let called = nexus_sdk::call_all::<Value>(inputs)?.into_iter().collect::<Result<Vec<_>, _>>()?;
    let word: Value = durable::signal("go")?;
    send(Send::post(at("signalled"), word.to_string()))?;
    let late = durable::signal_within::<Value>("never", Duration::from_millis(1100))?;
    send(Send::post(at("end"), random.to_string()))?;
    Ok(json!({ "word": word, "late": late, "called": called, "attempt": context::attempt() }))
}

/// One request, under the key that every attempt of the same call has.
fn helper(data: &Value) -> Result<Value, Error> {
    let key = context::idempotency_key();
    send(Send::post(text_of(data, "url"), "help").header("idempotency-key", &key))?;
    Ok(json!("helped"))
}

fn text_of<'d>(data: &'d Value, name: &str) -> &'d str {
    data[name].as_str().unwrap_or_default()
}

/// What cannot be sent is tried again in the next attempt of the function, which must not happen.
fn send(request: Send) -> Result<String, Error> {
    let answer = request.wait()?;
    match answer.status {
        200 => text(answer),
        status => Err(Error::permanent(format!("the counter answered {status}"))),
    }
}

fn signals() -> Result<Value, Error> {
    let first: Value = durable::signal("s")?;
    let other: Value = durable::signal("other")?;
    let second: Value = durable::signal("s")?;
    Ok(json!([first, other, second]))
}

#[derive(Default, Serialize, Deserialize)]
struct Account {
    balance: i64,
}

#[derive(Serialize, Deserialize)]
struct Change {
    amount: i64,
}

impl Aggregate for Account {
    type Event = Change;
    const NAME: &'static str = "account";

    fn apply(&mut self, change: &Change) {
        self.balance += change.amount;
    }
}

fn account(data: &Value) -> Result<Value, Error> {
    let mut account = Loaded::<Account>::load("42")?;
    for amount in data.as_array().into_iter().flatten().filter_map(Value::as_i64) {
        if account.state.balance + amount < 0 {
            return Err(Error::permanent("not enough money"));
        }
        account.commit(vec![Change { amount }])?;
    }
    Ok(json!({ "balance": account.state.balance, "version": account.version }))
}

fn keep() -> Result<Value, Error> {
    let key = state::key("a/1");
    let missing: Option<Value> = state::get("a/1")?;
    let first = key.put(&random())?;
    let conflict = key.put_if(&1, first + 1);
    let found: u64 = key.get::<u64>()?.map(|found| found.version).unwrap_or_default();
    state::put("a/2", &"two")?;
    let listed: Vec<String> =
        state::list::<Value>("a/", 10)?.into_iter().map(|(key, _)| key).collect();
    key.delete_if(found)?;
    let again = key.delete();
    Ok(json!({
        "missing": missing, "conflict": format!("{conflict:?}"), "listed": listed,
        "same": found == first, "again": format!("{again:?}"), "key": context::idempotency_key(),
    }))
}

fn calls() -> Result<Value, Error> {
    let price: Value = nexus_sdk::call("price", &json!({ "random": random() }))?;
    let refused = nexus_sdk::call::<Value>("refuses", &1).unwrap_err();
    let missing = nexus_sdk::call::<Value>("missing", &1).unwrap_err();
    let id = nexus_sdk::start("later", &7).ordered_by("k").now()?;
    let state = nexus_sdk::outcome::<Value>(&id)?;
    let wrong = nexus_sdk::outcome::<Value>("nonsense").unwrap_err();
    let slept = durable::sleep(Duration::from_secs(1)).map_err(|e| format!("{e:?}"));
    Ok(json!([
        price, format!("{refused:?}"), format!("{missing:?}"), format!("{state:?}"),
        format!("{wrong:?}"), slept.unwrap_err(),
    ]))
}
