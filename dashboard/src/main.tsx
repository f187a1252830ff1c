import "uplot/dist/uPlot.min.css";
import "./style.css";
import { render } from "preact";
import { App } from "./app";
import { applyPrefs, onPrefs } from "./prefs";

const root = document.getElementById("app");
if (!root) throw new Error("the page has no #app");
const draw = () => render(<App />, root);
applyPrefs();
onPrefs(draw);
draw();
