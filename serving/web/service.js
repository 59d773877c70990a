// Asking the service. The access key, if one is needed, lives in this tab only and goes to this service only.

const KEY = "cemrisk.key";

/** What the service refused: its problem document (RFC 9457). */
export class Refusal extends Error {
  constructor(problem) {
    super(problem.title);
    this.problem = problem;
  }
}

export const heldKey = () => sessionStorage.getItem(KEY);
export const holdKey = (key) => (key ? sessionStorage.setItem(KEY, key) : sessionStorage.removeItem(KEY));

async function call(path, options = {}) {
  const key = heldKey();
  const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal({ code: "unreachable", title: "", detail: "", errors: [] });
  }
  if (!response.ok) throw new Refusal(await problemOf(response));
  return response;
}

/** What a proxy in between answers need not be a problem document. */
async function problemOf(response) {
  try {
    const found = await response.json();
    return { ...found, errors: found.errors ?? [], retryAfter: response.headers.get("Retry-After") };
  } catch {
    return { code: "unreachable", title: "", detail: "", errors: [] };
  }
}

export const getJson = async (path) => (await call(path, { headers: { Accept: "application/json" } })).json();

export const getText = async (path) => (await call(path)).text();

export async function askRisk(question, signal) {
  const headers = { "Content-Type": "application/json" };
  return (await call("/v1/risk", { method: "POST", headers, body: JSON.stringify(question), signal })).json();
}
