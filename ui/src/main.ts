import './app.css';

import { mount } from 'svelte';

import App from './App.svelte';
import { Desk } from './state/desk.svelte.ts';

const target = document.getElementById('window');
if (target !== null) mount(App, { target, props: { desk: await Desk.open() } });
