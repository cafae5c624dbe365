// Copies what is shown to be taken along, and says so; without this it is chosen and copied by hand.
(() => {
  const box = document.querySelector("textarea.secret");
  const button = document.getElementById("copy");
  const copied = document.getElementById("copied");
  if (!box || !button) return;

  // A press puts the cursor somewhere only after it has given focus.
  box.addEventListener("focus", () => setTimeout(() => {
    if (document.activeElement === box) box.select();
  }));

  const copy = async () => {
    try {
      await navigator.clipboard.writeText(box.value);
      return true;
    } catch {  // not over plain HTTP, or not allowed
      box.focus();
      box.select();
      return document.execCommand("copy");
    }
  };
  button.hidden = false;
  button.addEventListener("click", async () => {
    copied.textContent = "";
    const done = await copy();
    button.focus();
    // Said again, however often it is pressed.
    const words = done ? "Copied" : "Select the link and copy it by hand";
    setTimeout(() => { copied.textContent = words; }, 50);
  });
})();
