// Using buttons and menus, confirmation dialogs, and modals.

import {el, plain, textObject} from "./markup.js";
import {blocks, valueOf} from "./block_kit.js";
import {avatar} from "./messages.js";
import {get, live, post} from "./talk.js";

let modalShown = "";

export function forgetModal() { modalShown = ""; }

export async function act(where, block, item, value, node) {
  if (item.confirm && !(await confirmed(item.confirm))) return;
  const parent = node.closest(".block");
  parent.querySelector(".button-error")?.remove();
  const isButton = node.matches("button");
  if (isButton) { node.disabled = true; node.setAttribute("aria-busy", "true"); }
  const done = await post("action", {...where, action_id: item.action_id, block_id: block.block_id, value});
  if (isButton) { node.disabled = false; node.removeAttribute("aria-busy"); }
  if (!done.ok) parent.append(el("span", {class: "button-error", role: "alert"}, `⚠ ${done.error}`));
}

function confirmed(dialog) {
  const box = get("confirm");
  return new Promise((resolve) => {
    const answer = (yes) => { box.close(); box.replaceChildren(); resolve(yes); };
    const style = dialog.style === "danger" ? "danger" : "primary";
    const deny = el("button", {type: "button", class: "button", onclick: () => answer(false)}, ...plain(dialog.deny.text));
    box.replaceChildren(
      el("div", {class: "modal-header"}, el("h2", {id: "confirm-title"}, ...plain(dialog.title.text))),
      el("div", {class: "modal-body", id: "confirm-text"}, textObject(dialog.text, live.world)),
      el("div", {class: "modal-footer"}, deny, el("button", {type: "button", class: `button ${style}`, onclick: () => answer(true)}, ...plain(dialog.confirm.text))),
    );
    box.oncancel = (event) => { event.preventDefault(); answer(false); };
    box.showModal();
    deny.focus();
  });
}

export function drawModal() {
  const box = get("modal");
  const view = live.world.modal;
  const key = view ? `${view.id} ${view.hash}` : "";
  if (key === modalShown) return;
  const entered = view && modalShown.startsWith(`${view.id} `) ? inputs(box) : {};
  modalShown = key;
  if (!view) { box.close(); box.replaceChildren(); return; }
  const use = (block, item, value, node) => act({view_id: view.id}, block, item, value, node);
  const body = el("div", {class: "modal-body"}, blocks(view.blocks, live.world, use));
  const close = () => post("view_closed", {view_id: view.id});
  const footer = el("div", {class: "modal-footer"}, el("span", {class: "button-error", role: "alert"}),
    el("button", {type: "button", class: "button", onclick: close}, ...plain(view.close ? view.close.text : "Cancel")));
  if (view.submit) footer.append(el("button", {type: "submit", class: "button primary"}, ...plain(view.submit.text)));
  const form = el("form", {method: "dialog", novalidate: true},
    el("div", {class: "modal-header"}, avatar(live.world.users[live.world.app.user]), el("h2", {id: "modal-title"}, ...plain(view.title.text)),
      el("button", {type: "button", class: "icon-button", "aria-label": "Close", onclick: close}, "×")), body, footer);
  form.addEventListener("submit", (event) => { event.preventDefault(); submit(view, box); });
  box.replaceChildren(form);
  restore(box, entered);
  box.oncancel = (event) => { event.preventDefault(); close(); };
  if (!box.open) box.showModal();
  (body.querySelector("input, textarea, select") || footer.lastChild).focus();
}

function inputs(box) {
  const values = {};
  for (const node of box.querySelectorAll(".element:not(button, .overflow)")) {
    const block = node.closest("[data-block-id]").dataset.blockId;
    (values[block] ||= {})[node.dataset.actionId] = valueOf(node);
  }
  return values;
}

function restore(box, entered) {
  for (const node of box.querySelectorAll("input.element, textarea.element, select.element")) {
    const old = entered[node.closest("[data-block-id]").dataset.blockId]?.[node.dataset.actionId];
    if (old !== undefined && old !== null) node.value = old;
  }
}

async function submit(view, box) {
  const button = box.querySelector("button[type=submit]");
  button.disabled = true;
  const done = await post("view_submission", {view_id: view.id, values: inputs(box)});
  button.disabled = false;
  for (const block of box.querySelectorAll("[data-block-id]")) {
    const words = done.errors?.[block.dataset.blockId];
    const line = block.querySelector(".input-error");
    if (line) { line.hidden = !words; line.textContent = words || ""; }
    block.querySelector(".element")?.setAttribute("aria-invalid", String(Boolean(words)));
  }
  box.querySelector("[aria-invalid=true]")?.focus();
  box.querySelector(".modal-footer .button-error").textContent = done.error ? `⚠ ${done.error}` : "";
}
