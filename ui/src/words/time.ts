// Times as people say them. `now` is always passed in.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Below this, the future is said in seconds; nobody cares which of the last seconds something was. */
const IN_SECONDS = 90 * SECOND;

/** A length of time: one unit, the largest that leaves at least two of it. */
export function duration(length: number): string {
  const [count, unit] = inOneUnit(Math.max(0, length));
  return count === 1 ? `1 ${unit}` : `${count} ${unit}s`;
}

function inOneUnit(length: number): [number, string] {
  if (length < IN_SECONDS) return [Math.max(1, Math.floor(length / SECOND)), 'second'];
  if (length < 90 * MINUTE) return [Math.round(length / MINUTE), 'minute'];
  if (length < 36 * HOUR) return [Math.round(length / HOUR), 'hour'];
  return [Math.round(length / DAY), 'day'];
}

/** A moment, seen from `now`. */
export function moment(now: number, at: number): string {
  if (at > now) return `in ${duration(at - now)}`;
  return now - at < IN_SECONDS ? 'just now' : `${duration(now - at)} ago`;
}

/** How long after `now` {@link moment} may say something else at the earliest, give or take a rounding. */
export function untilSaidAnew(now: number, at: number): number {
  const ahead = at - now;
  if (ahead <= 0) return MINUTE;
  if (ahead <= IN_SECONDS + SECOND) return SECOND;
  return Math.min(MINUTE, ahead - IN_SECONDS);
}

/** The full date and time, for whoever wants it exactly. */
export function exactly(at: number): string {
  return new Date(at).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
}

/** The time of day, with the day where it is another one than that of `now`. */
export function clockTime(now: number, at: number): string {
  const moment = new Date(at);
  const isToday = moment.toDateString() === new Date(now).toDateString();
  return isToday
    ? moment.toLocaleTimeString(undefined, { timeStyle: 'short' })
    : moment.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
}
