// Every command that the console offers to copy is one that the program takes.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";

import { binary } from "./lib/server";

const SOURCES = fileURLToPath(new URL("../src", import.meta.url));

interface Template {
  file: string;
  /** `invocations show`: what is said before anything that the page fills in. */
  words: string[];
  flags: string[];
}

function templates(): Template[] {
  const files = readdirSync(SOURCES, { recursive: true, encoding: "utf8" }).filter((file) => /\.tsx?$/.test(file) && !file.endsWith(".test.ts"));
  return files.flatMap((file) => {
    const text = readFileSync(join(SOURCES, file), "utf8");
    return [...text.matchAll(/\bcommand\(\s*"nexus",/g)].map((found) => templateOf(file, insideOf(text, found.index + "command".length)));
  });
}

/** What stands between a parenthesis and the one that closes it. */
function insideOf(text: string, open: number): string {
  let depth = 0;
  for (let at = open; at < text.length; at += 1) {
    if (text[at] === "(") depth += 1;
    if (text[at] === ")" && --depth === 0) return text.slice(open + 1, at);
  }
  throw new Error("a parenthesis is not closed");
}

function templateOf(file: string, inside: string): Template {
  const leading = /^\s*((?:"[^"]*"\s*,?\s*)+)/.exec(inside)?.[1] ?? "";
  const words = [...leading.matchAll(/"([^"]*)"/g)].map((word) => word[1] ?? "");
  const until = words.findIndex((word) => word.startsWith("-"));
  const flags = [...inside.matchAll(/["`](--?[a-z][a-z-]*)/g)].map((flag) => flag[1] ?? "");
  return { file, words: words.slice(1, until < 0 ? undefined : until), flags: [...new Set(flags)] };
}

test("every command to be copied is one of the program, with flags that it has", () => {
  const all = templates();
  assert.ok(all.length >= 25, `only ${all.length} commands were found`);
  for (const { file, words, flags } of all) {
    const said = `nexus ${[...words, ...flags].join(" ")} (${file})`;
    const help = spawnSync(binary(), [...words, "--help"], { encoding: "utf8" });
    assert.equal(help.status, 0, `${said}: ${help.stderr}`);
    // A word that is none of its commands would show the help of the program itself.
    assert.match(help.stdout, new RegExp(`Usage: \\S+ ${words[0] ?? ""}`), said);
    for (const flag of flags) assert.match(help.stdout, new RegExp(`(^|[\\s,])${flag}([\\s=,[]|$)`, "m"), `${said}: no ${flag}`);
  }
});
