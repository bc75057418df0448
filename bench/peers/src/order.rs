//! What is done with an event everywhere: the same as the guest `bench/guests/hello-event` does.

use crate::Error;

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

/// Parses an order and makes the answer.
pub fn handle(data: &[u8]) -> Result<serde_json::Value, Error> {
    let order: Order<'_> = serde_json::from_slice(data)?;
    let total: u32 = order.items.iter().map(|item| item.price * item.count).sum();
    Ok(serde_json::json!({ "customer": order.customer, "total": total }))
}
