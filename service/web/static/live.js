// Says when the page cannot be brought up to date, keeps focus and place, and says that a search is
// under way.
(() => {
  const stale = document.getElementById("stale");
  const failed = () => { stale.hidden = false; };
  for (const event of ["htmx:sendError", "htmx:timeout", "htmx:responseError"]) {
    document.body.addEventListener(event, failed);
  }
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful) stale.hidden = true;
  });

  // A supplier's page that nobody sees asks for nothing. Operators' pages do: a title tells of alarms.
  document.body.addEventListener("htmx:beforeRequest", (event) => {
    const { path } = event.detail.requestConfig;
    if (document.hidden && path.startsWith("/quickbook/")) event.preventDefault();
  });

  // htmx gives focus back to what returns under its id; what does not leaves it to what was around.
  let around = [];
  document.body.addEventListener("htmx:beforeSwap", () => {
    around = [];
    for (let at = document.activeElement; at; at = at.parentElement) if (at.id) around.push(at.id);
  });
  document.body.addEventListener("htmx:afterSettle", () => {
    if (document.activeElement !== document.body) return;
    const nearest = around.map((id) => document.getElementById(id)).find(Boolean);
    if (!nearest) return;
    if (nearest.tabIndex < 0) nearest.tabIndex = -1;  // so that it can have focus
    nearest.focus({ preventScroll: true });
  });

  // A row that is new above would push the others on, and a click would hit the neighbour: where the
  // table's head has been scrolled away, the row at the pointer, or the first in sight, stays in place.
  let held = [];
  const top = (element) => element.getBoundingClientRect().top;
  document.body.addEventListener("htmx:beforeSwap", () => {
    const links = [...document.querySelectorAll("#live tbody [id^='row-']")];
    const pointed = document.querySelector("#live tbody tr:hover [id^='row-']");
    const scrolled = links.length > 0 && top(links[0]) < 0;
    const seen = links.filter((link) => top(link) >= 0 && top(link) < window.innerHeight);
    held = scrolled ? [pointed, ...seen].filter(Boolean).map((link) => [link.id, top(link)]) : [];
  });
  document.body.addEventListener("htmx:afterSwap", () => {
    for (const [id, before] of held) {
      const link = document.getElementById(id);
      if (!link || Math.abs(top(link) - before) > window.innerHeight) continue;  // gone, or elsewhere
      window.scrollBy({ top: top(link) - before, behavior: "instant" });
      return;
    }
  });

  // The tab of this page is in sight, also where the tabs are wider than a phone; they stay where
  // their reader has moved them, and what was unfolded stays so.
  const tabs = () => document.querySelector("nav.tabs");
  const bar = tabs();
  const current = bar && bar.querySelector("[aria-current]");
  if (current) {
    const [outer, inner] = [bar.getBoundingClientRect(), current.getBoundingClientRect()];
    bar.scrollLeft += inner.left - outer.left - (outer.width - inner.width) / 2;
  }
  let along = 0;
  let unfolded = [];
  document.body.addEventListener("htmx:beforeSwap", () => {
    if (tabs()) along = tabs().scrollLeft;
    unfolded = [...document.querySelectorAll("#live details[id][open]")].map(({ id }) => id);
  });
  document.body.addEventListener("htmx:afterSwap", () => {
    if (tabs()) tabs().scrollLeft = along;
    for (const details of unfolded.map((id) => document.getElementById(id))) {
      if (details) details.open = true;
    }
  });

  // A menu closes when its reader goes elsewhere, as menus do.
  const close = (except) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (menu !== except) menu.open = false;
    }
  };
  document.addEventListener("click", (event) => close(event.target.closest("details.menu")));
  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
    if (!menu) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });

  const form = document.querySelector(".find form");
  const loading = document.getElementById("loading");
  if (!form) return;
  form.addEventListener("submit", () => { loading.hidden = false; });
  window.addEventListener("pageshow", () => { loading.hidden = true; });  // back to a kept page
})();
