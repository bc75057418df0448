// What both entries need.
import { goLive } from "nexus:host";
import { errorText, write } from "nexus:console";

export function begin() {
  goLive();
}

// Names the other kind of handler, so that the builder can choose the other world.
export function wrongEntry(namespace, wanted, other) {
  const user = namespace.default;
  if (other(namespace)) throw new Error("NEXUS_OTHER_ENTRY");
  const found = Object.keys(namespace).join(", ") || "nothing";
  const type = user === undefined ? "" : ` (default is ${user === null ? "null" : typeof user})`;
  throw new Error(`the module exports no handler: expected ${wanted}; it exports ${found}${type}`);
}

export function httpHandler(namespace) {
  const user = namespace.default;
  if (typeof user?.fetch === "function") return (request, context) => user.fetch(request, context.env, context);
  if (typeof namespace.fetch === "function") return (request, context) => namespace.fetch(request, context.env, context);
  return null;
}

export function eventHandler(namespace) {
  const user = namespace.default;
  if (typeof user?.event === "function") return (event, context) => user.event(event, context);
  if (typeof namespace.event === "function") return (event, context) => namespace.event(event, context);
  if (typeof namespace.handle === "function") return (event, context) => namespace.handle(event, context);
  return null;
}

export function report(error) {
  const text = errorText(error);
  write("error", text);
  return text;
}
