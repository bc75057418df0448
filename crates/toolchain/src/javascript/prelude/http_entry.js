import "nexus:globals";
import { dispose, http } from "nexus:host";
import { idle, run } from "nexus:loop";
import { sendBody, withFirst } from "nexus:streams";
import { Request, takeBody } from "nexus:fetch-types";
import { incomingBody, methodText, toFields, toHeaders } from "nexus:fetch";
import { context } from "nexus:function";
import { begin, eventHandler, httpHandler, report, wrongEntry } from "nexus:entry";
import * as user from "user:main";

const EXPECTED = "`export default { async fetch(request) { … } }` for HTTP, or `{ async event(event, context) { … } }` for events";
const handler = httpHandler(user) ?? wrongEntry(user, EXPECTED, eventHandler);

function toRequest(incoming) {
  const method = methodText(incoming.method());
  const scheme = incoming.scheme()?.tag === "HTTPS" ? "https" : "http";
  const headers = toHeaders(incoming.headers());
  const authority = incoming.authority() ?? headers.get("host") ?? "localhost";
  const url = `${scheme}://${authority}${incoming.pathWithQuery() ?? "/"}`;
  const hasBody = method !== "GET" && method !== "HEAD";
  const body = hasBody ? incomingBody(incoming) : null;
  return new Request(url, { method, headers, body });
}

// Whether a body that streams fails at once is known before the head goes out: then the whole answer
// can say so. A body that has nothing to say yet does not keep the head back.
async function begun(body) {
  if (body === null || body instanceof Uint8Array) return body;
  const chunks = body[Symbol.asyncIterator]();
  const first = chunks.next();
  await Promise.race([first, idle()]);
  return withFirst(first, chunks);
}

async function answer(incoming, setAnswer) {
  const response = await handler(toRequest(incoming), context);
  if (typeof response?.status !== "number" || !response.headers) {
    throw new TypeError("the handler must return a Response");
  }
  const body = takeBody(response);
  if (body instanceof Uint8Array && !response.headers.has("content-length")) {
    response.headers.set("content-length", String(body.length));
  }
  const chunks = await begun(body);
  const outgoing = new http.OutgoingResponse(toFields(response.headers));
  outgoing.setStatusCode(response.status);
  const outgoingBody = outgoing.body();
  setAnswer({ tag: "ok", val: outgoing });
  await sendBody(outgoingBody, http.OutgoingBody, chunks);
}

export const incomingHandler = {
  handle(incoming, out) {
    begin();
    let answered = false;
    const setAnswer = (result) => {
      answered = true;
      http.ResponseOutparam.set(out, result);
    };
    try {
      run(() => answer(incoming, setAnswer));
    } catch (error) {
      const text = report(error);
      // After the head is gone the host breaks off a body that was not finished.
      if (answered) return;
      setAnswer({ tag: "err", val: { tag: "internal-error", val: text } });
    }
    dispose(incoming);
  },
};
