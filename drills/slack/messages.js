// Messages as DOM nodes, drawn again only where they differ, so that focus and scroll stay.

import {el, emoji, mrkdwn, relative} from "./markup.js";
import {blocks} from "./block_kit.js";
import {act} from "./dialogs.js";
import {live, post, toast} from "./talk.js";

export const standing = (user) => (user.is_stranger ? "external" : user.is_restricted || user.is_ultra_restricted ? "guest" : "");

export function avatar(user) {
  if (user && user.is_bot) return el("span", {class: "avatar", "aria-hidden": "true"}, el("img", {src: "/static/icon.svg", alt: ""}));
  const initials = (user ? user.real_name : "?").split(" ").map((word) => word[0]).slice(0, 2).join("");
  const node = el("span", {class: "avatar", "aria-hidden": "true"}, initials);
  node.style.setProperty("background", `#${user ? user.color : "777777"}`);
  return node;
}

export const isReply = (m) => m.thread_ts && m.thread_ts !== m.ts;

export function drawMessages(root, known, messages, place) {
  const focus = focusIn(root);
  const nodes = [...place.before];
  const seen = new Set();
  let last = null;
  let lastDay = "";
  messages.forEach((message, index) => {
    const day = new Date(message.ts * 1000).toDateString();
    if (!place.inThread && day !== lastDay) nodes.push(el("div", {class: "day", role: "separator"}, dayName(message.ts)));
    const near = last && last.user === message.user && message.ts - last.ts < 300 && day === lastDay;
    const compact = Boolean(near && !told(last) && !told(message) && !last.ephemeral && !message.ephemeral && !(place.inThread && index === 1));
    lastDay = day;
    last = message;
    const key = JSON.stringify([message, compact, live.world.me]);
    const old = known.get(message.ts);
    if (!old || old.key !== key) {
      const node = messageNode(message, compact, place);
      if (old && old.me === live.world.me && old.text !== content(message)) node.classList.add("changed");
      known.set(message.ts, {key, node, me: live.world.me, text: content(message)});
    }
    seen.add(message.ts);
    nodes.push(known.get(message.ts).node);
    if (index === 0 && place.rule) nodes.push(place.rule);
  });
  for (const ts of known.keys()) if (!seen.has(ts)) known.delete(ts);
  sync(root, nodes);
  if (focus) root.querySelector(focus)?.focus();
}

const content = (message) => JSON.stringify([message.text, message.blocks, message.attachments]);

// Puts exactly these children in place without touching the ones that stay: focus and scroll survive.
function sync(root, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...root.childNodes]) if (!wanted.has(child)) child.remove();
  nodes.forEach((node, index) => {
    if (root.childNodes[index] !== node) root.insertBefore(node, root.childNodes[index] || null);
  });
}

function focusIn(root) {
  const node = document.activeElement;
  if (!root.contains(node) || node === root) return null;
  const message = node.closest(".message");
  if (!message) return null;
  const action = node.closest("[data-action-id]");
  const inner = action ? `[data-action-id="${CSS.escape(action.dataset.actionId)}"]` : node.dataset.part ? `[data-part="${node.dataset.part}"]` : "";
  return inner ? `.message[data-ts="${message.dataset.ts}"] ${inner}` : null;
}

function dayName(ts) {
  const day = new Date(ts * 1000);
  const age = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(day).setHours(0, 0, 0, 0)) / 86400000);
  if (age === 0) return "Today";
  return age === 1 ? "Yesterday" : day.toLocaleDateString(undefined, {weekday: "long", day: "numeric", month: "long"});
}

// What Slack itself says of a channel: somebody joined, the topic was set, it was archived.
const told = (message) => /^channel_(join|topic|purpose|archive|unarchive)$/.test(message.subtype || "");

function messageNode(message, compact, place) {
  const user = live.world.users[message.user];
  const name = user ? user.real_name : message.user;
  const at = new Date(message.ts * 1000);
  const clock = el("time", {datetime: at.toISOString(), title: at.toLocaleString(), "data-ts": message.ts}, relative(Number(message.ts), Date.now() / 1000));
  const tag = message.bot_id ? "APP" : {guest: "GUEST", external: "EXTERNAL"}[standing(user || {})];
  const byline = el("div", {class: "byline"}, el("span", {class: "author"}, name), tag ? el("span", {class: "tag"}, tag) : "", clock,
    message.edited ? el("span", {class: "only-you"}, "(edited)") : "");
  const body = el("div", {class: "message-body"});
  if (message.ephemeral) body.append(el("div", {class: "only-you"}, "👁 Only visible to you"));
  body.append(byline, ...contentNodes(message, place));
  const node = el("article", {
    class: `message${told(message) ? " told" : ""}${compact ? " compact" : ""}${message.ephemeral ? " ephemeral" : ""}`,
    "aria-label": `${name}, ${at.toLocaleTimeString(undefined, {timeStyle: "short"})}`, "data-ts": message.ts,
  }, avatar(user), body);
  if (!message.ephemeral && !told(message)) node.append(toolbar(message, place));
  return node;
}

function contentNodes(message, place) {
  const nodes = [];
  const use = (block, item, value, node) => act({channel: place.channel.id, ts: message.ts}, block, item, value, node);
  if (message.blocks && message.blocks.length) nodes.push(blocks(message.blocks, live.world, use));
  else if (message.text) nodes.push(mrkdwn(message.text, live.world));
  for (const attachment of message.attachments || []) nodes.push(attachmentNode(attachment, use));
  for (const file of message.files || []) nodes.push(fileNode(file));
  if (message.reactions && message.reactions.length) nodes.push(reactionsNode(message, place));
  if (!place.inThread && message.reply_count) nodes.push(repliesNode(message, place));
  else if (!place.inThread && !message.ephemeral && message.bot_id) {  // where no pointer can hover, the toolbar never shows
    nodes.push(el("button", {type: "button", class: "touch-reply", onclick: () => place.openThread(message.ts)}, "Reply in thread"));
  }
  return nodes;
}

function attachmentNode(attachment, use) {
  const node = el("div", {class: "attachment"});
  if (/^#?[0-9a-f]{6}$/i.test(attachment.color || "")) node.style.setProperty("border-color", `#${attachment.color.replace("#", "")}`);
  if (attachment.blocks) node.append(blocks(attachment.blocks, live.world, use));
  for (const key of ["pretext", "title", "text", "fallback"]) {
    if (attachment[key] && !(key === "fallback" && (attachment.text || attachment.blocks))) node.append(mrkdwn(attachment[key], live.world));
  }
  return node;
}

function fileNode(file) {
  if (file.mimetype.startsWith("image/")) return el("img", {class: "picture large", src: new URL(file.url_private).pathname, alt: file.title});
  return el("a", {class: "file", href: new URL(file.url_private).pathname, download: file.name},
    el("span", {class: "kind", "aria-hidden": "true"}, file.filetype || "file"),
    el("span", {}, el("strong", {}, file.title), el("small", {}, `${Math.max(1, Math.round(file.size / 1024))} KB`)));
}

function reactionsNode(message, place) {
  return el("div", {class: "reactions"}, ...message.reactions.map((r) => {
    const mine = r.users.includes(live.world.me);
    const who = r.users.map((id) => live.world.users[id]?.real_name || id).join(", ");
    return el("button", {type: "button", "aria-pressed": String(mine), title: who, "aria-label": `${r.name.replaceAll("_", " ")}, ${r.count}: ${who}`,
      onclick: () => react(message, place, r.name)}, emoji(r.name), ` ${r.count}`);
  }));
}

function repliesNode(message, place) {
  const faces = (message.reply_users || []).slice(0, 3).map((id) => avatar(live.world.users[id]));
  const words = message.reply_count === 1 ? "1 reply" : `${message.reply_count} replies`;
  return el("button", {type: "button", class: "replies", "data-part": "replies", onclick: () => place.openThread(message.ts)}, ...faces,
    el("strong", {}, words), el("span", {"data-ts": message.latest_reply}, relative(Number(message.latest_reply), Date.now() / 1000)));
}

function toolbar(message, place) {
  const tool = (label, sign, act) => el("button", {type: "button", "aria-label": label, title: label, "data-part": label, onclick: act}, sign);
  const node = el("div", {class: "toolbar", role: "group", "aria-label": "Message actions"},
    ...["white_check_mark", "eyes", "raised_hands"].map((name) => tool(`React with ${name.replaceAll("_", " ")}`, emoji(name), () => react(message, place, name))));
  if (!place.inThread) node.append(tool("Reply in thread", "💬", () => place.openThread(message.ts)));
  for (const shortcut of live.world.app.shortcuts) {
    node.append(tool(shortcut.name, "⚡", async () => {
      const done = await post("shortcut", {channel: place.channel.id, ts: message.ts, callback_id: shortcut.callback_id});
      if (!done.ok) toast(done.error);
    }));
  }
  return node;
}

async function react(message, place, name) {
  const done = await post("reaction", {channel: place.channel.id, ts: message.ts, name});
  if (!done.ok) toast(done.error);
}
