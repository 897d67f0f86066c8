// Keeps an open goal page true: on each ledger event (server-sent events), or every three seconds
// where those do not get through, the states are fetched and patched in place. Without this script
// the page shows what was true when it was loaded, and everything on it works.
(() => {
  "use strict";
  const root = document.getElementById("as-goal");
  if (!root || "over" in root.dataset) return;
  const away = document.getElementById("as-away");
  const PATCH_MS = 800;
  const POLL_MS = 3000;
  let due = null;
  let busy = false;
  let over = false;
  let polling = null;
  let waiting = null;

  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const toned = (element, tone) => {
    for (const name of [...element.classList]) {
      if (name.startsWith("as-t-")) element.classList.remove(name);
    }
    element.classList.add(`as-t-${tone}`);
  };
  const chip = (host, state, mark, tone) => {
    const label = host.querySelector(".as-chip");
    if (!label) return;
    toned(label, tone);
    const sign = document.createElement("span");
    sign.setAttribute("aria-hidden", "true");
    sign.textContent = mark;
    label.replaceChildren(sign, ` ${state.replaceAll("_", " ")}`);
  };

  function patchNode(node) {
    const drawn = root.querySelector(`[data-node="${CSS.escape(node.name)}"]`);
    if (!drawn) return false;
    toned(drawn, node.tone);
    drawn.querySelector("title").textContent = node.title;
    drawn.querySelector(".as-mark").textContent = node.mark;
    const row = root.querySelector(`[data-row="${CSS.escape(node.name)}"] [data-part="state"]`);
    if (row) chip(row, node.state, node.mark, node.tone);
    return true;
  }

  function patch(now) {
    chip(part("state"), now.state, now.mark, now.tone);
    part("bar").max = Math.max(now.total, 1);
    part("bar").value = now.done;
    part("count").textContent = `${now.done}/${now.total}`;
    part("why").textContent = now.why;
    const graph = root.querySelector(".as-graph");
    const known = now.nodes.map(patchNode).every(Boolean);
    // New tasks, a new question or the end change the page's shape: load it again, unless
    // somebody is typing into one of its forms.
    const asked = waiting !== null && waiting !== now.waiting;
    waiting = now.waiting;
    over = now.over;
    if ((graph && !known) || asked || over) reload();
  }

  function reload() {
    const typing = root.contains(document.activeElement) &&
      /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
    const filled = [...root.querySelectorAll("input:not([type=hidden]), textarea")]
      .some((field) => field.value !== field.defaultValue);
    if (!typing && !filled) window.location.reload();
  }

  async function refresh() {
    due = null;
    if (busy || over) return;
    busy = true;
    try {
      const answer = await fetch(root.dataset.live, { credentials: "same-origin" });
      if (!answer.ok) throw new Error(String(answer.status));
      patch(await answer.json());
      away.hidden = true;
    } catch {
      away.hidden = false;
    } finally {
      busy = false;
    }
  }

  const soon = () => { if (due === null) due = setTimeout(refresh, PATCH_MS); };
  const poll = () => { if (polling === null) polling = setInterval(soon, POLL_MS); };
  const rest = () => { clearInterval(polling); polling = null; };

  if (typeof EventSource === "undefined") { poll(); return; }
  const source = new EventSource(root.dataset.events);
  source.addEventListener("open", () => { rest(); away.hidden = true; });
  source.addEventListener("ledger", soon);
  source.addEventListener("over", () => { source.close(); soon(); });
  source.addEventListener("error", poll);
})();
