import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const DIST = fileURLToPath(new URL("../../dist", import.meta.url));

/** As strict as the console can bear: style attributes are set by the editor. The server may be laxer, never stricter. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
};

/** The console as it was built last, before the API of a server: what is tested is always what lies in `dist`. */
export interface Site {
  url: string;
  close: () => void;
}

export async function startSite(api: string): Promise<Site> {
  if (!existsSync(join(DIST, "index.html"))) throw new Error("dist is missing: npm run build");
  const server = createServer((incoming, response) => {
    const path = new URL(incoming.url ?? "/", "http://site").pathname;
    if (path.startsWith("/api/")) pass(api, incoming, response);
    else serve(path, response);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

function serve(path: string, response: ServerResponse): void {
  const file = join(DIST, normalize(path));
  const found = file.startsWith(DIST) && existsSync(file) && statSync(file).isFile() ? file : join(DIST, "index.html");
  response.writeHead(200, {
    "content-type": TYPES[extname(found)] ?? "application/octet-stream",
    "content-security-policy": POLICY,
  });
  createReadStream(found).pipe(response);
}

function pass(api: string, incoming: IncomingMessage, response: ServerResponse): void {
  const target = new URL(incoming.url ?? "/", api);
  const onward = request(target, { method: incoming.method ?? "GET", headers: incoming.headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    // Heads of streams must not wait for the first event.
    response.flushHeaders();
    answer.pipe(response);
  });
  onward.on("error", () => response.destroy());
  response.on("close", () => onward.destroy());
  incoming.pipe(onward);
}
