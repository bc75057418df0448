const SECOND = 1_000_000_000;

/** A duration in nanoseconds for people: three digits, one unit. `15.6 ms`, `1 m 20 s`. */
export function formatDuration(ns: number): string {
  if (!Number.isFinite(ns) || ns <= 0) return "0";
  if (ns < 1_000) return `${Math.round(ns)} ns`;
  if (ns < 999_500) return `${threeDigits(ns / 1_000)} µs`;
  if (ns < 999.5e6) return `${threeDigits(ns / 1_000_000)} ms`;
  if (ns < 60 * SECOND) return `${threeDigits(ns / SECOND)} s`;
  return formatLong(Math.round(ns / SECOND));
}

function threeDigits(value: number): string {
  const digits = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}

function formatLong(seconds: number): string {
  const units: [string, number][] = [
    ["d", 86_400],
    ["h", 3_600],
    ["m", 60],
    ["s", 1],
  ];
  const first = units.findIndex(([, size]) => seconds >= size);
  const [unit, size] = units[first] ?? ["s", 1];
  const [nextUnit, nextSize] = units[first + 1] ?? ["", 0];
  const whole = Math.floor(seconds / size);
  const rest = nextSize ? Math.floor((seconds % size) / nextSize) : 0;
  return rest ? `${whole} ${unit} ${rest} ${nextUnit}` : `${whole} ${unit}`;
}

/** How far a moment is from now: `now`, `12 s ago`, `in 3 h`. */
export function formatRelative(at: Date, now: Date): string {
  const seconds = Math.round((now.getTime() - at.getTime()) / 1_000);
  const distance = Math.abs(seconds);
  if (distance < 2) return "now";
  const text =
    distance < 60
      ? `${distance} s`
      : distance < 3_600
        ? `${Math.floor(distance / 60)} min`
        : distance < 86_400
          ? `${Math.floor(distance / 3_600)} h`
          : `${Math.floor(distance / 86_400)} d`;
  return seconds >= 0 ? `${text} ago` : `in ${text}`;
}

/** `local`, `UTC`, or an IANA name. */
export type Zone = string;

const formats = new Map<string, Intl.DateTimeFormat>();

function format(zone: Zone, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${zone} ${JSON.stringify(options)}`;
  let found = formats.get(key);
  if (!found) {
    const timeZone = zone === "local" ? undefined : zone;
    found = new Intl.DateTimeFormat("en-GB", { ...options, ...(timeZone ? { timeZone } : {}) });
    formats.set(key, found);
  }
  return found;
}

const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" } as const;

/** `14:03:27.123` */
export function formatClock(at: Date, zone: Zone): string {
  return `${format(zone, CLOCK).format(at)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

/** `26 Nov` */
export function formatDay(at: Date, zone: Zone): string {
  return format(zone, { day: "numeric", month: "short" }).format(at);
}

/** `14:03`, for axes. */
export function formatMinute(at: Date, zone: Zone): string {
  return format(zone, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(at);
}

/** The whole moment with its zone: `Thu 26 Nov 2026, 14:03:27.123 CET`. */
export function formatMoment(at: Date, zone: Zone): string {
  const day = format(zone, { weekday: "short", day: "numeric", month: "short", year: "numeric" }).format(at);
  return `${day.replace(",", "")}, ${formatClock(at, zone)} ${zoneLabel(at, zone)}`;
}

/** How the zone is called at that moment: `CET`, `GMT+5:30`, `UTC`. */
export function zoneLabel(at: Date, zone: Zone): string {
  const parts = format(zone, { timeZoneName: "short" }).formatToParts(at);
  return parts.find((part) => part.type === "timeZoneName")?.value ?? zone;
}

/** Whether two moments are on one day in that zone. */
export function sameDay(one: Date, other: Date, zone: Zone): boolean {
  const day = format(zone, { year: "numeric", month: "numeric", day: "numeric" });
  return day.format(one) === day.format(other);
}

const UNITS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The milliseconds of `90s`, `15m`, `24h`, `7d`; nothing for other texts. */
export function parseSpan(text: string): number | undefined {
  const match = /^(\d{1,6})([smhd])$/.exec(text.trim());
  const unit = match?.[2] && UNITS[match[2]];
  return match?.[1] && unit ? Number(match[1]) * unit : undefined;
}

/** A bound of a range as the API wants it: a span before now, or a moment as it is. */
export function boundOf(text: string | undefined, now: Date): string | undefined {
  if (!text) return undefined;
  const span = parseSpan(text);
  return span === undefined ? text : new Date(now.getTime() - span).toISOString();
}

/** The value for `<input type="datetime-local">` in that zone, to the second. */
export function toLocalInput(at: Date, zone: Zone): string {
  const parts = format(zone, { year: "numeric", month: "2-digit", day: "2-digit", ...CLOCK }).formatToParts(at);
  const of = (type: string) => parts.find((part) => part.type === type)?.value ?? "00";
  return `${of("year")}-${of("month")}-${of("day")}T${of("hour")}:${of("minute")}:${of("second")}`;
}

/** The moment that `<input type="datetime-local">` means in that zone. */
export function fromLocalInput(text: string, zone: Zone): Date | undefined {
  const naive = new Date(`${text}Z`);
  if (Number.isNaN(naive.getTime())) return undefined;
  // The offset depends on the moment that is looked for: twice is enough, also around a change of the clocks.
  let at = naive;
  for (let round = 0; round < 2; round += 1) {
    const shown = new Date(`${toLocalInput(at, zone)}Z`);
    at = new Date(at.getTime() + (naive.getTime() - shown.getTime()));
  }
  return at;
}
