//! Variables as editors ask for them: scopes of a frame, and the insides of JSON values.

use nexus_model::view::{DebugCommand, DebugState, OperationView, Variable};
use serde_json::{Value, json};

const GLOBALS: i64 = 1;
const OPERATION: i64 = 2;
const WHAT_IF: i64 = 3;
const LOCALS: i64 = 1_000;
const VARIABLES: i64 = 2_000;
const VALUES: i64 = 100_000;

/// Hands out references; all are void once the guest has moved.
#[derive(Default)]
pub(super) struct Variables {
    values: Vec<Inside>,
}

/// What a reference was handed out for.
#[derive(Clone)]
enum Inside {
    /// A part of an operation's result.
    Json(Value),
    /// A value of the guest: its frame and its path.
    Guest(u32, String),
}

/// Which of many variables an editor asks for.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) start: u32,
    pub(super) count: Option<u32>,
}

impl Variables {
    pub(super) fn forget(&mut self) {
        self.values.clear();
    }

    /// The scopes of a frame.
    pub(super) fn scopes(&self, state: &DebugState, frame: usize) -> Value {
        let scope = |name: &str, reference: i64, hint: Option<&str>| {
            let mut scope = json!({
                "name": name,
                "variablesReference": reference,
                "expensive": false,
            });
            if let Some(hint) = hint {
                scope["presentationHint"] = hint.into();
            }
            scope
        };
        let mut scopes = Vec::new();
        // Editors open the first scope.
        if state.frames.get(frame).is_some_and(|frame| frame.at.file.is_some()) {
            scopes.push(scope("Variables", VARIABLES + frame as i64, Some("locals")));
        }
        if state.current.is_some() {
            scopes.push(scope("Operation", OPERATION, None));
        }
        if frame < state.frames.len() {
            scopes.push(scope("WebAssembly", LOCALS + frame as i64, Some("registers")));
            scopes.push(scope("Globals", GLOBALS, Some("registers")));
        }
        if !state.what_if.is_empty() {
            scopes.push(scope("What if", WHAT_IF, None));
        }
        json!({ "scopes": scopes })
    }

    /// What a reference stands for.
    pub(super) fn variables(&mut self, state: &DebugState, reference: i64) -> Value {
        let list = match reference {
            GLOBALS => state.globals.iter().map(plain).collect(),
            OPERATION => match &state.current {
                Some(operation) => self.operation(operation),
                None => Vec::new(),
            },
            WHAT_IF => {
                let name = |it: &OperationView| format!("{} {}", it.operation, it.function);
                state.what_if.iter().map(|it| self.json(&name(it), &it.result)).collect()
            }
            frame if (VARIABLES..VALUES).contains(&frame) => {
                let frame = (frame - VARIABLES) as u32;
                let known = state.frames.get(frame as usize);
                let known = known.map(|it| it.variables.clone()).unwrap_or_default();
                known.iter().map(|it| self.guest(frame, it)).collect()
            }
            frame if (LOCALS..VARIABLES).contains(&frame) => {
                let frame = state.frames.get((frame - LOCALS) as usize);
                frame.map(|it| it.locals.iter().map(plain).collect()).unwrap_or_default()
            }
            value => self.inside(value - VALUES),
        };
        json!({ "variables": list })
    }

    fn operation(&mut self, operation: &OperationView) -> Vec<Value> {
        let text = |name: &str, value: String| {
            json!({ "name": name, "value": value, "variablesReference": 0,
                    "presentationHint": { "attributes": ["readOnly"] } })
        };
        let mut list = vec![
            text("operation", operation.operation.to_string()),
            text("function", operation.function.clone()),
        ];
        if !operation.arguments.is_empty() {
            list.push(text("arguments", operation.arguments.clone()));
        }
        list.push(self.json("result", &operation.result));
        list
    }

    /// A JSON value; lists and objects can be opened.
    pub(super) fn json(&mut self, name: &str, value: &Value) -> Value {
        let reference = match value {
            Value::Array(_) | Value::Object(_) => {
                self.values.push(Inside::Json(value.clone()));
                VALUES + self.values.len() as i64 - 1
            }
            _ => 0,
        };
        json!({ "name": name, "value": value.to_string(), "variablesReference": reference })
    }

    /// A variable of the guest; what has values inside can be opened.
    pub(super) fn guest(&mut self, frame: u32, variable: &Variable) -> Value {
        let mut shown = plain(variable);
        if !variable.path.is_empty() {
            shown["evaluateName"] = variable.path.clone().into();
        }
        if variable.children > 0 {
            self.values.push(Inside::Guest(frame, variable.path.clone()));
            shown["variablesReference"] = (VALUES + self.values.len() as i64 - 1).into();
            // Long lists are asked for in parts.
            let kind = match variable.value.starts_with('[') {
                true => "indexedVariables",
                false => "namedVariables",
            };
            shown[kind] = variable.children.into();
        }
        shown
    }

    /// What has to be asked of the guest to answer for a reference: the frame, and the command.
    pub(super) fn question(
        &self,
        state: &DebugState,
        (reference, part): (i64, Part),
    ) -> Option<(u32, DebugCommand)> {
        let (frame, of) = match reference {
            // Variables in code of libraries come only when they are asked for.
            scope if (VARIABLES..VALUES).contains(&scope) => {
                let frame = (scope - VARIABLES) as u32;
                let known = state.frames.get(frame as usize)?;
                known.variables.is_empty().then_some((frame, String::new()))?
            }
            value => match self.at(value - VALUES)? {
                Inside::Guest(frame, path) => (frame, path),
                Inside::Json(_) => return None,
            },
        };
        let Part { start, count } = part;
        Some((frame, DebugCommand::Variables { frame, of, start, count }))
    }

    fn at(&self, index: i64) -> Option<Inside> {
        usize::try_from(index).ok().and_then(|index| self.values.get(index)).cloned()
    }

    fn inside(&mut self, index: i64) -> Vec<Value> {
        match self.at(index) {
            Some(Inside::Json(Value::Array(items))) => {
                let items = items.iter().enumerate();
                items.map(|(at, item)| self.json(&at.to_string(), item)).collect()
            }
            Some(Inside::Json(Value::Object(fields))) => {
                fields.iter().map(|(name, value)| self.json(name, value)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether a variable is the result of the current operation, which may be edited.
    pub(super) fn is_result(reference: i64, name: &str) -> bool {
        reference == OPERATION && name == "result"
    }
}

/// Where a variable is in memory; of one of WebAssembly the number that it shows first.
pub(super) fn address(variable: &Variable) -> Option<u64> {
    if variable.address.is_some() {
        return variable.address;
    }
    let number: i64 = variable.value.split(' ').next()?.parse().ok()?;
    (variable.ty == "i32").then_some(u64::from(number as u32))
}

fn plain(variable: &Variable) -> Value {
    let mut value = json!({
        "name": variable.name,
        "value": variable.value,
        "type": variable.ty,
        "variablesReference": 0,
        "presentationHint": { "attributes": ["readOnly"] },
    });
    if let Some(address) = address(variable) {
        value["memoryReference"] = format!("{address:#x}").into();
    }
    value
}
