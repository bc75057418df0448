// What the console may weigh. Whoever makes it heavier finds out here.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";

const DIST = fileURLToPath(new URL("../dist", import.meta.url));
const KIB = 1_024;
/** Scripts before the first useful screen, gzip. */
const FIRST_SCRIPT_MAX = 200 * 1_000;
const STYLE_MAX = 25 * 1_000;
/** A page that is loaded when it is gone to, gzip. */
const PAGE_MAX = 90 * 1_000;
/** All files as they are embedded: compressed both ways, where that makes them smaller. */
const EMBEDDED_MAX = 3 * KIB * KIB;

const assets = readdirSync(join(DIST, "assets"));
const gzip = (file: string) => gzipSync(readFileSync(join(DIST, file)), { level: 9 }).length;

/** The scripts that a script needs before it runs: its static imports, and theirs. */
function withImports(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  const source = readFileSync(join(DIST, "assets", file), "utf8");
  for (const [, name = ""] of source.matchAll(/(?:from|import)\s*["']\.\/([^"']+\.js)["']/g)) withImports(name, seen);
  return seen;
}

const entry = /assets\/(console-[^"]+\.js)/.exec(readFileSync(join(DIST, "index.html"), "utf8"))?.[1] ?? "";
const first = withImports(entry);

test("the first screen keeps its budget", () => {
  const overview = assets.find((file) => /^OverviewPage-.*\.js$/.test(file));
  assert.ok(overview);
  const scripts = [...withImports(overview, new Set(first))];
  const bytes = scripts.reduce((sum, file) => sum + gzip(`assets/${file}`), 0);
  console.log(`first screen: ${scripts.length} scripts, ${bytes} bytes gzip`);
  assert.ok(bytes <= FIRST_SCRIPT_MAX, `${bytes} bytes: ${scripts.join(", ")}`);
});

test("styles keep their budget", () => {
  const bytes = assets.filter((file) => /^console-.*\.css$/.test(file)).reduce((sum, file) => sum + gzip(`assets/${file}`), 0);
  assert.ok(bytes > 0 && bytes <= STYLE_MAX, `${bytes} bytes`);
});

test("each page keeps its budget", () => {
  for (const page of assets.filter((file) => /Page-.*\.js$/.test(file))) {
    const own = [...withImports(page)].filter((file) => !first.has(file));
    const bytes = own.reduce((sum, file) => sum + gzip(`assets/${file}`), 0);
    assert.ok(bytes <= PAGE_MAX, `${page}: ${bytes} bytes`);
  }
});

test("heavy parts are loaded when they are needed", () => {
  for (const heavy of ["ChartCanvas", "GraphCanvas", "CodeEditor"]) {
    const file = assets.find((name) => name.startsWith(`${heavy}-`) && name.endsWith(".js"));
    assert.ok(file && !first.has(file), heavy);
  }
});

test("everything together keeps its budget", () => {
  let bytes = 0;
  for (const file of readdirSync(DIST, { recursive: true, encoding: "utf8", withFileTypes: true })) {
    if (!file.isFile()) continue;
    const content = readFileSync(join(file.parentPath, file.name));
    const packed = gzipSync(content, { level: 9 }).length + brotliCompressSync(content).length;
    bytes += Math.min(content.length, packed);
  }
  console.log(`embedded: ${bytes} bytes`);
  assert.ok(bytes <= EMBEDDED_MAX, `${bytes} bytes`);
});

test("no page needs an inline script", () => {
  for (const page of ["index.html", "docs/index.html"]) {
    const html = readFileSync(join(DIST, page), "utf8");
    assert.doesNotMatch(html, /<script(?![^>]*\ssrc=)/, page);
    assert.doesNotMatch(html, /\son\w+=/, page);
  }
});
