/** Whether a text fits a pattern of a trigger: equal, or with a final `*` that stands for any ending. */
export function matchesPattern(pattern: string, text: string): boolean {
  return pattern.endsWith("*") ? text.startsWith(pattern.slice(0, -1)) : pattern === text;
}
