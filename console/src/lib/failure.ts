import type { Failure, Frame } from "~/api/types";

/** A failure in its parts: what it says, and where it came from. */
export interface Stack {
  message: string;
  frames: string[];
}

const TRACEBACK = "Traceback (most recent call last):";
/** Frames of the machinery around a function: they explain nothing to whoever wrote it. */
const OWN = /\bnexus:(platform|entry|main|loop)\b/;

/** Takes the stack out of a message; languages write it behind the message, one frame a line. */
export function stackOf(failure: Pick<Failure, "message" | "backtrace">): Stack {
  const text = unwrap(failure.message);
  if (text.includes(TRACEBACK)) return withoutTraceback(text, failure.backtrace ?? []);
  const [first = "", ...rest] = text.split("\n");
  const lines = rest.map((line) => line.trim()).filter(Boolean);
  const frames = lines.filter((line) => line.startsWith("at ") && !OWN.test(line));
  const more = lines.filter((line) => !line.startsWith("at "));
  return { message: [first, ...more].join("\n"), frames: [...frames, ...(failure.backtrace ?? [])] };
}

/** Python writes the stack first, the innermost call last, and what went wrong behind it. */
function withoutTraceback(text: string, backtrace: string[]): Stack {
  const [before = "", rest = ""] = text.split(TRACEBACK);
  const lines = rest.split("\n").filter(Boolean);
  const frames = lines.filter((line) => /^\s+File "/.test(line)).map((line) => line.trim());
  const message = lines.filter((line) => !/^\s/.test(line)).join("\n");
  return { message: `${before}${message}`, frames: [...frames.toReversed(), ...backtrace] };
}

/** An HTTP function's error is printed as the runtime does: `… error ErrorCode::InternalError(Some("…"))`. */
function unwrap(message: string): string {
  const inner = /InternalError\(Some\((".*")\)\)$/s.exec(message)?.[1];
  if (!inner) return message;
  try {
    return String(JSON.parse(inner.replaceAll(String.raw`\'`, "'")));
  } catch {
    return message;
  }
}

/** What people call the place of a frame: `src/price.rs:6`. */
export function placeOf({ source, file, line, module, offset }: Pick<Frame, "source" | "file" | "line" | "module" | "offset">): string {
  const name = source ?? file;
  if (!name) return `${module || "module"} + ${offset}`;
  return line ? `${name}:${line}` : name;
}

/** Whether a frame is of the function's own code, not of what it is built with. */
export function isOwn({ source }: Pick<Frame, "source">): boolean {
  return Boolean(source) && !/(^|\/)nexus[-_]sdk\//.test(source ?? "");
}
