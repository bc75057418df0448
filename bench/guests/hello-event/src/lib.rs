//! An event function that parses its data (1 KiB of JSON in the benchmark) and answers.

use exports::nexus::function::handler::{Error, Event, Guest, Output};
use nexus::function::types::Payload;

wit_bindgen::generate!({ path: "../../../wit/function", world: "function" });

/// What the benchmark sends, as far as it is looked at.
#[derive(serde::Deserialize)]
struct Order<'a> {
    #[serde(borrow)]
    customer: &'a str,
    items: Vec<Item>,
}

#[derive(serde::Deserialize)]
struct Item {
    price: u32,
    count: u32,
}

struct Hello;

impl Guest for Hello {
    fn handle(event: Event) -> Result<Output, Error> {
        let data = event.data.unwrap_or_default();
        let order: Order<'_> =
            serde_json::from_slice(&data).map_err(|error| Error::Permanent(error.to_string()))?;
        let total: u32 = order.items.iter().map(|item| item.price * item.count).sum();
        let answer = serde_json::json!({ "customer": order.customer, "total": total });
        let payload = Payload {
            content_type: "application/json".into(),
            data: answer.to_string().into_bytes(),
        };
        Ok(Output { payload: Some(payload), events: Vec::new() })
    }
}

export!(Hello);
