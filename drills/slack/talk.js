// Talking to the workspace: the state of one person, and what that person does.

import {el} from "./markup.js";

const token = document.querySelector('meta[name="ui-token"]').content;
export const get = (id) => document.getElementById(id);
export const here = {user: "", channel: "", thread: "", home: false};
// What was last heard, and whom to tell: `draw` after news, `lost` when the workspace is gone.
export const live = {world: null, draw() {}, lost() {}};

export async function post(act, body) {
  try {
    const reply = await fetch(`/ui/${act}`, {
      method: "POST", headers: {"Content-Type": "application/json", "X-UI-Token": token},
      body: JSON.stringify({user: here.user, ...body}),
    });
    if (reply.headers.get("Content-Type")?.startsWith("application/json")) return await reply.json();
    return {ok: false, error: await reply.text()};
  } catch {
    return {ok: false, error: "The workspace cannot be reached."};
  }
}

let fetching = false;
let again = false;
export async function refresh() {
  if (fetching) { again = true; return; }
  fetching = true;
  try {
    const user = here.user;
    const reply = await fetch(`/ui/state?user=${encodeURIComponent(user)}`);
    if (reply.status === 404 && here.user) { here.user = ""; again = true; }
    if (reply.ok) {
      const state = await reply.json();
      if (user === here.user) { here.user = state.me; live.world = state; live.draw(); }
    }
  } catch { /* the stream reconnects and asks again */ } finally {
    fetching = false;
    if (again) { again = false; refresh(); }
  }
}

export function listen() {
  const stream = new EventSource("/ui/stream");
  stream.onmessage = refresh;
  stream.onerror = () => live.lost();
}

export function toast(text) {
  const node = el("div", {class: "toast"}, text);
  get("toasts").append(node);
  setTimeout(() => node.remove(), 7000);
}
