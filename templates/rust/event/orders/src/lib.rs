use nexus_sdk::{Error, Event};
use serde::{Deserialize, Serialize};

nexus_sdk::event!(handle);

#[derive(Deserialize)]
struct Order {
    order: u64,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    price: u64,
}

#[derive(Serialize, PartialEq, Debug)]
struct Accepted {
    order: u64,
    total: u64,
}

/// What it gives back is an event for whoever handles that type. `Error::permanent` says that a
/// retry does not help; any other error is tried again.
fn handle(event: Event<Order>) -> Result<Event<Accepted>, Error> {
    let order = event.data;
    if order.items.is_empty() {
        return Err(Error::permanent("an order needs items"));
    }
    let total = order.items.iter().map(|item| item.price).sum();
    nexus_sdk::info!("order accepted", order = order.order, total = total);
    Ok(Event::new("com.shop.order.accepted", Accepted { order: order.order, total }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(prices: &[u64]) -> Event<Order> {
        let items = prices.iter().map(|&price| Item { price }).collect();
        Event::new("com.shop.order.created", Order { order: 42, items })
    }

    #[test]
    fn adds_up() {
        let accepted = handle(order(&[7, 5])).unwrap();
        assert_eq!(accepted.data, Accepted { order: 42, total: 12 });
    }

    #[test]
    fn refuses_an_empty_order_for_good() {
        assert_eq!(handle(order(&[])).unwrap_err(), Error::permanent("an order needs items"));
    }
}
