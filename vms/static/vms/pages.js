// What the pages do beyond reading: say what a cloud calls its credentials, look again at work, show that a form is under way.
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

const forms = document.querySelectorAll("form[method=post]");
for (const form of forms) {
  form.addEventListener("submit", (event) => {
    form.setAttribute("aria-busy", "true");
    // Not before the form has been read: a button that is disabled is not sent.
    setTimeout(() => event.submitter && (event.submitter.disabled = true));
  });
}
// A page that comes back from the browser's memory is as it was left.
addEventListener("pageshow", () => {
  for (const form of forms) {
    form.removeAttribute("aria-busy");
    for (const button of form.querySelectorAll("button")) button.disabled = false;
  }
});
