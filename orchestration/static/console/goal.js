// Keeps an open goal page true: on each ledger event (server-sent events), or every three seconds
// where those do not get through, what can be patched is patched in place, and a tab that shows more
// than states is read anew. Without this script the page shows what was true when it was loaded, and
// everything on it works.
(() => {
  "use strict";
  const root = document.getElementById("as-goal");
  if (!root || "over" in root.dataset) return;
  const away = document.getElementById("as-away");
  const tab = document.getElementById("as-tab");
  const words = JSON.parse(document.getElementById("as-words")?.textContent ?? "{}");  // by state, and what waits
  const PATCH_MS = 800;
  const POLL_MS = 3000;
  const RENEW_MS = 4000;
  const LINES_MAX = 2000;
  let due = null;
  let busy = false;
  let over = false;
  let polling = null;
  let waiting = null;
  let told = null;
  let renewed = Date.now();

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
    label.replaceChildren(sign, ` ${words[state] ?? state.replaceAll("_", " ")}`);
  };

  // --- Patching the states -----------------------------------------------------------------------

  // As `graph.Node.title`.
  function titled(node) {
    const named = (state) => words[state] ?? state;
    const again = node.again ? [words[node.alone ? "attempts" : "again"].replace("%(n)s", node.again)] : [];
    if (node.alone) return [node.head, named(node.state), ...again].join(" · ");
    const counted = node.states.map(([state, number]) => `${number} ${named(state)}`);
    return `${node.head}: ${[...counted, ...again].join(", ")}`;
  }

  function patchNode(node) {
    const drawn = root.querySelector(`[data-node="${CSS.escape(node.name)}"]`);
    if (!drawn) return false;
    toned(drawn, node.tone);
    drawn.querySelector("title").textContent = titled(node);
    drawn.querySelector(".as-mark").textContent = node.mark;
    drawn.querySelector(".as-badge").textContent = node.badge;
    const small = root.querySelector(`[data-mini="${CSS.escape(node.name)}"]`);
    if (small) toned(small, node.tone);
    const row = root.querySelector(`[data-row="${CSS.escape(node.name)}"]`);
    if (row) {
      chip(row.querySelector('[data-part="state"]'), node.state, node.mark, node.tone);
      const waits = row.querySelector('[data-part="waits"]');
      if (waits) waits.textContent = node.waits && words.waits.replace("%(keys)s", () => node.waits);
    }
    return true;
  }

  // As `show.coded`: what stands between backticks is code.
  function coded(text) {
    const pieces = text.split("`");
    if (pieces.length % 2 === 0) return [text];
    return pieces.map((piece, i) => i % 2
      ? Object.assign(document.createElement("code"), { textContent: piece }) : piece);
  }

  function patch(now) {
    chip(part("state"), now.state, now.mark, now.tone);
    part("bar").max = Math.max(now.total, 1);
    part("bar").value = now.done;
    part("count").textContent = `${now.done}/${now.total}`;
    part("why").replaceChildren(...coded(now.why[document.documentElement.lang] ?? now.why.en));
    // A new question or the end change the page: load it again, unless somebody is typing.
    const asked = waiting !== null && waiting !== now.waiting;
    waiting = now.waiting;
    over = now.over;
    if (asked || over) reload();
    return !root.querySelector("[data-graph]") || now.nodes.map(patchNode).every(Boolean);
  }

  const typing = () => {
    const field = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? "");
    return (field && root.contains(document.activeElement)) ||
      [...root.querySelectorAll("input:not([type=hidden]):not([type=checkbox]), textarea")]
        .some((each) => each.value !== each.defaultValue);
  };
  const reload = () => { if (!typing()) window.location.reload(); };

  // --- Reading the tab anew ----------------------------------------------------------------------

  const focused = () => {
    const here = document.activeElement;
    if (!here || !tab.contains(here)) return null;
    const href = here.closest("a")?.getAttribute("href");
    return href ? `a[href=${JSON.stringify(href)}]` : "[tabindex]";
  };

  async function renew() {
    if (typing() || Date.now() - renewed < RENEW_MS) return false;
    renewed = Date.now();
    const answer = await fetch(window.location.href, { credentials: "same-origin" });
    if (!answer.ok) throw new Error(String(answer.status));
    const read = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = read.getElementById("as-tab");
    if (!fresh) return false;
    const focus = focused();
    const open = [...tab.querySelectorAll("details")].map((each) => each.open);
    const places = [...tab.querySelectorAll(".as-scroll")].map((e) => [e.scrollLeft, e.scrollTop]);
    tab.replaceChildren(...fresh.childNodes);
    [...tab.querySelectorAll("details")].forEach((each, n) => { each.open = open[n] ?? each.open; });
    [...tab.querySelectorAll(".as-scroll")].forEach((each, n) => {
      [each.scrollLeft, each.scrollTop] = places[n] ?? [0, 0];
    });
    if (focus) tab.querySelector(focus)?.focus({ preventScroll: true });
    return true;
  }

  // --- The log's tail ----------------------------------------------------------------------------

  async function tail() {
    const log = document.getElementById("as-log");
    const follow = document.getElementById("as-follow");
    if (!log || !follow?.checked) return;
    const url = new URL(log.dataset.tail, window.location.href);
    url.searchParams.set("after", log.dataset.seq);
    const answer = await fetch(url, { credentials: "same-origin" });
    if (!answer.ok) throw new Error(String(answer.status));
    const read = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = read.querySelector("[data-seq]");
    log.dataset.seq = fresh.dataset.seq;
    log.prepend(...fresh.children);
    while (log.children.length > LINES_MAX) log.lastElementChild.remove();
  }
  const follow = document.getElementById("as-follow");
  if (follow) {
    follow.closest("[hidden]")?.removeAttribute("hidden");
    follow.addEventListener("change", () => soon());
  }

  // The stream tells what is; where it does not get through, it is asked for.
  async function asked() {
    const answer = await fetch(root.dataset.live, { credentials: "same-origin" });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  }

  // --- When --------------------------------------------------------------------------------------

  async function refresh() {
    due = null;
    if (busy || over) return;
    busy = true;
    try {
      const known = patch(told ?? await asked());
      told = null;
      if (!known || "refresh" in tab.dataset) {
        if (!(await renew())) due ??= setTimeout(refresh, RENEW_MS); // not now: later, once
      }
      await tail();
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
  const source = new EventSource(root.dataset.stream ?? root.dataset.events);
  source.addEventListener("open", () => { rest(); away.hidden = true; });
  source.addEventListener("ledger", soon);
  source.addEventListener("live", (event) => {
    told = JSON.parse(event.data);
    if (told.over) source.close();
    if (busy) soon(); else refresh();
  });
  source.addEventListener("over", () => { source.close(); soon(); });
  source.addEventListener("error", poll);
})();
