import assert from "node:assert/strict";
import test from "node:test";

import { command, curl, quote, withQuery } from "./cli";
import { exampleOf } from "./example";
import { stackOf } from "./failure";
import { formatBytes, formatCompact, formatRate, formatShare, plural, shortId } from "./format";
import { best, score } from "./fuzzy";
import { place } from "./graph";
import { hexRows } from "./hex";
import { matchesPattern } from "./pattern";
import { dataOf, payloadOf } from "./payload";

test("numbers for people never lie about nothing and everything", () => {
  assert.deepEqual([0, 0.000_01, 0.004_2, 0.042, 0.42, 0.999_6, 1].map(formatShare), ["0 %", "<0.01 %", "0.42 %", "4.2 %", "42 %", "99.9 %", "100 %"]);
  assert.deepEqual([0, 999, 1_200, 34_000, 999_600, 1_400_000].map(formatCompact), ["0", "999", "1.2 k", "34 k", "1 M", "1.4 M"]);
  assert.deepEqual([0, 1_023, 1_024, 65_536, 1_900_000].map(formatBytes), ["0 B", "1023 B", "1 KiB", "64 KiB", "1.8 MiB"]);
  assert.deepEqual([0, 0.001, 0.4, 4.3, 120].map(formatRate), ["0/s", "<0.01/s", "0.40/s", "4.3/s", "120/s"]);
  assert.equal(plural(1, "event"), "1 event");
  assert.equal(plural(1_200, "event"), "1,200 events");
  assert.equal(shortId("inv_01m8cfejsqfbv8000c6z1mqpr0"), "inv_…1mqpr0");
});

test("a copied command says what it says in every shell", () => {
  assert.equal(quote("com.shop.order"), "com.shop.order");
  assert.equal(quote(`it's "x" $HOME`), `'it'\\''s "x" $HOME'`);
  assert.equal(command("nexus", "emit", ["--subject", ""], ["-d", '{"a":1}'], false), `nexus emit -d '{"a":1}'`);
  assert.equal(curl("http://h", "/a?b=c"), `curl -s -H "authorization: Bearer $NEXUS_TOKEN" 'http://h/a?b=c'`);
  assert.equal(withQuery("/a", { x: 1, y: undefined, z: "b c" }), "/a?x=1&z=b+c");
});

test("an example fits its schema as far as it says", () => {
  const schema = {
    type: "object",
    required: ["order", "items"],
    properties: {
      order: { type: "string" },
      items: { type: "array", items: { $ref: "#/$defs/item" } },
      at: { type: "string", format: "date-time" },
      paid: { type: "boolean" },
      kind: { enum: ["a", "b"] },
    },
    $defs: { item: { type: "object", required: ["price"], properties: { price: { type: "number", minimum: 2 }, note: { type: "string" } } } },
  };
  assert.deepEqual(exampleOf(schema), { order: "text", items: [{ price: 2 }], at: "2026-01-01T00:00:00Z", paid: false, kind: "a" });
  assert.equal(exampleOf(true), null);
  const endless = { $ref: "#" };
  assert.equal(exampleOf(endless), null);
});

test("a failure loses the machinery of its stack", () => {
  const message = "PermanentError: an order needs items\n    at PermanentError (nexus:platform:9:1)\n    at event (index.js:6:35)\n    at handle (nexus:main:28:21)";
  assert.deepEqual(stackOf({ message }), { message: "PermanentError: an order needs items", frames: ["at event (index.js:6:35)"] });
  const http = String.raw`the function answered with the error ErrorCode::InternalError(Some("Error: no template for the page 'broken'\n    at fetch (index.js:14:38)"))`;
  assert.deepEqual(stackOf({ message: http }), { message: "Error: no template for the page 'broken'", frames: ["at fetch (index.js:14:38)"] });
  const python = 'it failed: Traceback (most recent call last):\n  File "/1/app.py", line 16, in handle\n    discount(1)\n  File "/1/app.py", line 8, in discount\nValueError: no';
  assert.deepEqual(stackOf({ message: python }), {
    message: "it failed: ValueError: no",
    frames: ['File "/1/app.py", line 8, in discount', 'File "/1/app.py", line 16, in handle'],
  });
  assert.deepEqual(stackOf({ message: "unreachable", backtrace: ["0: main"] }), { message: "unreachable", frames: ["0: main"] });
});

test("what is typed finds what begins like it first", () => {
  const names = ["Go to schemas", "payments", "storefront", "stripe"];
  assert.deepEqual(best(names, "st", (it) => it, 9), ["stripe", "storefront"]);
  assert.deepEqual(best(names, "zz", (it) => it, 9), []);
  assert.ok(score("Go to events", "gte") > score("targeted", "gte"));
});

test("effects stand right of their causes, and no two nodes in one place", () => {
  const layout = (ids: string, ...edges: string[]) =>
    place(
      [...ids].map((id) => ({ id })),
      edges.map((edge) => ({ from: edge.charAt(0), to: edge.charAt(1) })),
      { column: 10, row: 2 },
    ).map(({ id, x, y }) => `${id} ${x} ${y}`);
  assert.deepEqual(layout("abcde", "ab", "ac", "cd", "?a"), ["a 0 1", "b 10 0", "c 10 2", "d 20 2", "e 0 4"]);
  assert.deepEqual(layout("abc", "ac", "bc"), ["a 0 0", "c 10 0", "b 0 2"], "the first cause counts");
  assert.equal(new Set(layout("abc", "ab", "bc", "ca")).size, 3, "a circle ends");
});

test("patterns of triggers and payloads of recordings", () => {
  assert.ok(matchesPattern("com.shop.*", "com.shop.order"));
  assert.ok(!matchesPattern("com.shop", "com.shop.order"));
  assert.equal(payloadOf(null), undefined);
  const payload = payloadOf({ method: "GET", headers: [["a", "b"], ["broken"]], body: { size: 2, json: { x: 1 } } });
  assert.deepEqual(payload, { method: "GET", headers: [["a", "b"]], body: { size: 2, dropped: false, json: { x: 1 } } });
  assert.equal(dataOf(payload), '{\n  "x": 1\n}');
  assert.equal(dataOf(payloadOf({ event: { data: "text" } })), "text");
});

test("memory is shown sixteen bytes a line", () => {
  assert.deepEqual(hexRows(0x1f0, btoa("Hello, memory! \u0000\u00ff")), [
    { address: "000001f0", bytes: "48 65 6c 6c 6f 2c 20 6d 65 6d 6f 72 79 21 20 00", text: "Hello, memory! ·" },
    { address: "00000200", bytes: "ff".padEnd(47), text: "·" },
  ]);
  assert.deepEqual(hexRows(0, ""), []);
});
