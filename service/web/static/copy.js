// Copies what a button names, and says so; without this, or without leave, it is chosen instead.
(() => {
  document.documentElement.classList.add("can-copy");
  const said = document.createElement("p");
  said.className = "unseen";
  said.ariaLive = "polite";
  document.body.append(said);

  const choose = (element) => {
    if (element.select) {
      element.focus();
      element.select();
    } else {
      getSelection().selectAllChildren(element);
    }
  };

  const copy = async (text, shown) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {  // not over plain HTTP, or not allowed
      choose(shown);
      return document.execCommand("copy");
    }
  };

  // On the document, because pages swap in new buttons.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button.copy");
    if (!button) return;
    const named = button.dataset.copyFrom;
    const shown = named ? document.getElementById(named) : button.previousElementSibling;
    const done = await copy(button.dataset.copy ?? shown.value, shown);
    button.focus();
    said.textContent = "";
    button.dataset.done = done ? "\u2713" : "(press Ctrl and C)";
    // Said again, however often it is pressed.
    setTimeout(() => { said.textContent = done ? "Copied" : "Chosen: press Ctrl and C"; }, 50);
    setTimeout(() => { delete button.dataset.done; }, 2000);
  });
  // A press puts the cursor somewhere only after it has given focus.
  document.addEventListener("focusin", (event) => {
    if (!event.target.matches("textarea.secret")) return;
    setTimeout(() => { if (document.activeElement === event.target) event.target.select(); });
  });
})();
