// The field one types into: messages, replies, commands, and what can be completed.

import {el} from "./markup.js";
import {live, post, toast} from "./talk.js";

export const composers = {};

export const title = (c) => (c.is_im ? c.with.map((id) => live.world.users[id].real_name).join(", ") : c.name);
export const named = (c) => (c.is_im ? title(c) : `#${c.name}`);

export function drawComposer(name, slot, channel, thread, sent) {
  const key = `${channel.id} ${thread} ${channel.member} ${channel.is_archived} ${live.world.me}`;
  if (composers[name]?.key === key && slot.firstChild) return;
  if (channel.is_archived || !channel.member) {
    const join = el("button", {type: "button", class: "button primary", onclick: () => post("join", {channel: channel.id})}, "Join channel");
    slot.replaceChildren(el("div", {class: "join"}, channel.is_archived ? "This channel is archived." : `You are viewing #${channel.name}`, channel.is_archived ? "" : join));
    composers[name] = {key};
    return;
  }
  const words = thread ? "Reply…" : `Message ${named(channel)}`;
  const list = el("div", {class: "suggestions", role: "listbox", id: `${name}-suggestions`, "aria-label": "Suggestions", hidden: true});
  const text = el("textarea", {rows: 1, placeholder: words, "aria-label": words, id: name === "main" ? "composer-text" : "thread-text",
    "aria-autocomplete": "list", "aria-controls": list.id});
  const send = el("button", {type: "submit", "aria-label": "Send", disabled: true}, "➤");
  const form = el("form", {class: "composer"}, text, send);
  const help = el("p", {class: "help", "aria-hidden": "true"}, thread ? "" : "Enter sends · Shift+Enter new line · / for commands · @ for people");
  slot.replaceChildren(list, form, help);
  composers[name] = {key, text};
  suggest(text, list, !thread);
  text.addEventListener("input", () => { send.disabled = !text.value.trim(); });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && list.hidden) { event.preventDefault(); form.requestSubmit(); }
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const typed = text.value.trim();
    if (!typed) return;
    text.value = "";
    send.disabled = true;
    const slash = !thread && typed.startsWith("/");
    const done = await post(slash ? "slash" : "message", {channel: channel.id, text: typed, thread_ts: thread});
    if (!done.ok) { toast(done.error); if (!text.value) { text.value = typed; send.disabled = false; } }
    sent();
  });
}

function suggest(text, list, commands) {
  let found = [];
  let chosen = 0;
  const offers = () => {
    const before = text.value.slice(0, text.selectionStart);
    const slash = commands && before.match(/^\/\S*$/);
    if (slash) {
      return live.world.app.commands.filter((c) => c.name.startsWith(slash[0]) && c.name !== text.value)
        .map((c) => ({insert: `${c.name} `, from: 0, label: c.name, more: c.hint || c.description}));
    }
    const at = before.match(/(?:^|\s)@([\w ]{0,20})$/);
    if (!at) return [];
    return Object.values(live.world.users).filter((u) => !u.deleted && [u.name, u.real_name.toLowerCase()].some((n) => n.startsWith(at[1].toLowerCase())))
      .slice(0, 6).map((u) => ({insert: `@${u.real_name} `, from: before.length - at[1].length - 1, label: u.real_name, more: u.title || (u.is_bot ? "App" : "")}));
  };
  const draw = () => {
    list.hidden = !found.length;
    list.replaceChildren(...found.map((offer, index) => el("div", {role: "option", "aria-selected": String(index === chosen), id: `${list.id}-${index}`,
      onmousedown: (event) => { event.preventDefault(); take(offer); }}, el("strong", {}, offer.label), el("small", {}, offer.more))));
    if (found.length) text.setAttribute("aria-activedescendant", `${list.id}-${chosen}`); else text.removeAttribute("aria-activedescendant");
  };
  const update = () => { found = offers(); chosen = 0; draw(); };
  const take = (offer) => {
    const rest = text.value.slice(text.selectionStart);
    text.value = text.value.slice(0, offer.from) + offer.insert + rest;
    text.selectionStart = text.selectionEnd = offer.from + offer.insert.length;
    found = [];
    draw();
    text.dispatchEvent(new Event("input"));
    text.focus();
  };
  text.addEventListener("input", update);
  text.addEventListener("blur", () => { found = []; draw(); });
  text.addEventListener("keydown", (event) => {
    if (!found.length) return;
    const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
    if (step) { chosen = (chosen + step + found.length) % found.length; draw(); event.preventDefault(); }
    else if (event.key === "Tab" || event.key === "Enter") { event.preventDefault(); event.stopImmediatePropagation(); take(found[chosen]); }
    else if (event.key === "Escape") { found = []; draw(); }
  });
}
