/** A line of a memory: sixteen bytes as numbers and as text. */
export interface HexRow {
  address: string;
  bytes: string;
  text: string;
}

const WIDTH = 16;

/** The lines of some bytes in base 64 that begin at an address. */
export function hexRows(address: number, base64: string): HexRow[] {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const rows: HexRow[] = [];
  for (let at = 0; at < bytes.length; at += WIDTH) {
    const line = Array.from(bytes.slice(at, at + WIDTH));
    rows.push({
      address: (address + at).toString(16).padStart(8, "0"),
      bytes: line.map((byte) => byte.toString(16).padStart(2, "0")).join(" ").padEnd(WIDTH * 3 - 1),
      text: line.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·")).join(""),
    });
  }
  return rows;
}
