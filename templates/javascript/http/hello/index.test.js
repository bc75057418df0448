import assert from "node:assert/strict";
import test from "node:test";

import hello from "./index.js";

test("greets by name", async () => {
  const response = await hello.fetch(new Request("http://localhost/hello?name=Ada"));
  assert.equal(response.status, 200);
  assert.equal(await response.text(), "Hello, Ada!\n");
});

test("takes the name from a body", async () => {
  const request = new Request("http://localhost/", { method: "POST", body: '{"name":"Grace"}' });
  assert.equal(await (await hello.fetch(request)).text(), "Hello, Grace!\n");
});
