"use strict";
// Renews the page in place, so that what is opened stays open and the place on the page is kept.
// Without JavaScript a meta refresh does the same, less gently.
(() => {
  const seconds = Number(document.body.dataset.refresh) || 15;
  const lost = document.getElementById("lost-contact");

  async function renew() {
    if (document.hidden) return;
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), seconds * 1000);
    try {
      const answer = await fetch("/", { cache: "no-store", signal: limit.signal });
      if (!answer.ok) throw new Error(String(answer.status));
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = next.getElementById("overview");
      if (!main) throw new Error("not the overview");
      const now = document.getElementById("overview");
      for (const open of now.querySelectorAll("details[open][id]")) {
        const same = main.querySelector("#" + CSS.escape(open.id));
        if (same) same.open = true;
      }
      now.replaceWith(main);
      document.querySelector(".as-of").replaceWith(next.querySelector(".as-of"));
      lost.hidden = true;
    } catch {
      lost.hidden = false;
    } finally {
      clearTimeout(timer);
    }
  }

  setInterval(renew, seconds * 1000);
  document.addEventListener("visibilitychange", renew);
  // On paper everything is unfolded.
  addEventListener("beforeprint", () => {
    for (const each of document.querySelectorAll("details")) each.open = true;
  });
})();
