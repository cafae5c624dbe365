// Shows a chart's values at the pointer and to the arrow keys, and its ticks in the reader's zone.
(() => {
  const span = (seconds) => {
    for (const [unit, name] of [[86400, "days"], [3600, "h"], [60, "min"]]) {
      if (seconds >= 2 * unit) return `${Math.floor(seconds / unit)} ${name}`;
    }
    return seconds > 0 && seconds < 10 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds)} s`;
  };
  const rate = (number) => (number > 0 && number < 10 ? number.toFixed(1) : Math.round(number).toLocaleString("en"));
  const write = { seconds: span, rate };
  const format = (options) => new Intl.DateTimeFormat("en-GB", options);
  const moment = format({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZoneName: "short" });
  const hour = format({ hour: "2-digit", minute: "2-digit" });
  const day = format({ day: "numeric", month: "short" });
  const zone = () => format({ timeZoneName: "short" }).formatToParts().find((part) => part.type === "timeZoneName").value;

  const numbers = (plot) => Object.fromEntries(
    ["begin", "end", "step", "every"].map((name) => [name, Number(plot.dataset[name])]));

  // Round in the reader's zone, where the server can only be round in UTC.
  const place = (plot) => {
    const { begin, end, every } = numbers(plot);
    const ticks = plot.querySelector(".ticks");
    const offset = new Date(begin * 1000).getTimezoneOffset() * 60;
    const texts = [];
    for (let at = Math.ceil((begin - offset) / every) * every + offset; at <= end; at += every) {
      const text = document.createElementNS(ticks.namespaceURI, "text");
      const share = ((at - begin) / (end - begin)) * 100;
      text.setAttribute("x", `${share}%`);
      if (share > 97) text.setAttribute("class", "end");
      text.setAttribute("y", "1em");
      text.textContent = (every < 86400 ? hour : day).format(at * 1000);
      texts.push(text);
    }
    ticks.replaceChildren(...texts);
    plot.closest("figure").querySelector(".zone").textContent = zone();
  };

  const series = (plot) => [...plot.querySelectorAll("[data-values]")].map((path) => ({
    name: path.dataset.name,
    values: path.dataset.values.split(","),
    kind: [...path.classList].find((name) => /^s\d$/.test(name)),
  }));

  const show = (plot, index, aloud) => {
    const { begin, end, step } = numbers(plot);
    const tip = plot.querySelector(".tip");
    const at = begin + index * step;
    const known = series(plot).map((one) => ({ ...one, value: one.values[index] })).filter((one) => one.value);
    const lines = known.map((one) => `${one.name} ${write[plot.dataset.measure](Number(one.value))}`);
    const words = [moment.format(at * 1000), ...(lines.length ? lines : ["nothing known"])];
    tip.replaceChildren(...words.map((text, n) => {
      const line = document.createElement(n ? "span" : "strong");
      line.textContent = text;
      return line;
    }));
    const picture = plot.querySelector(".picture");
    const share = (at - begin) / (end - begin);
    const x = share * picture.viewBox.baseVal.width;
    plot.querySelector(".cursor").setAttribute("d", `M${x} 0V${picture.viewBox.baseVal.height}`);
    tip.hidden = false;
    const left = picture.getBoundingClientRect().left - plot.getBoundingClientRect().left;
    const most = plot.clientWidth - tip.offsetWidth;
    tip.style.left = `${Math.max(0, Math.min(most, left + share * picture.clientWidth - tip.offsetWidth / 2))}px`;
    plot.dataset.index = index;
    if (aloud) plot.querySelector(".said").textContent = words.join(", ");
  };
  const hide = (plot) => {
    plot.querySelector(".tip").hidden = true;
    plot.querySelector(".cursor").setAttribute("d", "");
  };
  const last = (plot) => Math.max(0, ...series(plot).map((one) => one.values.length - 1));

  const plotOf = (event) => event.target.closest?.(".plot");
  document.addEventListener("pointermove", (event) => {
    const plot = plotOf(event);
    if (!plot) return;
    const { begin, end, step } = numbers(plot);
    const box = plot.querySelector(".picture").getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    show(plot, Math.max(0, Math.min(last(plot), Math.floor((share * (end - begin)) / step))), false);
  });
  document.addEventListener("pointerout", (event) => {
    const plot = plotOf(event);
    if (plot && !plot.contains(event.relatedTarget)) hide(plot);
  });
  document.addEventListener("focusin", (event) => {
    const plot = plotOf(event);
    if (plot && event.target.matches(":focus-visible")) show(plot, last(plot), true);
  });
  document.addEventListener("focusout", (event) => { if (plotOf(event)) hide(plotOf(event)); });
  document.addEventListener("keydown", (event) => {
    const plot = plotOf(event);
    if (!plot) return;
    const end = last(plot);
    const index = Number(plot.dataset.index ?? end);
    const to = { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: end, PageUp: index - 12, PageDown: index + 12 }[event.key];
    if (event.key === "Escape") hide(plot);
    if (to === undefined) return;
    event.preventDefault();
    show(plot, Math.max(0, Math.min(end, to)), true);
  });

  const begin = () => document.querySelectorAll(".plot").forEach(place);
  begin();
  document.body.addEventListener("htmx:afterSettle", begin);
})();
