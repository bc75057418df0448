//! Generated bindings of `wit/`, in a crate of their own so that an edit elsewhere does not compile
//! them again. Nothing is written here by hand.

#[expect(missing_docs, reason = "generated; the WIT files hold the documentation")]
mod generated {
    wasmtime::component::bindgen!({
        path: "../../wit/function",
        world: "function-full",
        imports: {
            "nexus:function/events.emit": async | trappable,
            "nexus:function/durable.sleep": async | trappable,
            "nexus:function/durable.wait-signal": async | trappable,
            "nexus:function/calls": async | trappable,
            "nexus:function/state": async | trappable,
            default: trappable,
        },
        exports: { default: async },
        require_store_data_send: true,
    });
}

pub use generated::exports::nexus::function::handler;
pub use generated::nexus::function::{calls, context, durable, events, log, state, types};
pub use generated::{FunctionFull, FunctionFullIndices, FunctionFullPre};
