// Says when the page cannot be brought up to date, and that a search is under way.
(() => {
  const stale = document.getElementById("stale");
  const failed = () => { stale.hidden = false; };
  for (const event of ["htmx:sendError", "htmx:timeout", "htmx:responseError"]) {
    document.body.addEventListener(event, failed);
  }
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful) stale.hidden = true;
  });

  const form = document.querySelector("form.find");
  const loading = document.getElementById("loading");
  if (!form) return;
  form.addEventListener("submit", () => { loading.hidden = false; });
  window.addEventListener("pageshow", () => { loading.hidden = true; });  // back to a kept page
})();
