// The interactive document of the API. A page of its own: whoever does not read it does not load it.
import "rapidoc";

import "./docs.css";

interface BeforeTry {
  request: Request;
}

/** The tokens of the console in the form that the element takes: it mixes colours itself and knows no oklch. */
const light = {
  theme: "light",
  "bg-color": "#ffffff",
  "text-color": "#1c1f28",
  "primary-color": "#3a5bc7",
  "nav-bg-color": "#f5f6f8",
  "nav-text-color": "#464b57",
  "nav-hover-bg-color": "#e7e9ee",
  "nav-hover-text-color": "#1c1f28",
  "nav-accent-color": "#3a5bc7",
};
const dark = {
  theme: "dark",
  "bg-color": "#15171c",
  "text-color": "#e8e9ec",
  "primary-color": "#8ea6f2",
  "nav-bg-color": "#0f1115",
  "nav-text-color": "#b0b4bd",
  "nav-hover-bg-color": "#20232a",
  "nav-hover-text-color": "#e8e9ec",
  "nav-accent-color": "#8ea6f2",
};

const element = document.querySelector("rapi-doc");
// `theme.js` has decided, as for the console.
const theme = document.documentElement.dataset["theme"] === "dark" ? dark : light;
for (const [name, value] of Object.entries(theme)) element?.setAttribute(name, value);

// A session of the console may try requests, too; the header proves that they come from here.
element?.addEventListener("before-try", (event) => {
  (event as CustomEvent<BeforeTry>).detail.request.headers.set("nexus-csrf", "1");
});
