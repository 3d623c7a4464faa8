// The worker as the runtime sees it. All work is done by the compiled storefront; what is written here is what only
// JavaScript can do: replace an instance that a panic left unusable, and make its Durable Objects anew.
import { DurableObject } from "cloudflare:workers";
import * as storefront from "./index.js";

// The number of the instance that serves now.
function instance() {
  const state = storefront.__worker_init_state();
  if (state.criticalError) {
    state.criticalError = false;
    storefront.__wbg_reset_state();
    state.instanceId += 1;
  }
  return state.instanceId;
}

function durable(Class) {
  return class extends DurableObject {
    #inner;
    #instance;

    #current() {
      const serving = instance();
      if (this.#instance !== serving) {
        this.#inner = new Class(this.ctx, this.env);
        this.#instance = serving;
      }
      return this.#inner;
    }

    fetch(request) {
      return this.#current().fetch(request);
    }

    alarm() {
      return this.#current().alarm();
    }
  };
}

export const Cell = durable(storefront.Cell);
export const CoreLink = durable(storefront.CoreLink);

export default {
  fetch(request, env, ctx) {
    instance();
    return storefront.fetch(request, env, ctx);
  },
};
