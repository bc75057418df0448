import assert from "node:assert/strict";
import test from "node:test";

import { differences, lineDiff, type Json } from "./diff";

test("equal values have no differences", () => {
  const value: Json = { a: [1, { b: null }], c: "x" };
  assert.deepEqual(differences(value, structuredClone(value)), []);
});

test("each difference has its place, as jq names it", () => {
  const before: Json = { total: 1, items: [{ sku: "tea" }, { sku: "pot" }], "content-type": "a", gone: true };
  const after: Json = { total: 2, items: [{ sku: "tea" }], "content-type": "b", come: null };
  assert.deepEqual(differences(before, after), [
    { path: ".total", kind: "changed", before: 1, after: 2 },
    { path: ".items[1]", kind: "removed", before: { sku: "pot" } },
    { path: '["content-type"]', kind: "changed", before: "a", after: "b" },
    { path: ".gone", kind: "removed", before: true },
    { path: ".come", kind: "added", after: null },
  ]);
});

test("values of another kind are changed as a whole", () => {
  assert.deepEqual(differences([1], { 0: 1 }), [{ path: "", kind: "changed", before: [1], after: { 0: 1 } }]);
  assert.deepEqual(differences(null, {}), [{ path: "", kind: "changed", before: null, after: {} }]);
});

test("lines that are the same stay, whatever is put between them", () => {
  const shown = (before: string, after: string) =>
    lineDiff(before, after).map(({ kind, text }) => ({ same: " ", added: "+", removed: "-" })[kind] + text);
  assert.deepEqual(shown("a\nb\nc", "a\nx\nc\nd"), [" a", "-b", "+x", " c", "+d"]);
  assert.deepEqual(shown("a", "a"), [" a"]);
  assert.deepEqual(shown("a\nb", "b\na"), ["-a", " b", "+a"]);
});

test("a diff gives back both texts", () => {
  let state = 1;
  const random = () => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 1) / 2 ** 31;
  for (let round = 0; round < 300; round += 1) {
    const text = () => Array.from({ length: Math.floor(random() * 9) + 1 }, () => "abc"[Math.floor(random() * 3)]).join("\n");
    const [before, after] = [text(), text()];
    const lines = lineDiff(before, after);
    const side = (gone: string) => lines.filter(({ kind }) => kind !== gone).map((line) => line.text).join("\n");
    assert.equal(side("added"), before);
    assert.equal(side("removed"), after);
  }
});
