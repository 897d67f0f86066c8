// Where the drawn part of a large graph lies in the whole: a frame in the overview follows the scrolling, and
// pressing or dragging in it scrolls there. Without this script the overview shows the states only.
(() => {
  "use strict";
  const graph = () => document.querySelector("[data-graph]");
  const map = () => document.querySelector("[data-map]");
  let dragged = null;  // the id of the pointer that holds the frame

  function frame() {
    const [shown, whole] = [graph(), map()];
    if (!shown || !whole) return;
    const view = whole.querySelector(".as-view");
    view.setAttribute("x", shown.scrollLeft);
    view.setAttribute("y", shown.scrollTop);
    view.setAttribute("width", Math.min(shown.clientWidth, whole.viewBox.baseVal.width));
    view.setAttribute("height", Math.min(shown.clientHeight, whole.viewBox.baseVal.height));
  }

  function go(event) {
    const [shown, whole] = [graph(), map()];
    const box = whole.getBoundingClientRect();
    const { width, height } = whole.viewBox.baseVal;
    shown.scrollLeft = ((event.clientX - box.left) * width) / box.width - shown.clientWidth / 2;
    shown.scrollTop = ((event.clientY - box.top) * height) / box.height - shown.clientHeight / 2;
  }

  // On the document: the tab around them is put in anew when the plan changes.
  document.addEventListener("scroll", (event) => { if (event.target === graph()) frame(); }, true);
  document.addEventListener("pointerdown", (event) => {
    if (!event.target.closest?.("[data-map]")) return;
    dragged = event.pointerId;
    event.preventDefault();
    go(event);
  });
  document.addEventListener("pointermove", (event) => { if (event.pointerId === dragged) go(event); });
  for (const over of ["pointerup", "pointercancel"]) document.addEventListener(over, () => { dragged = null; });
  new ResizeObserver(frame).observe(document.getElementById("as-tab") ?? document.body);
  frame();
})();
