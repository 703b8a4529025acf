import './app.css';

import { mount } from 'svelte';

import ApprovalApp from './ApprovalApp.svelte';
import { Desk } from './state/desk.svelte.ts';

const target = document.getElementById('window');
if (target !== null) {
  const desk = await Desk.open();
  // Which request the window was opened for; without it, the one that has waited longest.
  const request = new URLSearchParams(location.search).get('request');
  if (desk.chosen === null) desk.show('approvals', request);
  mount(ApprovalApp, { target, props: { desk } });
}
