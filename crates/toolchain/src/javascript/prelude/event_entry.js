import "nexus:globals";
import { run } from "nexus:loop";
import { toBytes, encodeUtf8 } from "nexus:text";
import { context, fromRecord, toRecord } from "nexus:function";
import { begin, eventHandler, httpHandler, report, wrongEntry } from "nexus:entry";
import * as user from "user:main";

const EXPECTED = "`export default { async event(event, context) { … } }` or `export function handle(event)`";
const call = eventHandler(user) ?? wrongEntry(user, EXPECTED, httpHandler);

function isOutput(value) {
  return typeof value === "object" && value !== null && Array.isArray(value.events)
    && Object.keys(value).every((key) => key === "events" || key === "result");
}

function toPayload(value) {
  if (value === undefined || value === null) return null;
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    return { contentType: "application/octet-stream", data: toBytes(value) };
  }
  return { contentType: "application/json", data: encodeUtf8(JSON.stringify(value)) };
}

export const handler = {
  handle(record) {
    begin();
    try {
      const value = run(() => call(fromRecord(record), context));
      if (isOutput(value)) return { payload: toPayload(value.result), events: value.events.map(toRecord) };
      return { payload: toPayload(value), events: [] };
    } catch (error) {
      const text = report(error);
      const tag = error?.permanent === true ? "permanent" : "transient";
      throw { tag, val: text };
    }
  },
};
