// Slack's mrkdwn and rich text as DOM nodes. Text only ever becomes text nodes: nothing here parses HTML.

const EMOJI = {
  white_check_mark: "✅", heavy_check_mark: "✔️", x: "❌", warning: "⚠️", rotating_light: "🚨", fire: "🔥",
  hourglass: "⌛", hourglass_flowing_sand: "⏳", large_green_circle: "🟢", large_yellow_circle: "🟡",
  large_orange_circle: "🟠", red_circle: "🔴", large_blue_circle: "🔵", white_circle: "⚪", black_circle: "⚫",
  eyes: "👀", thumbsup: "👍", "+1": "👍", thumbsdown: "👎", "-1": "👎", pray: "🙏", raised_hands: "🙌", tada: "🎉",
  wave: "👋", bulb: "💡", mag: "🔍", memo: "📝", pushpin: "📌", round_pushpin: "📍", link: "🔗", lock: "🔒",
  unlock: "🔓", shield: "🛡️", snowflake: "❄️", ice_cube: "🧊", gear: "⚙️", wrench: "🔧", hammer_and_wrench: "🛠️",
  chart_with_upwards_trend: "📈", chart_with_downwards_trend: "📉", bar_chart: "📊", page_facing_up: "📄",
  pager: "📟", bell: "🔔", no_bell: "🔕", no_entry: "⛔", no_entry_sign: "🚫", octagonal_sign: "🛑", question: "❓",
  grey_question: "❔", exclamation: "❗", information_source: "ℹ️", arrow_right: "➡️", arrow_up: "⬆️", arrow_down: "⬇️",
  leftwards_arrow_with_hook: "↩️", rewind: "⏪", repeat: "🔁", arrows_counterclockwise: "🔄", zap: "⚡", rocket: "🚀",
  robot_face: "🤖", bust_in_silhouette: "👤", busts_in_silhouette: "👥", stopwatch: "⏱️", alarm_clock: "⏰",
  clock1: "🕐", calendar: "📅", books: "📚", book: "📖", speech_balloon: "💬", test_tube: "🧪", microscope: "🔬",
  package: "📦", money_with_wings: "💸", brain: "🧠", ghost: "👻", sos: "🆘", construction: "🚧", heart: "❤️",
  green_heart: "💚", ok_hand: "👌", point_right: "👉", raised_hand: "✋", see_no_evil: "🙈", sparkles: "✨",
  small_red_triangle: "🔺", small_blue_diamond: "🔹", small_orange_diamond: "🔸", heavy_minus_sign: "➖",
  black_square_button: "🔲", white_large_square: "⬜", ballot_box_with_check: "☑️", double_vertical_bar: "⏸️",
};

export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") node.className = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

export function emoji(name) {
  const sign = EMOJI[name];
  return sign ? el("span", {class: "emoji", role: "img", "aria-label": name.replaceAll("_", " ")}, sign) : `:${name}:`;
}

const unescaped = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

// Plain text with emoji shortcodes, as in headers and buttons.
export function plain(text, withEmoji = true) {
  if (!withEmoji) return [text];
  return text.split(/(:[a-z0-9_+-]+:)/).map((part) => (/^:[a-z0-9_+-]+:$/.test(part) ? emoji(part.slice(1, -1)) : part));
}

export const plainText = (text) => plain(text).map((part) => (typeof part === "string" ? part : part.textContent)).join("");

// A link shows where it leads whenever its words do not.
export function link(address, label) {
  let url = null;
  try { url = new URL(address); } catch { /* shown as text below */ }
  if (!url || !["http:", "https:", "mailto:"].includes(url.protocol)) return label ? `${label} (${address})` : address;
  const shown = label || address;
  const anchor = el("a", {href: url.href, target: "_blank", rel: "noopener noreferrer"}, shown);
  if (url.protocol === "mailto:" || shown.includes(url.host)) return anchor;
  return el("span", {class: "link"}, anchor, el("span", {class: "host"}, ` (${url.host})`));
}

function person(id, world) {
  const user = world.users[id];
  const mine = id === world.me;
  return el("span", {class: mine ? "mention me" : "mention"}, `@${user ? user.real_name : id}`);
}

function entity(body, world) {
  const [target, ...rest] = body.split("|");
  const label = unescaped(rest.join("|"));
  if (target.startsWith("@")) return person(target.slice(1), world);
  if (target.startsWith("#")) {
    const channel = world.channels.find((c) => c.id === target.slice(1));
    const name = `#${channel ? channel.name : label || target.slice(1)}`;
    return channel ? el("a", {class: "mention", href: `/?user=${world.me}#${channel.id}`}, name) : el("span", {class: "mention"}, name);
  }
  if (target.startsWith("!subteam^")) {
    return el("span", {class: "mention"}, `@${world.usergroups[target.slice(9)] || label || target.slice(9)}`);
  }
  if (target.startsWith("!date^")) return date(target.slice(6), label);
  if (["!here", "!channel", "!everyone"].includes(target)) return el("span", {class: "mention me"}, `@${target.slice(1)}`);
  return link(unescaped(target), label);
}

function date(body, fallback) {
  const [stamp, format] = body.split("^");
  const at = new Date(Number(stamp) * 1000);
  if (Number.isNaN(at.getTime()) || !format) return fallback;
  const parts = {
    date: at.toLocaleDateString(undefined, {dateStyle: "long"}), date_short: at.toLocaleDateString(undefined, {dateStyle: "medium"}),
    date_num: at.toISOString().slice(0, 10), time: at.toLocaleTimeString(undefined, {timeStyle: "short"}),
    time_secs: at.toLocaleTimeString(), ago: relative(at.getTime() / 1000, Date.now() / 1000),
  };
  parts.date_pretty = parts.date;
  parts.date_short_pretty = parts.date_short;
  return format.replace(/\{(\w+)\}/g, (all, name) => parts[name] ?? all);
}

export function relative(then, now) {
  const age = Math.max(0, now - then);
  if (age < 45) return "just now";
  if (age < 3600) return `${Math.max(1, Math.round(age / 60))} min ago`;
  const at = new Date(then * 1000);
  const clock = at.toLocaleTimeString(undefined, {hour: "2-digit", minute: "2-digit"});
  return age < 43200 ? clock : `${at.toLocaleDateString(undefined, {day: "numeric", month: "short"})} ${clock}`;
}

const INLINE = new RegExp([
  "(`[^`\\n]+`)", "<([^<>\\n]+)>",
  "(?<![\\w*])\\*(?=\\S)([^*\\n]*?\\S)\\*(?![\\w*])",
  "(?<![\\w_])_(?=\\S)([^_\\n]*?\\S)_(?![\\w_])",
  "(?<![\\w~])~(?=\\S)([^~\\n]*?\\S)~(?![\\w~])",
  "(?<![\\w:]):([a-z0-9_+-]+):", "(https?://[^\\s<>|]+[^\\s<>|.,;:!?)'\"])",
].join("|"), "g");

function inline(text, world) {
  const nodes = [];
  let from = 0;
  for (const found of text.matchAll(INLINE)) {
    nodes.push(unescaped(text.slice(from, found.index)));
    const [all, code, angle, bold, italic, strike, sign, address] = found;
    if (code) nodes.push(el("code", {}, unescaped(code.slice(1, -1))));
    else if (angle) nodes.push(entity(angle, world));
    else if (bold) nodes.push(el("strong", {}, ...inline(bold, world)));
    else if (italic) nodes.push(el("em", {}, ...inline(italic, world)));
    else if (strike) nodes.push(el("s", {}, ...inline(strike, world)));
    else if (sign) nodes.push(emoji(sign));
    else nodes.push(link(unescaped(address), ""));
    from = found.index + all.length;
  }
  nodes.push(unescaped(text.slice(from)));
  return nodes.filter((node) => node !== "");
}

// mrkdwn: fences first, then quoted lines, then what stands within a line.
export function mrkdwn(text, world) {
  const root = el("div", {class: "mrkdwn"});
  text.split(/```([\s\S]*?)```/).forEach((part, index) => {
    if (index % 2) root.append(el("pre", {}, unescaped(part.replace(/^\n|\n$/g, ""))));
    else lines(part.replace(index ? /^\n/ : /^$/, ""), world, root);
  });
  return root;
}

function lines(text, world, root) {
  if (!text) return;
  let quote = null;
  const all = text.split("\n");
  all.forEach((line, index) => {
    const quoted = line.match(/^(?:&gt;|>) ?(.*)$/);
    if (quoted) {
      if (!quote) root.append((quote = el("blockquote")));
      else quote.append(el("br"));
      quote.append(...inline(quoted[1], world));
      return;
    }
    if (!quote && index) root.append(el("br"));
    quote = null;
    root.append(...inline(line, world));
  });
}

function richPart(part, world) {
  let node = "";
  if (part.type === "text") node = part.text;
  else if (part.type === "user") node = person(part.user_id, world);
  else if (part.type === "channel") node = entity(`#${part.channel_id}`, world);
  else if (part.type === "usergroup") node = entity(`!subteam^${part.usergroup_id}`, world);
  else if (part.type === "broadcast") node = entity(`!${part.range}`, world);
  else if (part.type === "emoji") node = emoji(part.name);
  else if (part.type === "link") node = link(part.url, part.text || "");
  else if (part.type === "date") node = date(`${part.timestamp}^${part.format}`, part.fallback || "");
  else if (part.type === "color") node = part.value;
  const style = part.style || {};
  for (const [name, tag] of [["code", "code"], ["strike", "s"], ["italic", "em"], ["bold", "strong"]]) {
    if (style[name]) node = el(tag, {}, node);
  }
  return node;
}

export function richText(block, world) {
  const root = el("div", {class: "rich"});
  for (const item of block.elements) root.append(richContainer(item, world));
  return root;
}

function richContainer(item, world) {
  if (item.type === "rich_text_list") {
    const list = el(item.style === "ordered" ? "ol" : "ul", {class: `indent-${Math.min(4, item.indent || 0)}`});
    for (const entry of item.elements) list.append(el("li", {}, richContainer(entry, world)));
    return list;
  }
  const tag = {rich_text_preformatted: "pre", rich_text_quote: "blockquote"}[item.type] || "div";
  return el(tag, {class: "rich-section"}, ...item.elements.map((part) => richPart(part, world)));
}

export function textObject(text, world) {
  if (!text) return "";
  return text.type === "mrkdwn" ? mrkdwn(text.text, world) : el("span", {class: "plain"}, ...plain(text.text, text.emoji !== false));
}
