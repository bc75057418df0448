//! An account as an aggregate: commands come as events, rules look at the state, and what happened
//! goes into the account's stream and out to everybody else.
//!
//! Commands of one account should be handled in their order: give them its number as ordering key.

use nexus_sdk::{Aggregate, Error, Event, Loaded, Output};
use serde::{Deserialize, Serialize};

nexus_sdk::event!(handle);

/// What somebody wants.
#[derive(Deserialize)]
struct Command {
    account: String,
    /// In cents; negative to withdraw.
    amount: i64,
}

/// What happened.
#[derive(Clone, Serialize, Deserialize)]
enum Change {
    Deposited { amount: i64 },
    Withdrawn { amount: i64 },
}

#[derive(Default, Serialize, Deserialize)]
struct Account {
    balance: i64,
}

impl Aggregate for Account {
    type Event = Change;
    const NAME: &'static str = "account";

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Deposited { amount } => self.balance += amount,
            Change::Withdrawn { amount } => self.balance -= amount,
        }
    }
}

impl Account {
    /// The rules.
    fn decide(&self, amount: i64) -> Result<Change, Error> {
        match amount {
            0 => Err(Error::permanent("nothing to do")),
            1.. => Ok(Change::Deposited { amount }),
            _ if self.balance + amount < 0 => {
                Err(Error::permanent(format!("{} cents are not enough", self.balance)))
            }
            _ => Ok(Change::Withdrawn { amount: -amount }),
        }
    }
}

fn handle(command: Event<Command>) -> Result<Output, Error> {
    let Command { account: id, amount } = command.data;
    let mut account = Loaded::<Account>::load(&id)?;
    let change = account.state.decide(amount)?;
    account.commit(vec![change.clone()])?;
    let news = Event::new("com.bank.account.changed", change).subject(id);
    Ok(Output::result(account.state.balance).and_event(news))
}
