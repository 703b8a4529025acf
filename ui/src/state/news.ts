// What changed between two snapshots, in words for whoever hears the window instead of seeing it.

import type { Snapshot } from '../backend/bindings.ts';
import { healthInWords } from '../words/health.ts';
import { doing } from '../words/waiting.ts';

export function news(before: Snapshot, after: Snapshot): string[] {
  const told: string[] = [];
  for (const request of after.requests) {
    if (!before.requests.some(({ id }) => id === request.id)) told.push(`${request.name} asks for approval.`);
  }
  for (const question of after.questions) {
    if (!before.questions.some(({ id }) => id === question.id)) told.push(`${question.agent} asks to ${doing(question.what)}.`);
  }
  for (const connection of after.connections) {
    const older = before.connections.find(({ id }) => id === connection.id);
    if (older === undefined) told.push(`${connection.name} is there.`);
    else if (isWorthTelling(older.health.state, connection.health.state)) {
      told.push(`${connection.name}: ${healthInWords(connection).label}.`);
    }
  }
  for (const { id, name } of before.connections) {
    if (!after.connections.some((connection) => connection.id === id)) told.push(`${name} is gone.`);
  }
  for (const agent of after.agents) {
    if (!before.agents.some(({ id }) => id === agent.id)) told.push(`${agent.name} may use Doorward.`);
  }
  return told;
}

/** A refresh comes and goes every hour; it is no news. */
function isWorthTelling(before: string, after: string): boolean {
  const settled = (state: string) => (state === 'refreshing' ? 'connected' : state);
  return settled(before) !== settled(after);
}
