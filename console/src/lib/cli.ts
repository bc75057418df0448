/** A text as one word of a POSIX shell. */
export function quote(text: string): string {
  return /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A command line from its parts; what is undefined or false is left out, `[flag, value]` needs its value. */
export function command(...parts: (string | undefined | false | readonly [string, string | undefined])[]): string {
  const words: string[] = [];
  for (const part of parts) {
    if (!part) continue;
    if (typeof part === "string") words.push(quote(part));
    else if (part[1]) words.push(part[0], quote(part[1]));
  }
  return words.join(" ");
}

/** The same as a request. The token comes from the environment: a copied command holds no secret. */
export function curl(origin: string, path: string, options: { method?: string; body?: string } = {}): string {
  const words = ["curl", "-s"];
  if (options.method && options.method !== "GET") words.push("-X", options.method);
  words.push("-H", '"authorization: Bearer $NEXUS_TOKEN"');
  if (options.body !== undefined) words.push("-H", "'content-type: application/json'", "-d", quote(options.body));
  words.push(quote(`${origin}${path}`));
  return words.join(" ");
}

/** A path with a query of those parameters that have a value. */
export function withQuery(path: string, query: Record<string, string | number | boolean | undefined>): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (value !== undefined && value !== "") parameters.set(name, String(value));
  const text = parameters.toString();
  return text ? `${path}?${text}` : path;
}
