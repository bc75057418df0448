// A server with the sample shop and a past: `NEXUS_BIN=… npm run sample -- [folder] [visits]`. It stays until it is stopped,
// with new orders all the time, so that there is something to see.
import { existsSync } from "node:fs";
import { join } from "node:path";

import { deployShop, pause, startNexus } from "./lib/server";
import { sendOrders, sundries, visit } from "./lib/traffic";
import { startUpstream } from "./lib/upstream";

const folder = process.argv[2] ?? "test/output/sample";
const visits = Number(process.argv[3] ?? 2_000);
const known = existsSync(join(folder, "data"));
const upstream = await startUpstream();
const nexus = await startNexus(join(folder, "data"), { api: 17_070, ingress: 18_080 });
console.log(`API ${nexus.api}, functions ${nexus.ingress}, token in ${join(folder, "data", "token")}`);
await deployShop(nexus, upstream.url, join(folder, "shop"));
console.log("deployed");
if (!known) await sundries(nexus);
await visit(nexus, visits);
let sent = Date.now() % 1e9;
await sendOrders(nexus, sent, Math.round(visits / 10));
console.log("filled");
process.on("SIGINT", () => void nexus.stop().then(() => process.exit(0)));
process.on("SIGTERM", () => void nexus.stop().then(() => process.exit(0)));
for (;;) {
  sent += 1_000;
  await sendOrders(nexus, sent, 2);
  await visit(nexus, 3, sent);
  await pause(2_000);
}
