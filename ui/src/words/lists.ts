// Counting and listing as people do it.

export function count(number: number, singular: string, plural = `${singular}s`): string {
  return number === 1 ? `1 ${singular}` : `${number} ${plural}`;
}

export function list(items: readonly string[], last = 'and'): string {
  if (items.length < 2) return items[0] ?? 'nothing';
  return `${items.slice(0, -1).join(', ')} ${last} ${items.at(-1)}`;
}

/** With a capital at its beginning and a full stop at its end, whoever wrote it. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  if (trimmed === '') return '';
  const begun = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}

/** A code letter by letter, for a screen reader: `BCDF-GHJK` would be tried as a word. */
export function spelled(code: string): string {
  return [...code].map((letter) => (letter === '-' ? 'dash' : letter)).join(', ');
}

/** Text from elsewhere: whatever is drawn as nothing, or turns the reading direction, is shown as a mark. */
export function plain(text: string): string {
  return text.replace(/\s+/gu, ' ').replace(/[\p{Cc}\p{Cf}]/gu, '\u{FFFD}');
}

/** The host of an address, or the address where it has none. */
export function hostOf(address: string): string {
  try {
    return new URL(address).host || address;
  } catch {
    return address;
  }
}
