// Opens QuickBooks in a window of its own, as Infactor does, and goes on when a company has come.
// Where windows are blocked, the form is an ordinary one and leads there in this window.
(() => {
  const NAME = "infactor-quickbooks-connect";
  const WIDTH = 800;
  const HEIGHT = 650;
  const EVERY = 2000;
  const LONGEST = 15 * 60 * 1000;
  const waiting = document.getElementById("waiting");
  if (!waiting) return;
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
    const opened = window.open("", NAME, centred());
    if (!opened) {
      form.removeAttribute("target");
      return;
    }
    form.target = NAME;
    opened.focus();
    waiting.hidden = false;
    clearInterval(timer);
    clearTimeout(end);
    timer = setInterval(ask, EVERY);
    end = setTimeout(() => clearInterval(timer), LONGEST);
  });
})();
