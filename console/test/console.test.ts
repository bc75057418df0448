// The console as it was built, before the real program with real functions, in a real browser.
import assert from "node:assert/strict";
import test, { after, before } from "node:test";

import { complaints, startWorld, type World } from "./lib/world";
import { comparing } from "./scenarios/compare";
import { deadLetters } from "./scenarios/deadLetters";
import { debugging } from "./scenarios/debug";
import { events } from "./scenarios/events";
import { functions } from "./scenarios/functions";
import { invocations } from "./scenarios/invocations";
import { looks } from "./scenarios/looks";
import { rest } from "./scenarios/rest";
import { signIn } from "./scenarios/signin";
import { state } from "./scenarios/state";

let made: World | undefined;
const world = (): World => {
  assert.ok(made, "the world was made");
  return made;
};

before(async () => {
  made = await startWorld();
});
after(() => made?.close());

looks(world);
signIn(world);
invocations(world);
events(world);
functions(world);
state(world);
debugging(world);
comparing(world);
rest(world);
deadLetters(world);

test("no page complained: no exception, no refused resource, no breach of the policy", () => {
  assert.deepEqual(complaints, []);
});
