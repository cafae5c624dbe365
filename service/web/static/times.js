// Writes every moment in the reader's own zone; without this, or without zones, UTC stays.
(() => {
  const format = (more) => new Intl.DateTimeFormat("en-GB", {
    day: "numeric", month: "short", ...more,
    hour: "2-digit", minute: "2-digit", timeZoneName: "short",
  });
  const dated = format({ year: "numeric" });
  const yearless = format({});  // where room is scarce

  const rewrite = (root) => {
    for (const element of root.querySelectorAll("time[datetime]:not([data-local])")) {
      const when = new Date(element.dateTime);
      if (Number.isNaN(when.getTime())) continue;
      element.dataset.local = "";
      const short = "yearless" in element.dataset ? yearless : dated;
      // No line breaks within GMT-5.
      element.textContent = short.format(when).replace("GMT-", "GMT\u2011");
    }
  };

  const begin = () => {
    rewrite(document);
    // Whatever htmx swaps in, out of band too.
    document.body.addEventListener("htmx:afterSettle", () => rewrite(document));
    document.body.addEventListener("htmx:oobAfterSwap", () => rewrite(document));
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
