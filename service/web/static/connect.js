// Opens QuickBooks in a window of its own, as Infactor does, and goes on when a company has come:
// the window says so, and this page asks as well, because Intuit's pages may cut the two apart.
// Where windows are blocked, the form is an ordinary one and leads there in this window. So does that
// of a connect link which a page has opened: it is that page's pop-up, and the page waits to be told.
(() => {
  const NAME = "infactor-quickbooks-connect";
  const WIDTH = 800;
  const HEIGHT = 650;
  const EVERY = 2000;
  const LONGEST = 15 * 60 * 1000;
  const waiting = document.getElementById("waiting");
  const refused = document.getElementById("refused");
  if (!waiting) return;
  let opened = null;
  let timer = null;
  let end = null;

  const centred = () => {
    const left = Math.max(0, Math.round(window.screenX + (window.outerWidth - WIDTH) / 2));
    const top = Math.max(0, Math.round(window.screenY + (window.outerHeight - HEIGHT) / 2));
    return `popup,width=${WIDTH},height=${HEIGHT},left=${left},top=${top}`;
  };

  const ask = async () => {
    try {
      const answer = await fetch(`/quickbook/arrived?since=${waiting.dataset.since}`);
      if (answer.status !== 200) return;
    } catch {
      return;  // the next one may get through
    }
    clearInterval(timer);
    window.location.assign("/quickbook/");
  };

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("form[data-popup]")) return;
    if (window.opener && form.matches("[data-here-if-opened]")) return;
    opened = window.open("", NAME, centred());
    if (!opened) {
      form.removeAttribute("target");
      return;
    }
    form.target = NAME;
    opened.focus();
    waiting.hidden = false;
    refused.hidden = true;
    clearInterval(timer);
    clearTimeout(end);
    timer = setInterval(ask, EVERY);
    end = setTimeout(() => clearInterval(timer), LONGEST);
  });

  window.addEventListener("message", (event) => {
    if (event.origin !== window.location.origin || !opened || event.source !== opened) return;
    const outcome = event.data && event.data.infactorQuickbooks;
    if (outcome === "connected") ask();
    if (outcome === "refused") {
      clearInterval(timer);
      waiting.hidden = true;
      refused.hidden = false;
    }
  });
})();
