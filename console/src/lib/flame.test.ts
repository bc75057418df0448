import assert from "node:assert/strict";
import test from "node:test";

import { flameBoxes, flameTree, functionShares, samplesWith, shortName } from "./flame";

const frame = (name: string) => ({ function: name, own: true });
const profile = {
  frames: [frame("main"), frame("parse"), frame("shop::price::tax")],
  stacks: [
    { frames: [0, 1], samples: 2 },
    { frames: [0, 2], samples: 5 },
    { frames: [0], samples: 1 },
    { frames: [0, 2, 2], samples: 2 },
  ],
};

test("stacks become a tree, the larger part to the left", () => {
  const root = flameTree(profile);
  assert.equal(root.samples, 10);
  const [main] = root.children;
  assert.deepEqual([main?.samples, main?.own], [10, 1]);
  assert.deepEqual(main?.children.map((it) => [it.frame, it.samples]), [[2, 7], [1, 2]]);
});

test("boxes are shares of what is zoomed to; what leads there takes the whole width", () => {
  const root = flameTree(profile);
  const tax = root.children[0]?.children[0];
  assert.ok(tax);
  const shown = (boxes: ReturnType<typeof flameBoxes>) => boxes.map(({ node, left, width }) => [node.frame, left, Number(width.toFixed(3))]);
  assert.deepEqual(shown(flameBoxes(root, 0)), [[-1, 0, 1], [0, 0, 1], [2, 0, 0.7], [2, 0, 0.2], [1, 0.7, 0.2]]);
  assert.deepEqual(shown(flameBoxes(tax, 0)), [[-1, 0, 1], [0, 0, 1], [2, 0, 1], [2, 0, 0.286]]);
  assert.equal(flameBoxes(root, 0.5).length, 3);
});

test("functions are counted once a stack, also where they call themselves", () => {
  const shares = functionShares(profile).map(({ name, own, whole }) => [name, own, whole]);
  assert.deepEqual(shares, [["shop::price::tax", 7, 7], ["parse", 2, 2], ["main", 1, 10]]);
  assert.equal(samplesWith(profile, "TAX"), 7);
  assert.equal(samplesWith(profile, ""), 0);
});

test("names are cut to what tells", () => {
  for (const [name, expected] of [
    ["shop::price::tax", "price::tax"],
    ["main", "main"],
    ["<alloc::vec::Vec<T> as core::clone::Clone>::clone", "<alloc::vec::Vec<T> as core::clone::Clone>::clone"],
  ] as const)
    assert.equal(shortName(name), expected);
});
