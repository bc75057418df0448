// The interactive document of the API. A page of its own: whoever does not read it does not load it.
import "rapidoc";

import "./docs.css";

interface BeforeTry {
  request: Request;
}

const dark = matchMedia("(prefers-color-scheme: dark)");
const element = document.querySelector("rapi-doc");

function showTheme() {
  element?.setAttribute("theme", dark.matches ? "dark" : "light");
}

dark.addEventListener("change", showTheme);
showTheme();

// A session of the console may try requests, too; the header proves that they come from here.
element?.addEventListener("before-try", (event) => {
  (event as CustomEvent<BeforeTry>).detail.request.headers.set("nexus-csrf", "1");
});
