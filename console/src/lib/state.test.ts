import assert from "node:assert/strict";
import test from "node:test";

import { laidOut, previewOf, shownName } from "./state";

test("names are one line that can be told apart", () => {
  assert.equal(shownName("cart/42"), "cart/42");
  assert.equal(shownName("a\nb\u0000"), "a\\u000ab\\u0000");
  assert.equal(shownName(""), "(no name)");
});

test("a value is shown by its beginning, whatever form it has", () => {
  assert.equal(previewOf({ json: { a: [1] } }), '{"a":[1]}');
  assert.equal(previewOf({ json: "text" }), '"text"');
  assert.equal(previewOf({ text: "12" }), "12");
  assert.equal(previewOf({ base64: "/w==" }), "(bytes)");
  assert.equal(previewOf({}), "");
  assert.equal(previewOf({ text: "x".repeat(500) }).length, 200);
});

test("what is edited loses no digit", () => {
  assert.equal(laidOut('{"a":1}'), '{\n  "a": 1\n}');
  for (const kept of ['{"a":12345678901234567890}', '{"a":1.0}', '{ "a": 1 }', "{", "text"]) assert.equal(laidOut(kept), kept);
});
