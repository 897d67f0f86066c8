// Keys for the inbox and for a request's page. They only move the focus and choose: what is decided
// is sent by a button or by Enter, as without this script. They can be switched off, and are for as
// long as somebody types. An open inbox also says when something new came, and leaves it to the
// reader to load it: what is ticked stays.
(() => {
  "use strict";
  const told = document.getElementById("as-new");
  if (!told) return;
  const title = document.title;
  async function look() {
    if (document.hidden) return;
    try {
      const answer = await fetch(told.dataset.live, { credentials: "same-origin" });
      if (!answer.ok) return;
      const now = await answer.json();
      document.title = now.open ? `(${now.open}) ${title}` : title;
      if (now.newest <= Number(told.dataset.newest)) return;
      const link = Object.assign(document.createElement("a"), { textContent: told.dataset.show });
      link.href = window.location.href;
      told.replaceChildren(`${told.dataset.waits} `, link);
      told.hidden = false;
    } catch { /* away: asked again */ }
  }
  setInterval(look, 5000);
  document.addEventListener("visibilitychange", look);
})();

(() => {
  "use strict";
  const hint = document.querySelector(".as-hint");
  if (!hint) return;
  const said = hint.dataset; // in the reader's language
  const rows = [...document.querySelectorAll("a.as-row")];
  const follow = (rel) => document.querySelector(`.as-page a[rel=${rel}]`)?.click();
  const form = document.querySelector("form.as-decide-one");
  const single = document.querySelector(".as-one") !== null;
  if (!rows.length && !single) return;
  const STORE = "agentsys-keys-off";
  let off = false;
  try { off = localStorage.getItem(STORE) === "1"; } catch { /* not kept: the keys are on */ }

  function move(step) {
    if (!rows.length) return;
    const line = document.activeElement?.closest("tr");
    const at = rows.findIndex((row) => row.closest("tr") === line);
    const next = at < 0 ? (step > 0 ? 0 : rows.length - 1)
      : Math.min(Math.max(at + step, 0), rows.length - 1);
    rows[next].focus();
    rows[next].scrollIntoView({ block: "nearest" });
  }

  function pick() {
    const box = document.activeElement?.closest("tr")?.querySelector("input[name=pick]");
    if (box) box.checked = !box.checked;
  }

  function choose(decision) {
    const radio = form?.querySelector(`input[name=decision][value=${decision}]`);
    if (!radio) return;
    radio.checked = true;
    let goal = radio;
    if (decision === "edit") {
      goal = form.querySelector("textarea[name=payload]") ?? radio;
      const folded = goal.closest("details");
      if (folded) folded.open = true;
    } else if (decision !== "approve") {
      goal = form.querySelector("textarea[name=reason]") ?? radio;
    }
    goal.focus();
    goal.scrollIntoView({ block: "center" });
  }

  form?.addEventListener("change", (event) => {
    if (!event.target.matches("input[name=decision][value=edit]")) return;
    const folded = form.querySelector("textarea[name=payload]")?.closest("details");
    if (folded) folded.open = true;
  });

  const list = [
    ["j", said.next, () => move(1)],
    ["k", said.before, () => move(-1)],
    ["o", said.tick, pick],
  ];
  const one = [
    ["a", said.approve, () => choose("approve")],
    ["e", said.edit, () => choose("edit")],
    ["r", said.reject, () => choose("reject")],
    ["x", said.respond, () => choose("respond")],
    ["j", said.mine, () => follow("next")],
    ["k", said.before, () => follow("prev")],
  ];
  const keys = single ? one : list;
  const made = (name, text, more = {}) =>
    Object.assign(document.createElement(name), { textContent: text, ...more });

  function help() {
    const box = made("dialog", "", { className: "as-keys" });
    box.setAttribute("aria-label", said.title);
    const names = document.createElement("dl");
    const shown = [...keys.map(([key, text]) => [key, text]), ["Enter", single ? said.send : said.open],
      ["?", said.help]];
    for (const [key, text] of shown) {
      const term = document.createElement("dt");
      term.append(made("kbd", key));
      names.append(term, made("dd", text));
    }
    const label = made("label", ` ${said.on}`);
    const toggle = made("input", "", { type: "checkbox", checked: !off });
    toggle.addEventListener("change", () => {
      off = !toggle.checked;
      try { localStorage.setItem(STORE, off ? "1" : "0"); } catch { /* for this page only */ }
    });
    label.prepend(toggle);
    const close = made("button", said.close, { type: "button" });
    close.addEventListener("click", () => box.close());
    box.addEventListener("close", () => box.remove());
    const line = document.createElement("p");
    line.append(label);
    box.append(made("h2", said.keys), names, line, close);
    document.body.append(box);
    box.showModal();
  }

  function typing(target) {
    if (!(target instanceof Element)) return false;
    if (target.closest("textarea, select, [contenteditable], dialog")) return true;
    return target.matches("input:not([type=radio]):not([type=checkbox]):not([type=submit])");
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (typing(event.target) || document.querySelector("dialog[open]")) return;
    if (event.key === "?") { event.preventDefault(); help(); return; }
    const found = off ? undefined : keys.find(([key]) => key === event.key);
    if (!found) return;
    event.preventDefault();
    found[2]();
  });

  const ask = made("button", said.keys, { type: "button" });
  ask.addEventListener("click", help);
  hint.append(ask, ` ${said.or} `, made("kbd", "?"));
  hint.hidden = false;
})();
