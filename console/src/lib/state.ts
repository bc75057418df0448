import type { StateKey } from "~/api/state";

/** So much of a value is drawn in a list. */
const PREVIEW = 200;

/** The beginning of a value, on one line. */
export function previewOf({ json, text, base64 }: Pick<StateKey, "json" | "text" | "base64">): string {
  const shown = json !== undefined && json !== null ? JSON.stringify(json) : (text ?? (base64 === undefined || base64 === null ? "" : "(bytes)"));
  return shown.slice(0, PREVIEW);
}

/** A key or name that may hold anything, on one line: what is not seen is written out. */
export function shownName(name: string): string {
  if (name === "") return "(no name)";
  // oxlint-disable-next-line no-control-regex
  return name.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** JSON with line breaks, to be edited; as it is where that would change more than spaces, as with very long numbers. */
export function laidOut(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    return JSON.stringify(value) === text ? JSON.stringify(value, null, 2) : text;
  } catch {
    return text;
  }
}
