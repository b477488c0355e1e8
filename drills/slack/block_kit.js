// Block Kit as DOM nodes. `use(block, element, value, node)` is called when somebody uses an element.

import {el, mrkdwn, plain, plainText, richText, textObject, link} from "./markup.js";

let serial = 0;

export function blocks(list, world, use) {
  const root = el("div", {class: "blocks"});
  for (const block of list) root.append(one(block, world, use));
  return root;
}

function one(block, world, use) {
  const draw = {section, header, divider, context, actions, image, input, rich_text: rich, markdown, table}[block.type];
  const node = draw ? draw(block, world, use) : el("div", {class: "unsupported"}, `[${block.type} block]`);
  node.dataset.blockId = block.block_id;
  return node;
}

const header = (block) => el("h3", {class: "block header"}, ...plain(block.text.text));
const divider = () => el("hr", {class: "block"});
const rich = (block, world) => el("div", {class: "block"}, richText(block, world));
const markdown = (block) => el("div", {class: "block plain"}, block.text);

function section(block, world, use) {
  const body = el("div", {class: "section-body"});
  if (block.text) body.append(textObject(block.text, world));
  if (block.fields) {
    body.append(el("div", {class: "fields"}, ...block.fields.map((field) => el("div", {}, textObject(field, world)))));
  }
  const node = el("div", {class: "block section"}, body);
  if (block.accessory) node.append(el("div", {class: "accessory"}, element(block, block.accessory, world, use)));
  return node;
}

function context(block, world) {
  return el("div", {class: "block context"}, ...block.elements.map((item) =>
    (item.type === "image" ? picture(item, "small") : textObject(item, world))));
}

const actions = (block, world, use) =>
  el("div", {class: "block actions"}, ...block.elements.map((item) => element(block, item, world, use)));

function image(block) {
  const title = block.title ? el("figcaption", {}, ...plain(block.title.text)) : "";
  return el("figure", {class: "block"}, title, picture(block, "large"));
}

// Only pictures of this workspace are loaded: one from elsewhere would tell its host who reads the channel.
function picture(item, size) {
  const address = item.image_url || (item.slack_file && item.slack_file.url) || "";
  if (address.startsWith(`${location.origin}/files/`)) return el("img", {class: `picture ${size}`, src: address, alt: item.alt_text});
  return el("span", {class: "picture-note"}, "🖼 ", link(address, item.alt_text));
}

function table(block, world) {
  const cell = (item) => el("td", {}, item.type === "rich_text" ? richText(item, world) : String(item.text ?? item.value ?? ""));
  return el("table", {class: "block"}, ...block.rows.map((row) => el("tr", {}, ...row.map(cell))));
}

function input(block, world, use) {
  const id = `input-${(serial += 1)}`;
  const control = element(block, block.element, world, block.dispatch_action ? use : null, id);
  const grouped = ["checkboxes", "radio_buttons"].includes(block.element.type) || block.element.type.startsWith("multi_");
  const optional = block.optional ? el("span", {class: "optional"}, " (optional)") : "";
  const label = el(grouped ? "legend" : "label", {class: "label", for: grouped ? undefined : id}, ...plain(block.label.text), optional);
  const hint = block.hint ? el("p", {class: "hint", id: `${id}-hint`}, ...plain(block.hint.text)) : "";
  const error = el("p", {class: "input-error", id: `${id}-error`, hidden: true});
  control.removeAttribute("aria-label");
  control.setAttribute("aria-describedby", `${block.hint ? `${id}-hint ` : ""}${id}-error`);
  return el(grouped ? "fieldset" : "div", {class: "block input"}, label, control, hint, error);
}

// ----- elements --------------------------------------------------------------------------------------------------

export function element(block, item, world, use, id) {
  const kind = item.type;
  const used = use ? (value, node) => use(block, item, value, node) : null;
  let node;
  if (kind === "button" || kind === "workflow_button") node = button(item, used);
  else if (kind === "image") return picture(item, "thumb");
  else if (kind === "overflow") node = overflow(item, used);
  else if (kind === "checkboxes" || kind === "radio_buttons") node = choices(item, world, used, id);
  else if (kind.startsWith("multi_")) node = choices({...item, options: optionsOf(item, world)}, world, used, id);
  else if (kind.endsWith("_select")) node = select(item, world, used);
  else if (kind === "plain_text_input" || kind === "rich_text_input") node = textInput(item);
  else node = otherInput(item);
  if (id && !["checkboxes", "radio_buttons"].includes(kind)) node.id = id;
  if (item.focus_on_load) node.autofocus = true;
  if (!node.matches("button, .overflow, .choices") && used) node.addEventListener("change", () => used(node.value || null, node));
  node.dataset.actionId = item.action_id;
  node.classList.add("element");
  return node;
}

function button(item, used) {
  const name = item.accessibility_label || undefined;
  const style = item.style ? ` ${item.style}` : "";
  const node = el("button", {type: "button", class: `button${style}`, "aria-label": name}, ...plain(item.text.text));
  node.addEventListener("click", () => {
    if (item.url) window.open(item.url, "_blank", "noopener,noreferrer");
    if (used) used(undefined, node);
  });
  return node;
}

function overflow(item, used) {
  const menu = el("div", {class: "menu", role: "menu", hidden: true});
  const opener = el("button", {type: "button", class: "button", "aria-label": "More", "aria-haspopup": "menu", "aria-expanded": "false"}, "⋯");
  const shown = (open) => {
    menu.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
    if (open) menu.firstChild.focus();
  };
  for (const option of item.options) {
    menu.append(el("button", {type: "button", role: "menuitem", onclick: () => {
      shown(false);
      opener.focus();
      if (used) used(option.value, opener);
    }}, ...plain(option.text.text)));
  }
  opener.addEventListener("click", () => shown(menu.hidden));
  menu.addEventListener("keydown", (event) => {
    const step = {ArrowDown: "nextSibling", ArrowUp: "previousSibling"}[event.key];
    if (step) { (document.activeElement[step] || document.activeElement).focus(); event.preventDefault(); }
    if (event.key === "Escape") { shown(false); opener.focus(); event.stopPropagation(); }
  });
  return el("span", {class: "overflow"}, opener, menu);
}

function optionsOf(item, world) {
  const named = (value, text) => ({value, text: {type: "plain_text", text}});
  if (item.type.includes("users_select")) return Object.values(world.users).filter((u) => !u.deleted).map((u) => named(u.id, u.real_name));
  if (item.type.includes("channels_select") || item.type.includes("conversations_select")) {
    return world.channels.filter((c) => !c.is_im).map((c) => named(c.id, `#${c.name}`));
  }
  return item.options || (item.option_groups || []).flatMap((group) => group.options);
}

function select(item, world) {
  const node = el("select", {class: "select"});
  const words = item.placeholder ? plainText(item.placeholder.text) : "Choose…";
  node.setAttribute("aria-label", words);
  node.append(el("option", {value: ""}, words));
  const add = (parent, option) => parent.append(el("option", {value: option.value}, plainText(option.text.text)));
  if (item.option_groups) {
    for (const group of item.option_groups) {
      const parent = el("optgroup", {label: plainText(group.label.text)});
      group.options.forEach((option) => add(parent, option));
      node.append(parent);
    }
  } else optionsOf(item, world).forEach((option) => add(node, option));
  node.value = (item.initial_option && item.initial_option.value) || item.initial_user || item.initial_channel || item.initial_conversation || "";
  return node;
}

function choices(item, world, used, id) {
  const one = item.type === "radio_buttons";
  const name = id || `choice-${(serial += 1)}`;
  const first = (item.initial_options || (item.initial_option ? [item.initial_option] : [])).map((option) => option.value);
  const root = el("div", {class: "choices", role: one ? "radiogroup" : "group"});
  for (const option of item.options) {
    const box = el("input", {type: one ? "radio" : "checkbox", name, value: option.value});
    box.checked = first.includes(option.value);
    if (used) box.addEventListener("change", () => used(valueOf(root), root));
    const more = option.description ? el("span", {class: "description"}, textObject(option.description, world)) : "";
    root.append(el("label", {class: "choice"}, box, textObject(option.text, world), more));
  }
  root.dataset.one = one ? "yes" : "";
  return root;
}

function textInput(item) {
  const node = item.multiline || item.type === "rich_text_input" ? el("textarea", {rows: 4}) : el("input", {type: "text"});
  if (item.placeholder) node.placeholder = item.placeholder.text;
  if (item.max_length) node.maxLength = item.max_length;
  node.value = typeof item.initial_value === "string" ? item.initial_value : "";
  return node;
}

function otherInput(item) {
  const type = {datepicker: "date", timepicker: "time", datetimepicker: "datetime-local", number_input: "number",
    email_text_input: "email", url_text_input: "url"}[item.type];
  if (!type) return el("span", {class: "unsupported"}, `[${item.type}]`);
  const node = el("input", {type});
  if (item.placeholder) node.placeholder = item.placeholder.text;
  if (item.type === "number_input") {
    node.step = item.is_decimal_allowed ? "any" : "1";
    if (item.min_value !== undefined) node.min = item.min_value;
    if (item.max_value !== undefined) node.max = item.max_value;
  }
  node.value = item.initial_value ?? item.initial_date ?? item.initial_time ?? "";
  return node;
}

export function valueOf(node) {
  if (!node.classList.contains("choices")) return node.value === "" ? null : node.value;
  const chosen = [...node.querySelectorAll("input:checked")].map((box) => box.value);
  return node.dataset.one ? chosen[0] || null : chosen;
}
