//! Scenes and ends as a case file has them, and back.

use bytes::Bytes;
use nexus_exec::journal::{Fault, Function, Item, Outcome};
use nexus_exec::rehearsal::{Effect, Scene};
use nexus_exec::{CapturedBody, Ended, EnvVar};
use nexus_model::case::{
    Answer, Case, CaseCommand, CaseEffect, CaseEnd, CaseEvent, CaseFailure, CaseFault, CaseInput,
    CaseItem, CaseLog, CasePayload, CaseRequest, CaseResponse, CaseSignal, CaseWorld, Content,
    Field,
};
use nexus_model::record::{
    Body, CommandInput, Failure, Header, HttpInput, Input, LogLine, StoredEvent, input,
};
use nexus_model::{AttributeValue, Event, Name};
use serde_json::Value;

/// What makes a case unusable, and where.
pub(super) type Wrong = String;

pub(super) fn input_of(input: &Input) -> Option<CaseInput> {
    let fields = |headers: &[Header]| headers.iter().map(field_of).collect();
    Some(match input.form.as_ref()? {
        input::Form::Http(http) => CaseInput::Request(CaseRequest {
            method: http.method.clone(),
            scheme: http.scheme.clone(),
            authority: http.authority.clone(),
            path: http.path_and_query.clone(),
            headers: fields(&http.headers),
            body: http.body.inline.clone().into(),
            trailers: fields(&http.trailers),
        }),
        input::Form::Event(event) => CaseInput::Event(event_of(event)),
        input::Form::Command(command) => CaseInput::Command(CaseCommand {
            arguments: command.arguments.clone(),
            stdin: command.stdin.inline.clone().into(),
        }),
        input::Form::EventRef(_) => return None,
    })
}

fn to_input(input: &CaseInput) -> Input {
    let headers = |fields: &[Field]| fields.iter().map(to_header).collect();
    let form = match input {
        CaseInput::Request(request) => input::Form::Http(HttpInput {
            method: request.method.clone(),
            scheme: request.scheme.clone(),
            authority: request.authority.clone(),
            path_and_query: request.path.clone(),
            headers: headers(&request.headers),
            body: Body::inline(request.body.0.clone()),
            trailers: headers(&request.trailers),
        }),
        CaseInput::Event(event) => input::Form::Event(to_event(event)),
        CaseInput::Command(command) => input::Form::Command(CommandInput {
            arguments: command.arguments.clone(),
            stdin: Body::inline(command.stdin.0.clone()),
        }),
    };
    Input { form: Some(form) }
}

fn field_of(header: &Header) -> Field {
    Field { name: header.name.clone(), value: header.value.clone().into() }
}

fn to_header(field: &Field) -> Header {
    Header { name: field.name.clone(), value: field.value.0.clone(), ..Header::default() }
}

fn pairs_of(headers: &[(String, Bytes)]) -> Vec<Field> {
    let field =
        |(name, value): &(String, Bytes)| Field { name: name.clone(), value: value.clone().into() };
    headers.iter().map(field).collect()
}

fn to_pairs(fields: &[Field]) -> Vec<(String, Bytes)> {
    fields.iter().map(|field| (field.name.clone(), field.value.0.clone())).collect()
}

fn event_of(stored: &StoredEvent) -> CaseEvent {
    let Event { id, source, ty, subject, time, datacontenttype, dataschema, extensions, data } =
        stored.to_event();
    let value = |value| match value {
        AttributeValue::Boolean(value) => Value::from(value),
        AttributeValue::Integer(value) => Value::from(value),
        AttributeValue::String(value) => Value::from(value),
    };
    let extensions = extensions.into_iter().map(|(name, at)| (name, value(at))).collect();
    let data = data.map(Content::from);
    CaseEvent { id, source, ty, subject, time, datacontenttype, dataschema, extensions, data }
}

fn to_event(event: &CaseEvent) -> StoredEvent {
    let value = |value: &Value| match value {
        Value::Bool(value) => AttributeValue::Boolean(*value),
        Value::Number(number) => match number.as_i64().and_then(|at| i32::try_from(at).ok()) {
            Some(value) => AttributeValue::Integer(value),
            None => AttributeValue::String(number.to_string()),
        },
        Value::String(text) => AttributeValue::String(text.clone()),
        other => AttributeValue::String(other.to_string()),
    };
    StoredEvent::from(&Event {
        id: event.id.clone(),
        source: event.source.clone(),
        ty: event.ty.clone(),
        subject: event.subject.clone(),
        time: event.time,
        datacontenttype: event.datacontenttype.clone(),
        dataschema: event.dataschema.clone(),
        extensions: event.extensions.iter().map(|(name, at)| (name.clone(), value(at))).collect(),
        data: event.data.as_ref().map(|data| data.0.clone()),
    })
}

pub(super) fn world_of(scene: &Scene) -> CaseWorld {
    let secret = |var: &EnvVar| Some((var.secret.as_ref()?.0.to_string(), var.value.clone()));
    let signal = |(name, outcome): &(String, Outcome)| CaseSignal {
        name: name.clone(),
        answer: answer_of(outcome),
    };
    CaseWorld {
        attempt: scene.attempt,
        traceparent: scene.traceparent.clone(),
        seed: nexus_model::Digest::from_bytes(scene.seed).hex(),
        durable: scene.durable,
        started_ns: scene.started_ns,
        deadline_ns: scene.deadline_ns,
        wall_ns: scene.wall_ns.clone(),
        monotonic_ns: scene.monotonic_ns.clone(),
        deadlines_ns: scene.deadlines_ns.clone(),
        secrets: scene.secrets.iter().filter_map(secret).collect(),
        signals: scene.signals.iter().map(signal).collect(),
        effects: scene.effects.iter().map(effect_of).collect(),
    }
}

fn effect_of(effect: &Effect) -> CaseEffect {
    CaseEffect {
        operation: effect.operation,
        function: effect.function.name().to_owned(),
        target: effect.target.clone(),
        details: effect.details.clone(),
        answer: answer_of(&effect.outcome),
        answered: effect.answered,
        cut: !effect.whole,
    }
}

/// The scene of a case.
pub(super) fn scene(case: &Case) -> Result<Scene, Wrong> {
    let world = &case.world;
    let seed: nexus_model::Digest = format!("blake3:{}", world.seed)
        .parse()
        .map_err(|_| "world.seed: 64 hexadecimal digits are needed".to_owned())?;
    let secret = |(secret, value): (&String, &String)| {
        let name = Name::new(secret).map_err(|error| format!("world.secrets: {error}"))?;
        let (variable, value) = (secret.clone(), value.clone());
        Ok(EnvVar { name: variable, value, secret: Some((name, 0)) })
    };
    let mut effects = Vec::with_capacity(world.effects.len());
    for (at, effect) in world.effects.iter().enumerate() {
        effects.push(to_effect(effect).map_err(|wrong| format!("world.effects[{at}].{wrong}"))?);
    }
    let signal = |at: &CaseSignal| (at.name.clone(), to_outcome(&at.answer));
    Ok(Scene {
        invocation: case.recorded.invocation,
        project: case.recorded.project.clone(),
        attempt: world.attempt,
        traceparent: world.traceparent.clone(),
        accepted: case.recorded.accepted,
        started_ns: world.started_ns,
        deadline_ns: world.deadline_ns,
        seed: *seed.as_bytes(),
        durable: world.durable,
        input: to_input(&case.input),
        secrets: world.secrets.iter().map(secret).collect::<Result<_, Wrong>>()?,
        wall_ns: world.wall_ns.clone(),
        monotonic_ns: world.monotonic_ns.clone(),
        deadlines_ns: world.deadlines_ns.clone(),
        signals: world.signals.iter().map(signal).collect(),
        effects,
    })
}

fn to_effect(effect: &CaseEffect) -> Result<Effect, Wrong> {
    let function = Function::from_name(&effect.function)
        .ok_or_else(|| format!("function: there is no '{}'", effect.function))?;
    Ok(Effect {
        operation: effect.operation,
        function,
        target: effect.target.clone(),
        details: effect.details.clone(),
        outcome: to_outcome(&effect.answer),
        answered: effect.answered,
        whole: !effect.cut,
    })
}

fn answer_of(outcome: &Outcome) -> Answer {
    match outcome {
        // What only says how a guest got at an answer says nothing in a file.
        Outcome::Done
        | Outcome::Indices(_)
        | Outcome::Taken(_)
        | Outcome::Consumed
        | Outcome::Trailers(_) => Answer::Done,
        Outcome::Number(number) => Answer::Number(*number),
        Outcome::Clock(ns) => Answer::ClockNs(*ns),
        Outcome::Bytes(bytes) => Answer::Bytes(bytes.clone().into()),
        Outcome::Pending => Answer::Pending,
        Outcome::Closed => Answer::Closed,
        Outcome::Failed(Fault { code, text, number }) => {
            Answer::Failed(CaseFault { code: *code, text: text.clone(), number: *number })
        }
        Outcome::Head { status, headers } => Answer::Response(CaseResponse {
            status: *status,
            headers: pairs_of(headers),
            body: Content::default(),
            trailers: Vec::new(),
        }),
        Outcome::Texts(texts) => Answer::Texts(texts.clone()),
        Outcome::Payload { content_type, data } => Answer::Payload(CasePayload {
            content_type: content_type.clone(),
            data: data.clone().into(),
        }),
        Outcome::Exchange { status, headers, body, trailers } => Answer::Response(CaseResponse {
            status: *status,
            headers: pairs_of(headers),
            body: body.clone().into(),
            trailers: pairs_of(trailers),
        }),
        Outcome::Many(outcomes) => Answer::Many(outcomes.iter().map(answer_of).collect()),
        Outcome::Items(items) => {
            let item = |item: &Item| CaseItem {
                key: item.key.clone(),
                version: item.version,
                value: item.value.clone().into(),
            };
            Answer::Items(items.iter().map(item).collect())
        }
    }
}

fn to_outcome(answer: &Answer) -> Outcome {
    match answer {
        Answer::Done => Outcome::Done,
        Answer::Number(number) => Outcome::Number(*number),
        Answer::ClockNs(ns) => Outcome::Clock(*ns),
        Answer::Bytes(bytes) => Outcome::Bytes(bytes.0.clone()),
        Answer::Pending => Outcome::Pending,
        Answer::Closed => Outcome::Closed,
        Answer::Failed(CaseFault { code, text, number }) => {
            Outcome::Failed(Fault { code: *code, text: text.clone(), number: *number })
        }
        Answer::Response(response) => Outcome::Exchange {
            status: response.status,
            headers: to_pairs(&response.headers),
            body: response.body.0.clone(),
            trailers: to_pairs(&response.trailers),
        },
        Answer::Texts(texts) => Outcome::Texts(texts.clone()),
        Answer::Payload(payload) => Outcome::Payload {
            content_type: payload.content_type.clone(),
            data: payload.data.0.clone(),
        },
        Answer::Many(answers) => Outcome::Many(answers.iter().map(to_outcome).collect()),
        Answer::Items(items) => {
            let item = |item: &CaseItem| Item {
                key: item.key.clone(),
                version: item.version,
                value: item.value.0.clone(),
            };
            Outcome::Items(items.iter().map(item).collect())
        }
    }
}

pub(super) fn end_of(ended: &Ended) -> CaseEnd {
    let log = |line: &LogLine| CaseLog {
        level: line.level.clone(),
        text: line.text.clone(),
        fields: line.fields.clone(),
    };
    CaseEnd {
        status: ended.status,
        failure: ended.failure.as_ref().map(|failure| CaseFailure {
            code: failure.code.clone(),
            message: failure.message.clone(),
        }),
        http_status: ended.http_status,
        headers: pairs_of(&ended.headers),
        body: ended.output.bytes.clone().into(),
        body_size: ended.output.dropped.then_some(ended.output.size),
        trailers: pairs_of(&ended.trailers),
        content_type: ended.content_type.clone(),
        events: ended.events.iter().map(event_of).collect(),
        exit_code: ended.exit_code,
        logs: ended.logs.iter().map(log).collect(),
    }
}

pub(super) fn to_end(end: &CaseEnd) -> Ended {
    let bytes = end.body.0.clone();
    let log = |line: &CaseLog| LogLine {
        level: line.level.clone(),
        text: line.text.clone(),
        fields: line.fields.clone(),
        ..LogLine::default()
    };
    Ended {
        status: end.status,
        failure: end.failure.as_ref().map(|failure| Failure {
            code: failure.code.clone(),
            message: failure.message.clone(),
            ..Failure::default()
        }),
        http_status: end.http_status,
        headers: to_pairs(&end.headers),
        output: CapturedBody {
            size: end.body_size.unwrap_or(bytes.len() as u64),
            dropped: end.body_size.is_some(),
            bytes,
            ..CapturedBody::default()
        },
        trailers: to_pairs(&end.trailers),
        content_type: end.content_type.clone(),
        events: end.events.iter().map(to_event).collect(),
        exit_code: end.exit_code,
        logs: end.logs.iter().map(log).collect(),
        ..Ended::default()
    }
}

#[cfg(test)]
mod tests {
    use nexus_model::case::{CASE_FORMAT, Origin};
    use nexus_model::record::Status;
    use nexus_model::view::VersionRef;
    use nexus_model::{InvocationId, Timestamp, VersionId};
    use serde_json::json;

    use super::*;

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn outcomes() -> Vec<Outcome> {
        let fields = vec![("date".to_owned(), bytes("now")), ("x".to_owned(), bytes(""))];
        let item = Item { key: "k".to_owned(), version: 7, value: bytes("{\"a\": 1}") };
        let fault = Fault { code: 3, text: "no".to_owned(), number: Some(4) };
        vec![
            Outcome::Done,
            Outcome::Number(u64::MAX),
            Outcome::Clock(-5),
            Outcome::Bytes(Bytes::from_static(&[0xff, 0])),
            Outcome::Pending,
            Outcome::Closed,
            Outcome::Failed(fault),
            Outcome::Texts(vec!["evt_1".to_owned()]),
            Outcome::Payload { content_type: "text/plain".to_owned(), data: bytes("hi") },
            Outcome::Exchange {
                status: 201,
                headers: fields.clone(),
                body: bytes("[1,  2]"),
                trailers: fields,
            },
            Outcome::Many(vec![Outcome::Done, Outcome::Number(1)]),
            Outcome::Items(vec![item]),
        ]
    }

    fn whole_scene() -> Scene {
        let effect = |(at, outcome): (usize, Outcome)| Effect {
            operation: u32::try_from(at).unwrap(),
            function: Function::HttpHandle,
            target: "GET https://example.com/".to_owned(),
            details: json!({ "headers": [["accept", "*/*"]], "body": null }),
            outcome,
            answered: (at % 2 == 0).then_some(9),
            whole: at % 3 == 0,
        };
        let event = StoredEvent {
            id: "1".to_owned(),
            source: "/s".to_owned(),
            ty: "t".to_owned(),
            time_ns: Some(5),
            data: Some(Body::inline(bytes("{\"a\":  1}"))),
            ..StoredEvent::default()
        };
        Scene {
            invocation: InvocationId::from_bytes([7; 16]),
            project: Name::new("shop").unwrap(),
            attempt: 2,
            traceparent: "00-a-b-01".to_owned(),
            accepted: Timestamp::from_unix_ns(1),
            started_ns: 2,
            deadline_ns: 3,
            seed: [0xab; 32],
            durable: true,
            input: Input { form: Some(input::Form::Event(event)) },
            secrets: vec![EnvVar {
                name: "pin".to_owned(),
                value: "****".to_owned(),
                secret: Some((Name::new("pin").unwrap(), 0)),
            }],
            wall_ns: vec![1, 2],
            monotonic_ns: vec![0],
            deadlines_ns: vec![9],
            signals: vec![("paid".to_owned(), Outcome::Closed)],
            effects: outcomes().into_iter().enumerate().map(effect).collect(),
        }
    }

    #[test]
    fn a_scene_survives_its_file() {
        let before = whole_scene();
        let ended = Ended { status: Status::Failed, http_status: 500, ..Ended::default() };
        let case = Case {
            nexus_case: CASE_FORMAT,
            function: Name::new("f").unwrap(),
            recorded: Origin {
                invocation: before.invocation,
                project: before.project.clone(),
                version: VersionRef {
                    id: VersionId::from_bytes([1; 16]),
                    number: 1,
                    label: String::new(),
                },
                accepted: before.accepted,
            },
            rules: nexus_model::view::CompareRules::default(),
            redacted: Vec::new(),
            input: input_of(&before.input).unwrap(),
            world: world_of(&before),
            expect: end_of(&ended),
        };
        let read = Case::read(case.to_text().as_bytes()).unwrap();
        let after = scene(&read).unwrap();
        assert_eq!(format!("{after:?}"), format!("{before:?}"));
        let ended = to_end(&read.expect);
        assert_eq!((ended.status, ended.http_status), (Status::Failed, 500));
    }
}
