// The page: where one is, what is drawn where, and going from place to place.

import {el, relative} from "./markup.js";
import {blocks} from "./block_kit.js";
import {composers, drawComposer, named, title} from "./composer.js";
import {act, drawModal, forgetModal} from "./dialogs.js";
import {avatar, drawMessages, isReply, standing} from "./messages.js";
import {get, here, listen, live, post, refresh} from "./talk.js";

const drawn = {main: new Map(), thread: new Map()};

// ----- the frame ---------------------------------------------------------------------------------------------------

const channelOf = (id) => live.world.channels.find((c) => c.id === id);

function linkState(on, words) {
  get("link-state").className = on ? "link-state on" : "link-state";
  get("link-state").replaceChildren(el("span", {}, words));
  get("link-state").title = words;
}

function draw() {
  linkState(live.world.connected, live.world.connected ? `${live.world.app.name} connected` : `${live.world.app.name} not connected`);
  get("team").textContent = live.world.team.name;
  drawPeople();
  if (!here.home && !channelOf(here.channel)) here.channel = firstChannel();
  drawSidebar();
  if (here.home) drawHome(); else drawChannel();
  drawThread();
  drawModal();
  const unread = live.world.channels.reduce((sum, c) => sum + c.mentions, 0);
  document.title = `${unread ? `(${unread}) ` : ""}${get("channel-name").textContent} · ${live.world.team.name}`;
}

function firstChannel() {
  const mine = live.world.channels.filter((c) => c.member && !c.is_im);
  return (mine[0] || live.world.channels[0] || {id: ""}).id;
}

function drawPeople() {
  const key = live.world.people.join() + live.world.me;
  const select = get("you");
  if (select.dataset.key === key) return;
  select.dataset.key = key;
  select.replaceChildren(...live.world.people.map((id) => {
    const user = live.world.users[id];
    return el("option", {value: id}, user.real_name + ({guest: " (guest)", external: " (external)"}[standing(user)] || ""));
  }));
  select.value = live.world.me;
}

function sidebarEntry({label, sign, current, unread, mentions, classes, open}) {
  const words = unread ? `${label}, ${unread} unread` : label;
  const badge = unread ? el("span", {class: mentions ? "badge" : "badge quiet", "aria-hidden": "true"}, String(unread)) : "";
  return el("li", {}, el("button", {
    type: "button", class: `${classes || ""} ${unread ? "unread" : ""}`, "aria-label": words,
    "aria-current": current ? "page" : undefined, onclick: open,
  }, sign, el("span", {class: "name"}, label), badge));
}

function fill(id, entries) {
  const key = JSON.stringify(entries.map(({open, sign, ...rest}) => rest));
  const list = get(id);
  if (list.dataset.key === key) return;
  const focused = list.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
  list.dataset.key = key;
  list.replaceChildren(...entries.map(sidebarEntry));
  if (focused) [...list.querySelectorAll("button")].find((b) => b.getAttribute("aria-label").split(",")[0] === focused.split(",")[0])?.focus();
}

function drawSidebar() {
  const entry = (c) => ({
    label: title(c), current: !here.home && c.id === here.channel, unread: c.unread, mentions: c.mentions,
    classes: c.member ? "" : "not-member", open: () => openChannel(c.id),
    sign: c.is_im ? avatar(live.world.users[c.with[0]]) : el("span", {class: "sign", "aria-hidden": "true"}, c.is_private ? "🔒" : c.is_ext_shared ? "◇" : "#"),
  });
  fill("channels", live.world.channels.filter((c) => !c.is_im).sort((a, b) => b.member - a.member).map(entry));
  fill("directs", live.world.channels.filter((c) => c.is_im).map(entry));
  const bot = live.world.users[live.world.app.user];
  fill("apps", [{label: bot.real_name, current: here.home, sign: avatar(bot), open: openHome}]);
}

// ----- going places ------------------------------------------------------------------------------------------------

function show(view) { document.body.dataset.view = view; }

function openChannel(id, thread = "") {
  if (here.channel !== id || here.home) drawn.main.clear();
  Object.assign(here, {channel: id, thread, home: false});
  show(thread ? "thread" : "channel");
  remember();
  draw();
  toBottom(get("scroll"));
  if (!matchMedia("(max-width: 760px)").matches) composers.main?.text?.focus();
}

function openHome() {
  Object.assign(here, {home: true, thread: ""});
  show("channel");
  remember();
  draw();
  post("home", {});
}

function openThread(ts) {
  here.thread = ts;
  show("thread");
  remember();
  draw();
  toBottom(get("thread-scroll"));
  composers.thread?.text?.focus();
}

function closeThread() {
  here.thread = "";
  show("channel");
  remember();
  draw();
}

function remember() {
  const place = here.home ? "home" : here.thread ? `${here.channel}/${here.thread}` : here.channel;
  history.replaceState(null, "", `/?user=${here.user}#${place}`);
}

function arrive() {
  const query = new URLSearchParams(location.search);
  here.user = query.get("user") || sessionStorage.getItem("user") || "";
  const linked = location.pathname.match(/^\/archives\/([A-Z0-9]+)\/p(\d+)(\d{6})$/);
  const [channel, thread] = linked ? [linked[1], query.get("thread_ts")] : location.hash.slice(1).split("/");
  here.home = channel === "home";
  here.channel = here.home ? "" : channel || "";
  here.thread = thread || "";
  if (here.thread) show("thread");
}

// ----- scrolling ----------------------------------------------------------------------------------------------------

const atBottom = (scroll) => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 90;
const toBottom = (scroll) => { scroll.scrollTop = scroll.scrollHeight; };

// What follows the newest message keeps doing so when the window, the thread pane or a card above changes its size.
const following = new WeakMap();
function keepFollowing(scroll) {
  following.set(scroll, true);
  scroll.addEventListener("scroll", () => following.set(scroll, atBottom(scroll)));
  const resized = new ResizeObserver(() => { if (following.get(scroll)) toBottom(scroll); });
  resized.observe(scroll);
  resized.observe(scroll.firstElementChild);
}

function markRead() {
  const channel = channelOf(here.channel);
  if (channel?.unread && document.visibilityState === "visible" && atBottom(get("scroll"))) post("read", {channel: channel.id});
}

// ----- channel, thread, Home ------------------------------------------------------------------------------------------

function drawChannel() {
  const channel = channelOf(here.channel);
  get("main").classList.remove("home");
  if (!channel) return;
  get("channel-name").textContent = channel.is_im ? title(channel) : `# ${channel.name}`;
  get("members").textContent = channel.is_im ? "" : channel.members.length === 1 ? "1 member" : `${channel.members.length} members`;
  get("topic").textContent = channel.topic;
  get("bookmarks").replaceChildren(...channel.bookmarks.map((b) =>
    el("li", {}, el("a", {href: b.link, target: "_blank", rel: "noopener noreferrer"}, b.title))));
  const top = channel.messages.filter((m) => !isReply(m) || m.subtype === "thread_broadcast" || (m.ephemeral && !here.thread));
  const scroll = get("scroll");
  const follow = atBottom(scroll);
  const count = drawn.main.size;
  drawMessages(get("messages"), drawn.main, top, {
    before: [beginning(channel)], inThread: false, channel, openThread,
  });
  if (follow) toBottom(scroll);
  get("jump").hidden = follow || (drawn.main.size <= count && get("jump").hidden);
  drawComposer("main", get("composer-slot"), channel, "", () => toBottom(get("scroll")));
  markRead();
}

function beginning(channel) {
  const name = channel.is_im ? title(channel) : `#${channel.name}`;
  const words = channel.is_im ? "This is the beginning of your conversation." : channel.purpose || "This is the very beginning of the channel.";
  return el("div", {class: "empty"}, el("strong", {}, name), words);
}

function drawThread() {
  const channel = channelOf(here.channel);
  const parent = channel && here.thread && channel.messages.find((m) => m.ts === here.thread);
  get("thread").hidden = !parent;
  if (!parent) return;
  get("thread-channel").textContent = channel.is_im ? title(channel) : `#${channel.name}`;
  const replies = channel.messages.filter((m) => m.thread_ts === parent.ts && m.ts !== parent.ts);
  const scroll = get("thread-scroll");
  const follow = atBottom(scroll);
  const words = replies.length === 1 ? "1 reply" : `${replies.length} replies`;
  const rule = replies.length ? el("div", {class: "thread-rule"}, words) : null;
  drawMessages(get("thread-messages"), drawn.thread, [parent, ...replies], {before: [], inThread: true, channel, rule, openThread});
  if (follow) toBottom(scroll);
  drawComposer("thread", get("thread-composer-slot"), channel, parent.ts, () => toBottom(scroll));
}

function drawHome() {
  get("channel-name").textContent = live.world.users[live.world.app.user].real_name;
  get("members").textContent = "Home";
  get("topic").textContent = "";
  get("bookmarks").replaceChildren();
  get("main").classList.add("home");
  get("jump").hidden = true;
  drawn.main.clear();
  composers.main = null;
  get("composer-slot").replaceChildren();
  const key = live.world.home ? live.world.home.hash : "none";
  const root = get("messages");
  if (root.firstElementChild?.dataset.home === key) return;
  const use = (block, item, value, node) => act({view_id: live.world.home.id}, block, item, value, node);
  const body = live.world.home ? blocks(live.world.home.blocks, live.world, use) : el("p", {}, "The app has not set up this page yet.");
  root.replaceChildren(el("div", {class: "empty", "data-home": key}, body));
}
// ----- start -------------------------------------------------------------------------------------------------------

addEventListener("hashchange", () => {
  const channel = location.hash.slice(1).split("/")[0];
  if (channel !== here.channel && channelOf(channel)) openChannel(channel);
});
get("you").addEventListener("change", (event) => {
  here.user = event.target.value;
  sessionStorage.setItem("user", here.user);
  drawn.main.clear();
  drawn.thread.clear();
  forgetModal();
  remember();
  refresh();
});
get("close-thread").addEventListener("click", closeThread);
get("back").addEventListener("click", () => {
  if (document.body.dataset.view === "thread") closeThread(); else show("list");
});
get("jump").addEventListener("click", () => toBottom(get("scroll")));
get("scroll").addEventListener("scroll", () => { if (atBottom(get("scroll"))) { get("jump").hidden = true; markRead(); } });
document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") refresh(); });
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && here.thread && !document.querySelector("dialog[open]") && !event.defaultPrevented) closeThread();
});
setInterval(() => {
  for (const node of document.querySelectorAll("[data-ts]:is(time, .replies span)")) {
    node.textContent = relative(Number(node.dataset.ts), Date.now() / 1000);
  }
}, 15000);

keepFollowing(get("scroll"));
keepFollowing(get("thread-scroll"));
live.draw = draw;
live.lost = () => linkState(false, "Workspace not reachable");
arrive();
refresh().then(() => toBottom(get("scroll")));
listen();
