// A button that gives something away must be meant. A window that comes up while a person types elsewhere, or that
// takes the place of another, would otherwise be answered by a key or click that was on its way already. So the button
// rests for a moment whenever it, or its window, comes to the front, and a key that repeats because it is held down
// never works it.

/** Longer than a person takes from seeing a window to lifting the finger; shorter than reading the question. */
const REST = 1200;

export class Deliberate {
  ready = $state(false);
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Begins the rest, and again with every return to the window. For `$effect`. */
  attend(): () => void {
    const rest = () => {
      this.ready = false;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => (this.ready = true), REST);
    };
    rest();
    window.addEventListener('focus', rest);
    return () => {
      clearTimeout(this.#timer);
      window.removeEventListener('focus', rest);
    };
  }
}

/** For `onkeydown`: the second and later events of a key that is held down do nothing. */
export function ignoreHeldKeys(event: KeyboardEvent): void {
  if (event.repeat) event.preventDefault();
}
