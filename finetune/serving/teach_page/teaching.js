// What the server does for the second view, and the thumbnails that it sends.

import { ask } from "./engine.js";

const path = (...parts) => ["v1/teach", ...parts.map(encodeURIComponent)].join("/");
const json = (method, value) => ({ method, body: JSON.stringify(value), type: "application/json" });
const imagePath = (image) => path("images", ...image.split("/"));

export const status = async () => (await ask(path())).json();
export const check = async () => (await ask(path("check"))).json();
export const train = () => ask(path("training"), { method: "POST" });
export const addClass = (name) => ask(path("classes"), json("POST", { name }));
export const renameClass = (old, name) => ask(path("classes", old), json("PATCH", { name }));
export const deleteClass = (name) => ask(path("classes", name), { method: "DELETE" });
export const images = async (name, most) => (await ask(`${path("classes", name, "images")}?most=${most}`)).json();
export const relabel = (image, name) => ask(imagePath(image), json("PATCH", { name }));
export const deleteImage = (image) => ask(imagePath(image), { method: "DELETE" });
export const addImage = async (name, body) =>
  (await ask(path("classes", name, "images"), { method: "POST", body, type: "application/octet-stream" })).json();

/** Return a file of the server as a URL; the token, which a link cannot send, goes with it. */
export const download = async (url) => URL.createObjectURL(await (await ask(url)).blob());

/** Return an <img> with the small copy of an image, which is fetched once the image is on the screen. */
export function thumbnail(image, alt = "") {
  const small = document.createElement("img");
  small.alt = alt;
  small.dataset.image = image;
  onScreen.observe(small);
  return small;
}

const onScreen = new IntersectionObserver(async (entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    onScreen.unobserve(target);
    try {
      const url = await download(imagePath(target.dataset.image));
      target.addEventListener("load", () => URL.revokeObjectURL(url), { once: true });
      target.src = url;
    } catch {
      // deleted or moved meanwhile: its alt text stays
    }
  }
});
