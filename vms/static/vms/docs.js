// What Swagger UI leaves open for those who cannot see it: names for its choices, and no link inside of a button.
"use strict";

const documentation = document.querySelector("#swagger-ui");
const mend = () => {
  for (const choice of documentation.querySelectorAll("select:not([aria-label])")) {
    const parameter = choice.closest("tr[data-param-name]")?.dataset.paramName;
    choice.setAttribute("aria-label", parameter ?? (choice.matches(".examples-select-element") ? "Example" : "Media type"));
  }
  // The button around it leads to the same place.
  for (const link of documentation.querySelectorAll("button a[href]")) link.removeAttribute("href");
};
new MutationObserver(mend).observe(documentation, { childList: true, subtree: true });
mend();
