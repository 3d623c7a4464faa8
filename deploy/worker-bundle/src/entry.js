// The worker as the runtime sees it. All work is done by the compiled storefront; what is written here is what only
// JavaScript can do: answer for an instance that a panic left unusable, replace it, and make its Durable Objects anew.
import { DurableObject } from "cloudflare:workers";
import * as storefront from "./index.js";

// The number of the instance that serves now.
let serving = 0;
let broken = false;
// What the calls into it are waiting for: after a panic nothing in it goes on, so they are told instead of left hanging.
const waiting = new Set();

// The storefront's panic hook sets this before the instance stops.
Object.defineProperty(storefront.__worker_init_state(), "criticalError", {
  get: () => broken,
  set(value) {
    broken = value;
    if (!value) return;
    for (const give of waiting) give();
    waiting.clear();
  },
});

function instance() {
  if (broken) {
    broken = false;
    storefront.__wbg_reset_state();
    serving += 1;
  }
  return serving;
}

// Calls into the instance; `undefined` when it broke on the way.
async function call(work) {
  let give;
  const gone = new Promise((resolve) => (give = resolve));
  waiting.add(give);
  try {
    return await Promise.race([work(), gone]);
  } catch (error) {
    if (!broken) throw error;
  } finally {
    waiting.delete(give);
  }
}

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

// An id as the storefront makes them (shared-domain/src/id.rs): the time and ten random bytes in UUIDv7 layout, written
// as 26 characters of Crockford's base32.
function requestId() {
  const random = crypto.getRandomValues(new Uint8Array(10));
  let bits = random.reduce((bits, byte) => (bits << 8n) | BigInt(byte), BigInt(Date.now()));
  bits = (bits & ~(0xfn << 76n)) | (0x7n << 76n);
  bits = (bits & ~(0b11n << 62n)) | (0b10n << 62n);
  let text = "";
  for (let place = 125n; place >= 0n; place -= 5n) text += ALPHABET[Number((bits >> place) & 31n)];
  return `req_${text}`;
}

// What the storefront says when something fails on our side.
function failed() {
  const request_id = requestId();
  console.error(JSON.stringify({ level: "error", request_id, message: "the instance broke while it served this request" }));
  const problem = {
    type: "urn:bodega:problem:internal",
    title: "Something went wrong on our side",
    status: 500,
    code: "internal",
    detail: "The request failed on our side. It is logged under its request id.",
    request_id,
  };
  const headers = { "content-type": "application/problem+json", "cache-control": "private, no-store", "bodega-request-id": request_id };
  return new Response(JSON.stringify(problem), { status: 500, headers });
}

function durable(Class) {
  return class extends DurableObject {
    #inner;
    #instance;

    #current() {
      const now = instance();
      if (this.#instance !== now) {
        this.#inner = new Class(this.ctx, this.env);
        this.#instance = now;
      }
      return this.#inner;
    }

    async fetch(request) {
      return (await call(() => this.#current().fetch(request))) ?? failed();
    }

    alarm() {
      return call(() => this.#current().alarm());
    }
  };
}

export const Cell = durable(storefront.Cell);
export const CoreLink = durable(storefront.CoreLink);

export default {
  async fetch(request, env, ctx) {
    instance();
    return (await call(() => storefront.fetch(request, env, ctx))) ?? failed();
  },
};
