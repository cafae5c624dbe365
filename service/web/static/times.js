// Writes every moment in the reader's own zone, or how long ago it was; without this, or without
// zones, what the server wrote stays.
(() => {
  const format = (more) => new Intl.DateTimeFormat("en-GB", {
    day: "numeric", month: "short", ...more,
    hour: "2-digit", minute: "2-digit", timeZoneName: "short",
  });
  const dated = format({ year: "numeric" });
  const yearless = format({});  // where room is scarce
  const exact = format({ year: "numeric", second: "2-digit" });  // where two may share a minute
  const dayOnly = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
  const relative = new Intl.RelativeTimeFormat("en");
  const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]];
  const MONTH = 30 * 86400;

  const ago = (when) => {
    const seconds = (Date.now() - when) / 1000;
    if (seconds >= MONTH) return dayOnly.format(when);
    const unit = UNITS.find(([, length]) => seconds >= length);
    return unit ? relative.format(-Math.floor(seconds / unit[1]), unit[0]) : "just now";
  };
  const form = (data) => {
    if ("seconds" in data) return exact;
    return "yearless" in data ? yearless : dated;
  };
  // No line breaks within GMT-5.
  const whole = (form, when) => form.format(when).replace("GMT-", "GMT\u2011");

  const rewrite = (root) => {
    for (const element of root.querySelectorAll("time[datetime]:not([data-local])")) {
      const when = new Date(element.dateTime);
      if (Number.isNaN(when.getTime())) continue;
      if ("ago" in element.dataset) {
        const words = ago(when);
        if (element.textContent !== words) element.textContent = words;
        element.title = whole(dated, when);
        continue;  // and again, as time goes on
      }
      element.dataset.local = "";
      element.textContent = whole(form(element.dataset), when);
    }
  };

  const begin = () => {
    rewrite(document);
    // Whatever htmx swaps in, out of band too.
    document.body.addEventListener("htmx:afterSettle", () => rewrite(document));
    document.body.addEventListener("htmx:oobAfterSwap", () => rewrite(document));
    setInterval(() => rewrite(document), 20000);
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
