/** `1,204` */
export function formatCount(value: number): string {
  return value.toLocaleString("en-US");
}

/** `1.2 k`, `34 k`, `1.4 M`: for where there is little room. */
export function formatCompact(value: number): string {
  if (value < 1_000) return String(Math.round(value));
  if (value < 999_500) return `${trim(value / 1_000)} k`;
  return `${trim(value / 1_000_000)} M`;
}

function trim(value: number): string {
  return value >= 9.95 ? String(Math.round(value)) : String(Number(value.toFixed(1)));
}

/** A number of events a second: `0.4/s`, `12/s`. */
export function formatRate(perSecond: number): string {
  if (perSecond === 0) return "0/s";
  if (perSecond < 0.01) return "<0.01/s";
  if (perSecond < 1) return `${perSecond.toFixed(2)}/s`;
  return perSecond < 9.95 ? `${perSecond.toFixed(1)}/s` : `${formatCompact(perSecond)}/s`;
}

/** `64 KiB`, `1.8 MiB` */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1_023.5 && unit < units.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  return `${unit === 0 ? value : trim(value)} ${units[unit]}`;
}

/** `0.42 %`, `12 %`; nothing is ever rounded to a false zero or a false hundred. */
export function formatShare(share: number): string {
  const percent = share * 100;
  if (percent === 0) return "0 %";
  if (percent < 0.01) return "<0.01 %";
  if (percent < 1) return `${percent.toFixed(2)} %`;
  if (percent < 10) return `${percent.toFixed(1)} %`;
  return percent > 99 && percent < 100 ? `${(Math.floor(percent * 10) / 10).toFixed(1)} %` : `${Math.round(percent)} %`;
}

/** `1 event`, `3 events` */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** The end of an id, which is the part that differs: `…9tewzn`. */
export function shortId(id: string): string {
  return id.length > 14 ? `${id.slice(0, id.indexOf("_") + 1)}…${id.slice(-6)}` : id;
}

/** `timed-out` → `Timed out` */
export function sentence(word: string): string {
  const text = word.replaceAll("-", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
