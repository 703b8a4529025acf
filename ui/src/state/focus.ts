// Where the keyboard is after something on the page has changed.

import type { Attachment } from 'svelte/attachments';

/** Takes the focus when it appears, for headings and messages: `tabindex="-1"` goes with it. */
export const focusHere: Attachment<HTMLElement> = (element) => {
  element.focus({ preventScroll: true });
  element.scrollIntoView({ block: 'nearest' });
};
