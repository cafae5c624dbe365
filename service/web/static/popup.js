// Tells the page behind a pop-up what came of it, if that page is of an origin that may know. Which
// one it is nobody can see from here: a browser delivers a message to its own origin alone.
(() => {
  const place = document.querySelector("[data-outcome]");
  if (!place || !window.opener) return;
  const message = { infactorQuickbooks: place.dataset.outcome };
  for (const origin of place.dataset.openers.split(" ")) window.opener.postMessage(message, origin);
})();

// Offers to close a pop-up in which nothing came of it: the page behind it has the button.
(() => {
  const back = document.getElementById("popup-back");
  const onward = document.getElementById("popup-else");
  if (!back || !window.opener) return;
  back.hidden = false;
  if (onward) onward.hidden = true;
  back.querySelector("button").addEventListener("click", () => window.close());
})();

// Closes the pop-up of a connection that went well, some seconds after the last sign of a reader.
(() => {
  const box = document.getElementById("popup");
  if (!box || !window.opener) return;  // a page of its own: it leads on to the invoices

  const note = document.getElementById("popup-note");
  const left = document.getElementById("popup-left");
  const onward = document.getElementById("onward");
  const whole = Number(box.dataset.seconds);
  let remaining = whole;
  let timer = null;

  const stay = () => {
    clearInterval(timer);
    note.hidden = true;
  };
  const close = () => {
    stay();
    window.close();
    // A browser may refuse: then this is an ordinary page after all.
    setTimeout(() => { box.hidden = true; onward.hidden = false; }, 500);
  };
  const startAgain = () => {
    remaining = whole;
    left.textContent = remaining;
  };
  const tick = () => {
    if (document.hidden) return;
    remaining -= 1;
    left.textContent = remaining;
    if (remaining <= 0) close();
  };

  box.hidden = false;
  onward.hidden = true;
  document.getElementById("popup-close").addEventListener("click", close);
  document.getElementById("popup-stay").addEventListener("click", stay);
  for (const sign of ["pointermove", "pointerdown", "keydown", "wheel", "touchstart"]) {
    document.addEventListener(sign, startAgain, { passive: true });
  }
  timer = setInterval(tick, 1000);
})();
