// What the demo and axe put into a page's global scope.

import type { Demo } from '../src/backend/demo.ts';

declare global {
  interface Window {
    doorwardDemo: Demo;
    axe: any;
  }
}
