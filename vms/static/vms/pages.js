// What the pages do beyond reading: say what a cloud calls its credentials, look again at work, show that a form is
// under way, close menus.
"use strict";

const environments = document.querySelector("select[data-names]");
if (environments) {
  const tell = () => {
    const names = environments.selectedOptions[0]?.dataset ?? {};
    for (const [slot, text] of [
      ["access-key", names.accessKey && `: ${names.accessKey}`],
      ["access-key-help", names.accessKeyHelp],
      ["secret", names.secret && `: ${names.secret}`],
      ["secret-help", names.secretHelp],
    ]) {
      document.querySelector(`[data-of="${slot}"]`).textContent = text ?? "";
    }
  };
  environments.addEventListener("change", tell);
  tell();
}

const pending = document.querySelector("[data-poll]");
if (pending) {
  const look = async () => {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "application/json" } });
      if (!answer.ok || (await answer.json()).done) {
        location.reload();
        return;
      }
      setTimeout(look, 1000 * Number(answer.headers.get("Retry-After") ?? pending.dataset.poll));
    } catch {
      setTimeout(look, 5000);
    }
  };
  setTimeout(look, 1000 * Number(pending.dataset.poll));
}

document.addEventListener("submit", ({ target, submitter }) => {
  if (target.method !== "post") return;
  target.setAttribute("aria-busy", "true");
  // Not before the form has been read: a button that is disabled is not sent.
  setTimeout(() => submitter && (submitter.disabled = true));
});

// A page that comes back from the browser's memory is as it was left.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[method=post]")) {
    form.removeAttribute("aria-busy");
    for (const button of form.querySelectorAll("button")) button.disabled = false;
  }
});

const closeMenus = (except) => {
  for (const menu of document.querySelectorAll(".modes details[open]")) if (menu !== except) menu.open = false;
};
document.addEventListener("click", ({ target }) => closeMenus(target.closest(".modes details")));
document.addEventListener("keydown", ({ key, target }) => {
  if (key !== "Escape") return;
  const menu = target.closest(".modes details[open]");
  closeMenus();
  menu?.querySelector("summary").focus();
});
