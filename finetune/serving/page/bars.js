// The classes of one image as bars.

/** Return a share as text: 0.947 is 94.7 %. */
export const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;

/**
 * Fill a list with the predictions of a row, or with the reason why the image was not read.
 * With `choose`, each class is a button that calls it with its label; `chosen` is the pressed one.
 */
export function showBars(list, row, { choose, chosen } = {}) {
  if (row.error) {
    const item = document.createElement("li");
    item.className = "error";
    item.textContent = `Not read: ${row.error}`;
    list.replaceChildren(item);
    return;
  }
  list.replaceChildren(...row.predictions.map(({ label, probability }) => {
    const item = document.createElement("li");
    const line = document.createElement(choose ? "button" : "div");
    line.className = "bar";
    line.style.setProperty("--share", probability);
    const name = document.createElement("span");
    name.textContent = label;
    const number = document.createElement("b");
    number.textContent = percent(probability);
    line.append(name, " ", number);
    if (choose) {
      line.type = "button";
      line.title = `Show what speaks for ${label}`;
      line.setAttribute("aria-pressed", label === chosen);
      line.addEventListener("click", () => choose(label));
    }
    item.append(line);
    return item;
  }));
}
