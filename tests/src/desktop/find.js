// Finds what a person would point at, by the words that stand on it. Gives {element, control, ready}, or null.
//
// arguments: "button" or "field", and the words. A button is whatever is pressed: buttons, links and what unfolds; a
// field is found by its label, and `control` is what the label is for.
const [kind, words] = arguments;
const flat = (text) => (text ?? '').replace(/\s+/g, ' ').trim();
const isShown = (element) => element.checkVisibility({ visibilityProperty: true }) && element.getClientRects().length > 0;
// A badge or a tag beside the words is no part of them.
const says = (element) =>
  [element, ...element.querySelectorAll('span, strong')].some((part) => flat(part.innerText) === words) ||
  flat(element.getAttribute('aria-label')) === words;
const selector = kind === 'button' ? 'button, a[href], summary' : 'label';
// What is below a dialog cannot be pointed at while it is open.
const dialogs = [...document.querySelectorAll('dialog[open]')];
const element = [...(dialogs.at(-1) ?? document).querySelectorAll(selector)].find((each) => isShown(each) && says(each));
if (element === undefined) return null;
const control = element.control ?? element;
// To the middle, as one scrolls to look at a thing: at an edge something that stays in place may lie over it.
control.scrollIntoView({ block: 'center', behavior: 'instant' });
return { element, control, ready: control.getAttribute('aria-disabled') !== 'true' && !control.matches(':disabled') };
