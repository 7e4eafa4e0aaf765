// What Swagger UI lacks for people who use a keyboard or a screen reader: names for its choices, examples that a key can
// scroll, and no link inside of a button.
"use strict";

const documentation = document.querySelector("#swagger-ui");
const mend = () => {
  for (const choice of documentation.querySelectorAll("select:not([aria-label])")) {
    const parameter = choice.closest("tr[data-param-name]")?.dataset.paramName;
    choice.setAttribute("aria-label", parameter ?? (choice.matches(".examples-select-element") ? "Example" : "Media type"));
  }
  for (const example of documentation.querySelectorAll("pre:not([tabindex])")) example.tabIndex = 0;
  // The button around it leads to the same place.
  for (const link of documentation.querySelectorAll("button a[href]")) link.removeAttribute("href");
};
new MutationObserver(mend).observe(documentation, { childList: true, subtree: true });
mend();
