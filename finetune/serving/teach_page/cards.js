// The classes as cards: name, count, thumbnails to choose, and the buttons of each.

import * as teaching from "./teaching.js";

const BACK = "to .deleted in the folder, from where you can move them back";
const SHOWN = 48; // thumbnails of a class, until all are asked for

/**
 * Keep a list of cards like the classes of the server.
 * `add(name, files)` uploads; `hold(name)` records until `hold()`, without a camera it is null; `change(action)` runs
 * an action, shows what it returns, and refreshes.
 */
export function classCards(list, template, { add, change, hold }) {
  const cards = new Map(); // from the name of a class to its <li>, and what is shown in it

  function show(classes) {
    const names = classes.map(({ name }) => name);
    for (const [name, { item }] of cards) {
      if (names.includes(name)) continue;
      item.remove();
      cards.delete(name);
    }
    classes.forEach(({ name, images, version }, index) => {
      if (!cards.has(name)) cards.set(name, newCard(name));
      const card = cards.get(name);
      if (list.children[index] !== card.item) list.insertBefore(card.item, list.children[index] ?? null);
      card.item.querySelector(".count").textContent = `${images.toLocaleString("en")} image${images === 1 ? "" : "s"}`;
      card.count = images;
      if (card.version !== version) fill(name, card, version).catch(() => { card.version = undefined; }); // next time
      choices(name, card, names);
    });
  }

  function newCard(name) {
    const item = template.content.firstElementChild.cloneNode(true);
    const card = { item, images: [], most: SHOWN, selected: new Set() };
    const button = (part) => item.querySelector(part);
    item.dataset.name = name;
    button("h3").textContent = name;
    for (const [part, what] of [[".rename", "Rename"], [".delete", "Delete"], [".add", "Add images to"], [".hold", "Hold to record"]]) {
      button(part).setAttribute("aria-label", `${what} ${name}`);
    }
    button(".thumbs").setAttribute("aria-label", `Images of ${name}`);
    button(".rename").addEventListener("click", () => {
      const wanted = prompt("New name of the class", name);
      if (wanted === null || wanted === name) return;
      change(async () => { await teaching.renameClass(name, wanted); });
    });
    button(".delete").addEventListener("click", () => {
      const question = `Delete the class ${name} with its images? They move ${BACK}.`;
      if (!card.count || confirm(question)) change(async () => { await teaching.deleteClass(name); });
    });
    const files = button("input");
    button(".add").addEventListener("click", () => files.click());
    files.addEventListener("change", () => {
      add(name, [...files.files]);
      files.value = "";
    });
    button(".more").addEventListener("click", () => {
      card.most = Number.MAX_SAFE_INTEGER;
      change(() => fill(name, card, card.version));
    });
    button(".move").addEventListener("click", () => {
      const to = button("select").value;
      onSelected(card, (image) => teaching.relabel(image, to), `moved to ${to}`);
    });
    button(".remove").addEventListener("click", () => {
      onSelected(card, teaching.deleteImage, `moved ${BACK}`);
    });
    button(".hold").hidden = !hold;
    if (hold) holding(button(".hold"), name);
    return card;
  }

  /** Let a button record as long as it is held, with a pointer or with the space bar or Enter. */
  function holding(button, name) {
    const start = () => {
      button.classList.add("recording");
      hold(name);
    };
    const stop = () => {
      if (button.classList.contains("recording")) hold();
      button.classList.remove("recording");
    };
    button.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      button.setPointerCapture(event.pointerId);
      start();
    });
    for (const end of ["pointerup", "pointercancel", "blur", "keyup"]) button.addEventListener(end, stop);
    button.addEventListener("contextmenu", (event) => event.preventDefault()); // a long press on a phone
    button.addEventListener("keydown", (event) => {
      if (event.key !== " " && event.key !== "Enter") return;
      event.preventDefault();
      if (!event.repeat) start();
    });
  }

  async function fill(name, card, version) {
    card.version = version;
    card.images = await teaching.images(name, card.most);
    const before = new Map([...card.item.querySelectorAll(".thumbs li")].map((each) => [each.dataset.image, each]));
    const thumbs = card.images.map((image) => before.get(image) ?? newThumb(card, image));
    thumbs.forEach((thumb, index) => { thumb.querySelector("img").alt = `${name}, image ${index + 1}`; });
    card.item.querySelector(".thumbs").replaceChildren(...thumbs);
    card.item.querySelector(".more").hidden = card.count <= card.images.length;
    for (const image of card.selected) if (!card.images.includes(image)) card.selected.delete(image);
    showSelected(card);
  }

  function newThumb(card, image) {
    const [item, button] = ["li", "button"].map((tag) => document.createElement(tag));
    item.dataset.image = image;
    button.type = "button";
    button.setAttribute("aria-pressed", false);
    button.addEventListener("click", () => {
      if (!card.selected.delete(image)) card.selected.add(image);
      button.setAttribute("aria-pressed", card.selected.has(image));
      showSelected(card);
    });
    button.append(teaching.thumbnail(image));
    item.append(button);
    return item;
  }

  function showSelected(card) {
    card.item.querySelector(".chosen").hidden = !card.selected.size;
    card.item.querySelector(".chosen span").textContent = `${card.selected.size} chosen:`;
  }

  /** Offer the other classes to move chosen images to. */
  function choices(name, { item }, names) {
    const select = item.querySelector("select");
    const others = names.filter((each) => each !== name);
    item.querySelector(".move").disabled = !others.length;
    if (select.length === others.length && others.every((each, at) => select.options[at].value === each)) return;
    const before = select.value;
    select.replaceChildren(...others.map((each) => new Option(each, each, false, each === before)));
  }

  function onSelected(card, action, what) {
    const images = [...card.selected];
    change(async () => {
      for (const image of images) {
        await action(image);
        card.selected.delete(image);
      }
      return `${images.length} image${images.length === 1 ? "" : "s"} ${what}.`;
    });
  }

  const cardAt = (target) => target?.closest?.(".class");
  return {
    show,
    /** Return the class at an element of the page. */
    nameAt: (target) => cardAt(target)?.dataset.name,
    /** Mark the class that files are dragged over. */
    over(target) {
      for (const { item } of cards.values()) item.classList.toggle("over", item === cardAt(target));
    },
  };
}
