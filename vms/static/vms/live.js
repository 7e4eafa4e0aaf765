// Renews the part of a page that shows VMs, while one of them is changing and somebody is looking; not for ever.
"use strict";

const FIRST_PAUSE_MS = 3000;
const LONGEST_PAUSE_MS = 15000;
const MOST_LOOKS = 60;
const live = () => document.querySelector("[data-live]");
const note = document.querySelector("[data-live-note]");
let looks = 0;
let timer;

// What somebody is about to do must not be taken from under his hands.
const inUse = () =>
  live().querySelector("details[open]") ||
  document.querySelector("[aria-busy]") ||
  document.activeElement?.closest(".filters");

const label = (element) =>
  ["href", "formaction", "aria-label"].map((name) => element.getAttribute(name)).join() +
  element.closest("form")?.getAttribute("action") +
  element.textContent;

const swap = (fresh) => {
  const focused = live().contains(document.activeElement) ? label(document.activeElement) : null;
  live().replaceWith(fresh);
  if (focused !== null) {
    [...fresh.querySelectorAll("a, button, summary")].find((element) => label(element) === focused)?.focus();
  }
};

const look = async () => {
  if (!inUse()) {
    looks += 1;
    try {
      const headers = { Accept: "text/html", "X-Requested-With": "fetch" };
      const answer = await fetch(location.href, { headers });
      if (!answer.ok) {
        note.textContent = "This is not renewed any more; refresh the page to see why.";
        return;
      }
      const text = await answer.text();
      if (!inUse()) swap(new DOMParser().parseFromString(text, "text/html").querySelector("[data-live]"));
    } catch {
      // No connection just now; there is a next time.
    }
  }
  goOn();
};

const goOn = () => {
  clearTimeout(timer);
  const changing = live().hasAttribute("data-changing") && looks < MOST_LOOKS;
  note.textContent = changing ? "A VM is changing; this page is renewed by itself." : "";
  if (changing && !document.hidden) timer = setTimeout(look, Math.min(FIRST_PAUSE_MS * 1.1 ** looks, LONGEST_PAUSE_MS));
};

document.addEventListener("visibilitychange", goOn);
goOn();
