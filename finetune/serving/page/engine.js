// Where answers come from: the API of `finetune serve`. The export to the web replaces this file and no other.

export const explains = true; // whether `explain` draws maps; the page hides the control otherwise

export const privacy = "Images go to the machine that serves this page, and nowhere else.";

const RETRIES = 20; // after 503: the queue is full for seconds at most
const MOST_BYTES = 60e6; // in one request; the server takes 64 MB
const token = new URLSearchParams(location.hash.slice(1)).get("token"); // of --token, in the address: /#token=SECRET

/** Return what GET /v1/model answers: name, network, classes, digest, accuracy. */
export async function model() {
  return (await ask("v1/model")).json();
}

/** Return one row for each file (a File or Blob), like those of `predict --json`. */
export async function predict(files, { top = 5, tenCrop = false } = {}) {
  const large = (file) => file.size > MOST_BYTES;
  const small = files.filter((file) => !large(file));
  const rows = [];
  for (const part of parts(small)) {
    rows.push(...await (await ask(`v1/predict?top=${top}&ten_crop=${tenCrop}`, form(part))).json());
  }
  const error = `larger than ${MOST_BYTES / 1e6} MB; shrink it`;
  return files.map((file) => (large(file) ? { path: file.name, error } : rows.shift()));
}

/** Return the URL of a PNG that fits over the image: what speaks for the class, by default the predicted one. */
export async function explain(file, label) {
  const query = label === undefined ? "" : `?label=${encodeURIComponent(label)}`;
  return URL.createObjectURL(await (await ask(`v1/explain${query}`, form([file]))).blob());
}

/** Split files so that each request has at most MOST_BYTES. */
function parts(files) {
  const found = [];
  let bytes = Infinity;
  for (const file of files) {
    bytes += file.size;
    if (bytes > MOST_BYTES) {
      found.push([]);
      bytes = file.size;
    }
    found.at(-1).push(file);
  }
  return found;
}

function form(files) {
  const body = new FormData();
  for (const file of files) body.append("images", file, file.name ?? "image");
  return body;
}

/** Return a good response; throw an Error with the server's own words otherwise. */
async function ask(path, body) {
  for (let tries = 0; ; tries += 1) {
    const response = await fetch(path, {
      method: body ? "POST" : "GET",
      body,
      headers: token ? { Authorization: `Bearer ${token}` } : {},
    });
    if (response.ok) return response;
    if (response.status !== 503 || tries === RETRIES) throw new Error(await reason(response));
    await new Promise((resolve) => setTimeout(resolve, 1000 * Number(response.headers.get("Retry-After") ?? 1)));
  }
}

async function reason(response) {
  try {
    return (await response.json()).error;
  } catch {
    return `the server answers ${response.status}`;
  }
}
